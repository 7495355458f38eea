"""The native runtime."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mtp_rt.errors import ArgumentError as ArgumentError
from mtp_rt.errors import CapacityError as CapacityError
from mtp_rt.errors import EngineError as EngineError
from mtp_rt.errors import Error as Error
from mtp_rt.errors import ModelFormatError as ModelFormatError
from mtp_rt.errors import UnsupportedError as UnsupportedError

def version() -> str: ...
def sha256(content: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""

def give_memory_back() -> None:
    """Return memory that was freed in this process to the system."""

def available_isas() -> list[str]:
    """Instruction sets this CPU can run, best first: a subset of avx512_vnni, avx2, generic."""

class EngineInfo:
    name: str
    isa: str
    device: str
    threads: int
    slots: int
    context: int
    max_rows: int
    vocab_size: int
    hidden_size: int
    layers: int
    extra_heads: int
    row_invariant: bool
    weight_bytes: int
    head_bytes: int
    acceptance: list[float]

class Engine:
    def __init__(
        self,
        model: str,
        *,
        engine: str = "native",
        isa: str = "",
        threads: int = 0,
        slots: int = 1,
        context: int = 0,
        max_rows: int = 128,
        two_stage_head: bool | None = None,
        provider: str = "cpu",
        library: str = "",
    ) -> None: ...
    @property
    def info(self) -> EngineInfo: ...
    def length(self, slot: int) -> int: ...
    def verify(
        self,
        slots: Sequence[int],
        tokens: Sequence[int],
        positions: Sequence[int],
        parents: Sequence[int],
        wants_logits: Sequence[bool],
        wants_state: Sequence[bool] = ...,
        taps: Sequence[int] = ...,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Logits [wanted, vocab], trunk states [wanted, hidden], tapped layers [wanted, taps, hidden]."""
    def commit(self, kept: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Keep rows of the last verify call: (slot, row indices) pairs."""
    def draft(
        self,
        slots: Sequence[int],
        tokens: Sequence[int],
        counts: Sequence[int],
        widths: Sequence[int],
        params: Sequence[SamplingParams],
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Tokens and chances [sum of counts * widths]: row after row, depth after depth, best first."""
    def release(self, slot: int) -> None: ...

def cuda_part(library: str = "") -> str:
    """The version of the CUDA part, which this opens; library: its file, empty: the one of this build."""

def cuda_devices(library: str = "") -> list[tuple[str, str, int]]:
    """(name, compute capability, bytes of memory) of each GPU that the CUDA part sees."""

class SamplingParams:
    """Native sampling parameters; the public class is mtp_rt.SamplingParams."""

    def __init__(
        self,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        top_k: int = 0,
        min_p: float = 0.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        repetition_penalty: float = 1.0,
        seed: int = 0,
        logit_bias: dict[int, float] = ...,
    ) -> None: ...

def pick(
    logits: NDArray[np.float32],
    params: SamplingParams,
    position: int,
    counts: Sequence[tuple[int, int, int]] = ...,
    allowed: NDArray[np.uint32] | None = None,
) -> int:
    """The token chosen after a row with these logits. counts: (token, in prompt, generated)."""

class DraftOptions:
    """How a request wants its drafts; no choice here changes a token.

    source: "none", "lookup", "heads" or "auto"; max_drafts: 0 .. 15; adaptive: number by cost and acceptance.
    max_width: 0 .. 8 tokens that a head may propose for one place (more than 1: a tree); 0: 3 if adaptive,
    else 1.
    """

    source: str
    max_drafts: int
    adaptive: bool
    max_width: int
    def __init__(
        self, *, source: str = "auto", max_drafts: int = 7, adaptive: bool = True, max_width: int = 0
    ) -> None: ...

class Request:
    def __init__(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        *,
        max_tokens: int = 256,
        min_tokens: int = 0,
        stop_token_ids: Sequence[int] = ...,
        logprobs: int | None = None,
        drafts: DraftOptions = ...,
    ) -> None: ...

class TokenLogprob:
    token: int
    logprob: float
    rank: int

class Stats:
    prompt_tokens: int
    generated_tokens: int
    steps: int  # verify calls after prefill
    drafted_per_position: list[int]  # [k]: rounds that verified a draft k
    accepted_per_position: list[int]  # [k]: rounds whose draft k was accepted
    prefill_seconds: float  # submit to the first committed token
    decode_seconds: float  # first to last committed token
    drafted_by_source: dict[str, int]  # drafts verified, along the depth
    accepted_by_source: dict[str, int]  # drafts accepted
    draft_seconds: float  # share of decode_seconds spent drafting

class Event:
    """What one step committed for one request."""

    request: int
    tokens: list[int]
    logprobs: list[list[TokenLogprob]]  # per token: the chosen one, then the top n
    finish_reason: str | None  # "stop" (stop token), "length", "cancelled", "error"
    error: str | None
    stats: Stats | None  # with the finish

class Scheduler:
    """Owns the loop over an engine: verify, pick, accept, commit, draft. Thread-safe."""

    def __init__(
        self,
        engine: Engine,
        *,
        prefill_chunk: int = 128,
        verify_ms: Sequence[float] = ...,
        draft_ms: Sequence[float] = ...,
    ) -> None:
        """verify_ms[w - 1]: measured time of a call of w rows; empty: the first adaptive request measures.

        draft_ms[r - 1]: measured time of one depth of a draft call of r slots; empty: guessed.
        """
    def submit(self, request: Request) -> int: ...
    def cancel(self, request: int) -> bool: ...
    def run_once(self) -> list[Event]:
        """One step of every running sequence; admits waiting requests first. Releases the GIL."""
    @property
    def running(self) -> int: ...
    @property
    def waiting(self) -> int: ...

def sample_text(engine: Engine, length: int) -> list[int]:
    """`length` tokens that the model writes itself in slot 0, sampled at temperature 1; for measurements."""

def time_verify(
    engine: Engine, width: int, context: int, repeat: int, slots: int = 1, text: Sequence[int] = ...
) -> list[float]:
    """Seconds of `repeat` verify calls of `width` rows per slot behind `context` committed tokens.

    The tokens are those of `text`, and any where it ends. The slots are empty before and after.
    """

def measure_costs(engine: Engine, max_width: int = 16) -> list[float]:
    """Milliseconds of verify calls of 1 .. max_width rows in slot 0 (fastest, interleaved): for verify_ms."""

def measure_draft_costs(engine: Engine, max_slots: int = 8) -> list[float]:
    """Milliseconds of one depth of draft calls of 1 .. max_slots slots: for draft_ms. Empty without heads."""

def read_bandwidth(threads: int, seconds: float = 0.2) -> float:
    """Streaming-read bandwidth of this machine in GB/s, measured now."""

def split_times(
    engine: Engine, width: int, context: int, repeat: int, text: Sequence[int] = ...
) -> dict[str, float]:
    """Median milliseconds of a verify call by phase: embed, qkv, attention, o, mlp, head, other."""
