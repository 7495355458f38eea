"""TextStream against a rule over the whole text: cut where the first stop string is complete."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mtp_rt.text_stream import Shown, TextStream

# Few letters, so that stop strings overlap themselves and each other.
letters = st.text("abc", max_size=4)
pieces = st.lists(letters, max_size=12)
stops = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3)


def cut(pieces: list[str], stops: list[str], min_tokens: int, include: bool) -> tuple[str, int, str | None]:
    """Oracle: the text, how many tokens it has, and its stop string, by reading character after character."""
    text = "".join(pieces)
    ends = list(accumulate(len(piece) for piece in pieces))
    ignored = ends[min_tokens - 1] if 0 < min_tokens <= len(ends) else (len(text) if min_tokens else 0)
    for end in range(ignored + 1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            stop = max(complete, key=len)
            tokens = next(index for index, reached in enumerate(ends, start=1) if reached >= end)
            return text[: end if include else end - len(stop)], tokens, stop
    return text, len(pieces), None


def commits(draw: st.DrawFn, count: int) -> list[range]:
    """Cuts 0 .. count into commits, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, count), max_size=count)))
    return [range(a, b) for a, b in zip([0, *cuts], [*cuts, count], strict=True)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], list[str], int, bool, list[range]]:
    text = draw(pieces)
    return text, draw(stops), draw(st.integers(0, 4)), draw(st.booleans()), commits(draw, len(text))


@settings(deadline=None)
@given(cases())
@example((["ab", "cd"], ["bcx"], 0, False, [range(2)]))
@example((["abcd"], ["abcd", "bc"], 0, False, [range(1)]))
def test_any_cut_into_commits_shows_the_same_text(
    case: tuple[list[str], list[str], int, bool, list[range]],
) -> None:
    text, stops, min_tokens, include, cuts = case
    stream = TextStream(lambda token: text[token], stops, min_tokens=min_tokens, include_stop=include)
    want_text, want_tokens, want_stop = cut(text, stops, min_tokens, include)
    seen, tokens, stop = "", 0, None
    for commit in cuts:
        shown = stream.push(commit)
        seen += shown.text
        tokens += shown.tokens
        assert want_text.startswith(seen), "a part of the stop string was shown"
        if shown.stop is not None:
            stop = shown.stop
            break
    if stop is None:
        seen += stream.finish()
    assert (seen, tokens, stop) == (want_text, want_tokens, want_stop)


@settings(deadline=None)
@given(pieces, stops)
def test_only_what_may_become_a_stop_string_is_held_back(text: list[str], stops: list[str]) -> None:
    stream = TextStream(lambda token: text[token], stops)
    seen = ""
    for token in range(len(text)):
        shown = stream.push([token])
        if shown.stop is not None:
            return
        seen += shown.text
        held = "".join(text[: token + 1]).removeprefix(seen)
        assert held == "" or any(stop.startswith(held) for stop in stops)


def test_a_stop_string_in_the_middle_of_a_commit_drops_the_rest() -> None:
    stream = TextStream("one\ntwo\nthree".__getitem__, ["\n"])
    assert stream.push(range(9)) == Shown("one", 4, "\n")


def test_the_tail_follows_what_was_held_back() -> None:
    stream = TextStream("ab".__getitem__, ["abc"])
    assert stream.push([0, 1]) == Shown("", 2)
    assert stream.finish("!") == "ab!"
