"""How long a caller waited in silence, measured in the sound that reached them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sandbox.caller.report import CallReport
from sandbox.caller.span_detector import Span

_Rows = Sequence[Mapping[str, Any]]

_APART_SECONDS = 0.4
"""How far the clocks of the caller and the service may be apart: a prompt can be heard before it was due."""
_ON_THE_WAY_SECONDS = 0.8
"""How much later than its row the beginning of a sound may be heard: through a room it takes half a second."""


def longest_silence(report: CallReport, journal: _Rows | None = None) -> float:
    """The longest of :func:`unowned_silences`, in seconds."""
    return max((each.end - each.start for each in unowned_silences(report, journal)), default=0.0)


def unowned_silences(report: CallReport, journal: _Rows | None = None) -> Iterator[Span]:
    """The times in which neither side was heard though the agent had the floor.

    ``journal`` is for a call by telephone, whose caller sees no rows; others have seen them.

    The agent has it from the beginning of the call until it has spoken, and from the end of each utterance of the
    caller, or of the keys they press, until it has spoken to its end. Then the floor is the caller's: while the agent
    listens, until they speak or its patience is over. A filler gives nobody the floor, and a cough or a backchannel
    asks for nothing.
    """
    rows = report.events if journal is None else journal
    since, callers_since = 0.0, None
    for utterance in [*_callers_turns(report), None]:
        until = report.ended_at if utterance is None else utterance.start
        spans = [span for span in report.agent_spans if span.end > since and span.start < until]
        for span in spans:
            yield Span(_agents_again(rows, callers_since, since, span.start), max(since, span.start))
            since = max(since, span.end)
            callers_since = since
        if not spans:
            yield Span(since, max(since, until))
        since, callers_since = report.ended_at if utterance is None else utterance.end, None


def _agents_again(rows: _Rows, callers_since: float | None, since: float, until: float) -> float:
    """From when in that silence the floor is the agent's; ``callers_since``: it has spoken, and ended then."""
    patience_ends = _times(rows, "deadline.passed", name="idle")
    if callers_since is not None and _listens(rows, since, until):
        patience_ends.append(until)
    return max([since, *(min(at, until) for at in patience_ends if since < at <= until + _APART_SECONDS)])


def _listens(rows: _Rows, since: float, until: float) -> bool:
    """Whether the agent has said all it had to say, and listens during that silence."""
    filler = {row["data"]["speech"] for row in rows if _is(row, "agent.reply_started", kind="filler")}
    spoken = [row for row in rows if row["type"] == "agent.finished"]
    line = _line_opened(rows)
    before = [row for row in spoken if row["t"] - line <= since + _APART_SECONDS]
    states = [row for row in rows if row["type"] == "state.changed" and row["t"] - line < until - _ON_THE_WAY_SECONDS]
    if not before or not states or before[-1]["data"]["speech"] in filler:
        return False
    return states[-1]["data"]["after"] == "listening" and states[-1]["t"] - line <= since + _APART_SECONDS


def _times(rows: _Rows, kind: str, /, **data: object) -> list[float]:
    """When rows of that kind were written, in seconds since the line was ready."""
    line = _line_opened(rows)
    return [row["t"] - line for row in rows if _is(row, kind, **data)]


def _is(row: Mapping[str, Any], kind: str, /, **data: object) -> bool:
    return row["type"] == kind and all(row["data"].get(name) == value for name, value in data.items())


def _line_opened(rows: _Rows) -> float:
    return next((float(row["t"]) for row in rows if row["type"] == "call.answered"), 0.0)


def _callers_turns(report: CallReport) -> list[Span]:
    words = [Span(each.started_at, each.ended_at) for each in report.utterances if each.kind in ("says", "interrupts")]
    keys = [Span(step.started_at, step.ended_at) for step in report.steps if step.kind == "presses"]
    return sorted([*words, *keys], key=lambda span: span.start)
