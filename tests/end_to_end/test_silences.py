from typing import Any

import pytest

from sandbox.caller.media_format import MediaFormat
from sandbox.caller.report import CallReport, Lateness, StepTimes, Utterance
from sandbox.caller.span_detector import Span
from tests.end_to_end.silences import longest_silence

AGENT = (Span(0.5, 3.0), Span(6.5, 9.0))


def report(**told: Any) -> CallReport:
    empty: dict[str, Any] = dict.fromkeys(("steps", "utterances", "said", "heard", "arrivals", "clears", "events"), ())
    line = {"format": MediaFormat("mulaw", 8000), "received_samples": 0, "played_samples": 0}
    end: dict[str, Any] = {"ended_by": "agent", "end_reason": None, "close_code": 1000, "completed": True}
    times = {"ready_at": 0.0, "ended_at": 9.2, "agent_spans": AGENT, "lateness": Lateness(0, 0, 0)}
    return CallReport("score", "call", **{**empty, **line, **end, **times, **told})


def row(kind: str, at: float, /, **data: Any) -> dict[str, Any]:
    return {"type": kind, "t": at, "data": data}


def utterance(kind: str, start: float, end: float) -> Utterance:
    return Utterance(1, kind, "hello", start, end, None, None)


LISTENS = (
    row("call.answered", 0.1),
    row("agent.finished", 3.1, speech=1),
    row("state.changed", 3.1, after="listening"),
    row("state.changed", 6.6, after="speaking"),
)


@pytest.mark.parametrize(
    ("told", "silence"),
    [
        ({"utterances": (utterance("says", 4.0, 5.5),)}, 1.0),
        ({"utterances": (utterance("coughs", 9.0, 9.1),), "agent_spans": AGENT[:1]}, 0.5),
        ({"steps": (StepTimes(1, "presses", 4.0, 5.0),)}, 1.5),
        ({"steps": (StepTimes(1, "waits", 4.0, 5.0),)}, 3.5),
        ({"events": (row("call.answered", 0.1), row("deadline.passed", 6.0, name="idle"))}, 0.6),
        ({"events": (row("call.answered", 0.1), row("deadline.passed", 6.7, name="idle"))}, 0.5),
        ({"events": LISTENS}, 0.5),
        ({"events": (*LISTENS[:-1], row("state.changed", 6.1, after="speaking"))}, 0.5),
        ({"utterances": (utterance("says", 3.5, 4.0),), "events": LISTENS}, 2.5),
        ({"events": (row("agent.reply_started", 0.5, speech=1, kind="filler"), *LISTENS)}, 3.5),
        ({"events": (*LISTENS, row("state.changed", 4.0, after="processing"))}, 3.5),
        ({"utterances": (utterance("says", 4.0, 5.5),), "agent_spans": AGENT[:1]}, 9.2 - 5.5),
    ],
    ids=[
        "words",
        "a cough",
        "keys",
        "the agent speaks again by itself",
        "the agent has waited for words",
        "the clocks differ",
        "the agent has said all and listens",
        "a room is half a second late",
        "it does not answer",
        "after a filler it listens to nobody",
        "it has not said all",
        "no answer",
    ],
)
def test_the_agent_owes_sound_from_the_end_of_words_and_keys(told: dict[str, Any], silence: float) -> None:
    assert longest_silence(report(**told)) == pytest.approx(silence)


def test_a_caller_by_telephone_has_seen_no_rows() -> None:
    assert longest_silence(report()) == 3.5
    assert longest_silence(report(), LISTENS) == 0.5
