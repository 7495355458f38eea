"""The model directory: read, checked, described, written. docs/model_dir.md is the specification.

Imports the standard library only.
"""

from mtp_rt.model_dir.config import ModelConfig, parse_model_config
from mtp_rt.model_dir.heads import HeadsConfig, Unembedding, read_heads
from mtp_rt.model_dir.json_text import JsonFields
from mtp_rt.model_dir.layout import (
    Kind,
    Layout,
    heads_layout_of,
    heads_output_matrix,
    is_unembedding,
    layout_of,
    output_matrix,
    parts_of,
)
from mtp_rt.model_dir.reader import ModelDir, describe, read_model_dir
from mtp_rt.model_dir.safetensors import StoredTensor
from mtp_rt.model_dir.writer import Tensor, carried_files, write_model_dir

__all__ = [
    "HeadsConfig",
    "JsonFields",
    "Kind",
    "Layout",
    "ModelConfig",
    "ModelDir",
    "StoredTensor",
    "Tensor",
    "Unembedding",
    "carried_files",
    "describe",
    "heads_layout_of",
    "heads_output_matrix",
    "is_unembedding",
    "layout_of",
    "output_matrix",
    "parse_model_config",
    "parts_of",
    "read_heads",
    "read_model_dir",
    "write_model_dir",
]
