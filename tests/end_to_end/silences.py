"""How long a caller waited in silence, measured in the sound that reached them."""

from collections.abc import Iterator

from sandbox.caller.report import CallReport
from sandbox.caller.span_detector import Span


def longest_silence(report: CallReport) -> float:
    """The longest of :func:`unowned_silences`, in seconds."""
    return max((each.end - each.start for each in unowned_silences(report)), default=0.0)


def unowned_silences(report: CallReport) -> Iterator[Span]:
    """The times in which neither side was heard though the agent had the floor.

    The agent has it from the beginning of the call until it has spoken, and from the end of each utterance of the
    caller until it has spoken to its end. Silence after the agent's last word belongs to the caller.
    """
    since = 0.0
    for utterance in [*report.utterances, None]:
        until = report.ended_at if utterance is None else utterance.started_at
        spans = [span for span in report.agent_spans if span.end > since and span.start < until]
        for span in spans:
            yield Span(since, max(since, span.start))
            since = max(since, span.end)
        if not spans and utterance is None:
            break
        if not spans:
            yield Span(since, max(since, until))
        since = report.ended_at if utterance is None else utterance.ended_at
