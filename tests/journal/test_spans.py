from typing import Any

import pytest

from app.conversation import events as ev
from app.journal.spans import CallTrace, Span, call_trace
from app.models import JournalRow

SAID = "Secret words +74951234567"


def row(seq: int, t: float, event: Any) -> JournalRow:
    at = f"2026-12-01T10:00:{t:06.3f}Z"
    return JournalRow(seq, at, t, event.type, getattr(event, "turn", None), ev.VERSION, ev.row_data(event))


def a_trace(*timed: tuple[float, Any]) -> CallTrace:
    created = (0.0, ev.CallCreated({}, "en", {"name": "clinic"}))
    made = call_trace("call_1", [row(seq, t, event) for seq, (t, event) in enumerate([created, *timed], start=1)])
    assert made is not None
    return made


def the(trace: CallTrace, name: str) -> Span:
    (span,) = [span for span in trace.spans if span.name == name]
    return span


def test_a_request_to_the_model_begins_when_the_turn_or_the_tool_before_it_has_ended() -> None:
    def used(request: str) -> ev.ProviderUsed:
        return ev.ProviderUsed("openai", "m", 1, stage="think", request_ids=(request,))

    trace = a_trace(
        (1.0, ev.CallAnswered(0.9)),
        (2.0, ev.CallerTurnEndedEagerly(SAID)),
        (2.2, ev.CallerTurnResumed(SAID)),
        (3.0, ev.CallerTurnEnded(SAID)),
        (3.0, ev.TurnTaken(1, SAID, "speech", 1.5, 2.9)),
        (3.4, used("first")),
        (3.5, ev.AgentToolCalled(1, 1, "t1", "find", SAID, timeout_seconds=3.0)),
        (4.5, ev.AgentToolFinished(1, 1, "t1", "find", False, 503, 1.0, SAID)),
        (4.9, used("second")),
        (9.0, ev.CallEnded("caller_hangup")),
    )

    asked = [span for span in trace.spans if span.name == "chat m"]
    # The rows of an eager end have no turn here, so the turn that was taken says when the model could be asked.
    assert [(span.began, span.ended) for span in asked] == [(3.0, 3.4), (4.5, 4.9)]
    assert [span.attributes["voice.request_ids"] for span in asked] == [("first",), ("second",)]
    tool, turn, ringing = the(trace, "execute_tool find"), the(trace, "turn"), the(trace, "ringing")
    assert (tool.began, tool.ended, tool.error) == (3.5, 4.5, "503")
    assert (turn.began, turn.ended, {tool.parent, asked[0].parent}) == (1.5, 4.9, {turn.key})
    assert (ringing.began, ringing.ended, ringing.parent) == (0.0, 0.9, "call")


def test_what_has_no_end_ends_with_the_call_and_is_an_error() -> None:
    trace = a_trace(
        (1.0, ev.AgentToolCalled(1, 1, "t1", "book", SAID, timeout_seconds=3.0)),
        (2.0, ev.CallEnded("crashed", "ours")),
    )

    assert (the(trace, "execute_tool book").ended, the(trace, "execute_tool book").error) == (2.0, "unfinished")
    assert the(trace, "call").error == "ours"


@pytest.mark.parametrize(("fault", "error"), [("none", None), ("caller", None), ("provider:openai", "provider:openai")])
def test_a_call_that_nobody_is_to_blame_for_is_no_error(fault: str, error: str | None) -> None:
    assert the(a_trace((1.0, ev.CallEnded("caller_hangup", fault))), "call").error == error


def test_no_words_get_into_a_trace_whoever_said_them() -> None:
    trace = a_trace(
        (1.0, ev.TurnTaken(1, SAID, "speech", 0.5, 0.9)),
        (1.1, ev.AgentToolCalled(1, 1, "t1", SAID, SAID, refused=True)),
        (1.2, ev.ProviderFailed("openai", "think", "rejected", final=True, turn=1, reason=SAID)),
        (1.3, ev.AgentReplyStarted(1, 1, "reply", {"first_frame": 1.3})),
        (1.4, ev.AgentInterrupted(1, 1, SAID, SAID)),
        (1.5, ev.TransferStarted("sales")),
        (1.6, ev.TransferFailed("busy")),
        (1.7, ev.CallerDtmf("7")),
        (2.0, ev.CallEnded("caller_hangup", "none", SAID)),
    )

    assert "Secret" not in str(trace)
    assert "495" not in str(trace)
    assert [span.error for span in trace.spans if span.error] == ["refused", "rejected", "busy"]


def test_rows_that_cannot_be_read_cost_their_spans_and_no_rows_at_all_the_trace() -> None:
    rows = [row(1, 0.0, ev.CallCreated({}, "en")), JournalRow(2, "", 1.0, "provider.used", 1, 1, {"provider": 5})]

    made = call_trace("call_1", rows)

    assert made is not None
    assert [span.name for span in made.spans] == ["call"]
    assert call_trace("call_1", []) is None
