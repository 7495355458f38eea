"""A Hugging Face folder of a Llama model -> a model directory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mtp_rt.convert.assemble import Kinds, Progress, Stored, layout, write
from mtp_rt.convert.digest import sha256_of
from mtp_rt.convert.hf_folder import read_config, read_texts
from mtp_rt.convert.hf_weights import SINGLE_FILE, HfTensor, HfWeights, own_kinds, read_parts
from mtp_rt.errors import ModelFormatError, UnsupportedError
from mtp_rt.model_dir import Layout


def import_hf(
    source: Path,
    target: Path,
    *,
    quantize: str | None = None,
    lm_head: str | None = None,
    two_stage_head: float | bool | None = None,
    progress: Progress | None = None,
    provenance: Mapping[str, str] | None = None,
    replace: bool = False,
) -> None:
    """Convert a folder with config.json and safetensors weights; `target` appears complete or not at all.

    Weights keep their own precision unless told otherwise. Rows stay in the folder's order, so the RoPE
    layout is "half". Tokenizer, chat template and generation settings are copied.

    Args:
        source: The folder.
        target: The model directory to write.
        quantize: Kind of the layers' matrices: "f32", "bf16", "q8" or "q4".
        lm_head: Kind of the output matrix and the embedding, likewise.
        two_stage_head: Search a q8 output matrix in two stages: on, off, or with this margin in logits.
            None: on, margin 8, where the output matrix is q8.
        progress: Called with (what, tensors done, tensors in all).
        provenance: Recorded in config.json under mtp_rt.source (name, file, sha256, license).
        replace: Replace a directory at `target` that is not empty.

    Raises:
        ModelFormatError: a file is missing or damaged; names file and field.
        UnsupportedError: an architecture, variation, tensor or tokenizer outside what mtp-rt runs.
        ArgumentError: an option is not one of the values above, or `target` may not be replaced.
        OSError: the disk is full or not writable.
    """
    kinds = Kinds.from_options(quantize, lm_head)
    config = read_config(source)
    expected = layout(config, source / "config.json", "half")
    texts = read_texts(source)
    with HfWeights(source) as weights:
        tensors = _match_tensors(source, weights, expected)
        own = own_kinds(tensors[name] for name in expected.matrices)
        stored = [Stored(name, "f32", partial(read_parts, tensors[name], "f32")) for name in expected.vectors]
        for name in expected.matrices:
            kind = kinds.of(name, own[name])
            stored.append(Stored(name, kind, partial(read_parts, tensors[name], kind)))
        write(
            target,
            config,
            stored,
            rope_layout="half",
            two_stage_head=two_stage_head,
            source=_origin(source) | dict(provenance or {}),
            extra_files=texts,
            replace=replace,
            progress=progress,
        )


def _match_tensors(folder: Path, weights: HfWeights, expected: Layout) -> dict[str, HfTensor]:
    """Return every expected tensor, of the right shape; refuse tensors that would be left out."""
    shapes: dict[str, tuple[int, ...]] = {name: (size,) for name, size in expected.vectors.items()}
    shapes |= expected.matrices
    unknown = sorted(name for name in weights.tensors if name not in shapes and not _is_redundant(name))
    if unknown:
        raise UnsupportedError(
            f"{weights.tensors[unknown[0]].file}: {unknown[0]}: this tensor is no part of a plain Llama "
            f"model ({len(unknown)} such: biases, experts and adapters are not supported)"
        )
    for name, shape in shapes.items():
        tensor = weights.tensors.get(name)
        if tensor is None:
            raise ModelFormatError(str(folder), name, "is missing from the weights")
        if tensor.stored.shape != shape:
            problem = f"has shape {list(tensor.stored.shape)}, but config.json means {list(shape)}"
            raise ModelFormatError(tensor.file, name, problem)
    return {name: weights.tensors[name] for name in shapes}


def _is_redundant(name: str) -> bool:
    """Return whether a tensor only repeats others: a tied output matrix, or RoPE's own frequencies."""
    return name == "lm_head.weight" or name.endswith("rotary_emb.inv_freq")


def _origin(folder: Path) -> dict[str, str]:
    origin = {"name": folder.resolve().name}
    if (folder / SINGLE_FILE).exists():
        origin |= {"file": SINGLE_FILE, "sha256": sha256_of(folder / SINGLE_FILE)}
    return origin
