"""What two-token prediction weighs: the information that the next token X and the one after it, Y, share.

Of one context, p[x, y] is the joint distribution of the two tokens and q[x, y] a model of it. Everything is
in bits; 0 log 0 is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtp_rt.errors import ArgumentError

Joint = NDArray[np.float64]


@dataclass(frozen=True)
class Decomposition:
    """The loss of predicting both tokens: `first + second` is `x_given_y + 2 shared + y_given_x`.

    Next-token prediction pays `first` here and `y_given_x` one position later: `x_given_y + shared +
    y_given_x`. Two-token prediction doubles the weight of what the tokens share (arXiv:2404.19737).

    Attributes:
        first: of the head that predicts X: H(X), or cross-entropy CE(X).
        second: of the head that predicts Y without seeing X: H(Y), or CE(Y).
        x_given_y: H(X|Y), or its relative form.
        shared: I(X;Y), or KL(p || q_X q_Y) - KL(p || q).
        y_given_x: H(Y|X), or CE(Y|X).
    """

    first: float
    second: float
    x_given_y: float
    shared: float
    y_given_x: float


def entropies(p: Joint) -> Decomposition:
    """Return the decomposition for a perfect model: H(X) + H(Y) = H(X|Y) + 2 I(X;Y) + H(Y|X).

    Raises:
        ArgumentError: `p` is no joint distribution.
    """
    return cross_entropies(p, p)


def cross_entropies(p: Joint, q: Joint) -> Decomposition:
    """Return the decomposition for a model: CE(X) + CE(Y) = H_rel(X|Y) + 2 I_rel(X;Y) + CE(Y|X).

    Args:
        p: the joint distribution of the text.
        q: the model's, above 0 wherever p is.

    Raises:
        ArgumentError: one is no joint distribution, or the loss is infinite.
    """
    for name, joint in (("p", p), ("q", q)):
        if joint.ndim != 2 or (joint < 0).any() or not np.isclose(joint.sum(), 1):
            raise ArgumentError(f"{name}: is not a matrix of chances that sum to 1")
    if p.shape != q.shape or (p[q == 0] > 0).any():
        raise ArgumentError("q: has another shape than p, or is 0 where p is not")
    q_x, q_y = q.sum(axis=1, keepdims=True), q.sum(axis=0, keepdims=True)
    independent = _surprise(p, q_x * q_y)
    return Decomposition(
        first=_surprise(p, np.broadcast_to(q_x, p.shape)),
        second=_surprise(p, np.broadcast_to(q_y, p.shape)),
        x_given_y=_surprise(p, _ratio(q, q_y)),
        shared=independent - _surprise(p, q),  # the entropy of p in both divergences cancels
        y_given_x=_surprise(p, _ratio(q, q_x)),
    )


def _surprise(p: Joint, q: Joint) -> float:
    """Return -E_p log2 q."""
    seen = p > 0
    return float(-(p[seen] * np.log2(q[seen])).sum())


def _ratio(joint: Joint, marginal: Joint) -> Joint:
    return np.divide(joint, marginal, out=np.zeros_like(joint), where=marginal > 0)
