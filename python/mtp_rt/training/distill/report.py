"""What a run's text is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mtp_rt.training.distill.line_file import read_lines
from mtp_rt.training.distill.run_folder import RunFolder
from mtp_rt.training.distill.text_quality import repetition, script_of


@dataclass
class TextReport:
    """Counts over the dialogues of a run.

    Attributes:
        decode: Text of token ids.
        dialogues: How many there are.
        prompt_tokens: Tokens of their prompts, chat template and all.
        answer_tokens: Tokens of their answers.
        tokens_by_source: Answer tokens by source.
        tokens_by_split: Answer tokens by split.
        scripts: Answers by script: latin, other, none.
        finishes: Dialogues by how the answer ended.
        dropped: Dialogues that were not kept, by reason.
    """

    decode: Callable[[list[int]], str] = field(repr=False)
    dialogues: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    tokens_by_source: Counter[str] = field(default_factory=Counter)
    tokens_by_split: Counter[str] = field(default_factory=Counter)
    scripts: Counter[str] = field(default_factory=Counter)
    finishes: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    _repeated: float = 0.0

    @classmethod
    def of_run(cls, run: RunFolder, decode: Callable[[list[int]], str]) -> TextReport:
        """Return the report on what a run holds now."""
        report = cls(decode)
        for line in read_lines(run.text_file):
            report.count(line)
        for line in read_lines(run.dropped_file):
            report.count_dropped(line["reason"])
        return report

    def count(self, line: Mapping[str, Any]) -> None:
        """Add one stored dialogue."""
        size = len(line["answer_ids"])
        self.dialogues += 1
        self.prompt_tokens += len(line["prompt_ids"])
        self.answer_tokens += size
        self.tokens_by_source[line["source"]] += size
        self.tokens_by_split[line["split"]] += size
        self.scripts[script_of(self.decode(line["answer_ids"]))] += 1
        self.finishes[line["finish"]] += 1
        self._repeated += repetition(line["answer_ids"])

    def count_dropped(self, reason: str) -> None:
        """Add one dialogue that was not kept."""
        self.dropped[reason] += 1

    @property
    def mean_answer_tokens(self) -> float:
        """Tokens of an answer, on average."""
        return self.answer_tokens / max(self.dialogues, 1)

    @property
    def mean_repetition(self) -> float:
        """Share of an answer's 4-grams that occurred in it before, on average."""
        return self._repeated / max(self.dialogues, 1)
