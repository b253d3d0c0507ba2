"""How long a caller waited in silence, measured in the sound that reached them."""

from sandbox.caller.report import CallReport


def longest_silence(report: CallReport) -> float:
    """The longest time, in seconds, in which neither side was heard though the agent had the floor.

    The agent has it from the beginning of the call until it has spoken, and from the end of each utterance of the
    caller until it has spoken to its end. Silence after the agent's last word belongs to the caller.
    """
    longest = 0.0
    since = 0.0
    for utterance in [*report.utterances, None]:
        until = report.ended_at if utterance is None else utterance.started_at
        spans = [span for span in report.agent_spans if span.end > since and span.start < until]
        for span in spans:
            longest = max(longest, span.start - since)
            since = max(since, span.end)
        if not spans and utterance is None:
            break
        if not spans:
            longest = max(longest, until - since)
        since = report.ended_at if utterance is None else utterance.ended_at
    return longest
