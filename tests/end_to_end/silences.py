"""How long a caller waited in silence, measured in the sound that reached them."""

from collections.abc import Iterator

from sandbox.caller.report import CallReport
from sandbox.caller.span_detector import Span

_APART_SECONDS = 0.2
"""How far the clocks of the caller and the service may be apart: a prompt can be heard before it was due."""


def longest_silence(report: CallReport) -> float:
    """The longest of :func:`unowned_silences`, in seconds."""
    return max((each.end - each.start for each in unowned_silences(report)), default=0.0)


def unowned_silences(report: CallReport) -> Iterator[Span]:
    """The times in which neither side was heard though the agent had the floor.

    The agent has it from the beginning of the call until it has spoken, and from the end of each utterance of the
    caller, or of the keys they press, until it has spoken to its end. Silence after the agent's last word belongs to
    the caller, until the agent's patience is over, and a cough or a backchannel asks for nothing. After words of a
    message the silence is the agent's; after its question for more, the caller's.
    """
    since, has_asked = 0.0, False
    for utterance in [*_callers_turns(report), None]:
        until = report.ended_at if utterance is None else utterance.start
        spans = [span for span in report.agent_spans if span.end > since and span.start < until]
        for span in spans:
            patience_ends = _times_of(report, "idle", *(("message",) if has_asked else ()))
            callers = [min(at, span.start) for at in patience_ends if since < at <= span.start + _APART_SECONDS]
            yield Span(max([since, *callers]), max(since, span.start))
            since, has_asked = max(since, span.end), True
        if not spans:
            yield Span(since, max(since, until))
        since, has_asked = report.ended_at if utterance is None else utterance.end, False


def _times_of(report: CallReport, *deadlines: str) -> list[float]:
    """When the agent had waited long enough for words of the caller, in seconds since the line was ready."""
    answered = [row["t"] for row in report.events if row["type"] == "call.answered"]
    passed = [row for row in report.events if row["type"] == "deadline.passed" and row["data"]["name"] in deadlines]
    return [row["t"] - answered[0] for row in passed]


def _callers_turns(report: CallReport) -> list[Span]:
    words = [Span(each.started_at, each.ended_at) for each in report.utterances if each.kind in ("says", "interrupts")]
    keys = [Span(step.started_at, step.ended_at) for step in report.steps if step.kind == "presses"]
    return sorted([*words, *keys], key=lambda span: span.start)
