"""What training itself can fail with."""

from __future__ import annotations

from mtp_rt.errors import Error


class TrainingError(Error):
    """Training cannot go on; the last checkpoint stands."""
