"""An answer that waits for a tool behind a line is meant to wait: it is late only if the tool was called late."""

import json
from typing import Any

import pytest

from app.conversation import events as ev
from app.journal.record import call_record
from app.journal.timeline import timeline
from app.models import JournalRow

CREATED = ev.CallCreated({"max_response_seconds": 1.5}, "en")
STAMPS = {"last_voiced": 10.0, "turn_ended": 10.3, "first_token": 15.7, "first_frame": 16.0}


def journal(*facts: tuple[float, ev.Event]) -> list[JournalRow]:
    """Rows as they come back from a store."""
    begun = ((0.0, CREATED), (2.0, ev.CallAnswered()))
    return [
        JournalRow(
            seq, "2026-11-22T10:00:00.000Z", t, event.type, getattr(event, "turn", None), ev.VERSION,
            json.loads(json.dumps(ev.row_data(event))),
        )
        for seq, (t, event) in enumerate((*begun, *facts), start=1)
    ]  # fmt: skip


def latency_of(*facts: tuple[float, ev.Event]) -> dict[str, Any]:
    """Of the only answer."""
    [turn] = [turn for turn in call_record(journal(*facts)).turns if turn.role == "assistant"]
    assert turn.latency is not None
    return turn.latency


def bridged_turn(called_t: float, *tools: tuple[float, ev.Event], filler_t: float = 11.2) -> dict[str, Any]:
    return latency_of(
        (10.3, ev.TurnTaken(2, "When?", "speech", 9.0, 10.0)),
        (called_t, ev.AgentToolCalled(2, 4, "tool-1", "find_times", "{}", timeout_seconds=8.0, line="One moment.")),
        (filler_t, ev.AgentReplyStarted(2, 3, "filler", {"first_frame": filler_t})),
        *tools,
        (16.0, ev.AgentReplyStarted(2, 4, "reply", STAMPS)),
        (17.0, ev.AgentFinished(2, 4, "At nine.", "At nine.")),
    )


@pytest.mark.parametrize(("called_t", "kept"), [(9.9, True), (10.8, True), (11.5, True), (11.6, False)])
def test_an_answer_that_waits_for_a_tool_behind_a_line_is_late_only_if_the_tool_was_called_late(
    called_t: float, kept: bool
) -> None:
    finished = ev.AgentToolFinished(2, 4, "tool-1", "find_times", True, 200, 4.0, "{}")
    latency = bridged_turn(called_t, (15.0, finished), filler_t=called_t + 0.4)

    assert (latency["total"], latency["bridged"], latency["budget_kept"]) == (6.0, True, kept)


def test_a_filler_after_the_tool_is_not_a_bridge() -> None:
    finished = ev.AgentToolFinished(2, 4, "tool-1", "find_times", True, 200, 0.005, "{}")
    latency = latency_of(
        (10.8, ev.AgentToolCalled(2, 4, "tool-1", "find_times", "{}", timeout_seconds=8.0, line="One moment.")),
        (10.9, finished),
        (11.4, ev.AgentReplyStarted(2, 3, "filler", {"first_frame": 11.4})),
        (16.0, ev.AgentReplyStarted(2, 4, "reply", STAMPS)),
    )

    assert (latency["bridged"], latency["budget_kept"]) == (False, False)


@pytest.mark.parametrize(
    "called",
    [
        ev.AgentToolCalled(2, 4, "tool-1", "send_dtmf", '{"digits": "1"}'),
        ev.AgentToolCalled(2, 4, "tool-1", "find_times", "[", timeout_seconds=8.0, refused=True),
        ev.AgentToolCalled(1, 1, "tool-1", "find_times", "{}", timeout_seconds=8.0),
    ],
    ids=["built in", "refused", "of an earlier turn"],
)
def test_what_is_not_waited_for_bridges_nothing(called: ev.AgentToolCalled) -> None:
    latency = latency_of(
        (10.8, called),
        (11.4, ev.AgentReplyStarted(2, 3, "filler", {"first_frame": 11.4})),
        (16.0, ev.AgentReplyStarted(2, 4, "reply", STAMPS)),
    )

    assert (latency["bridged"], latency["budget_kept"]) == (False, False)


def test_the_timeline_calls_an_intended_wait_neither_late_nor_wrong() -> None:
    moments = timeline(
        journal(
            (10.3, ev.TurnTaken(2, "When?", "speech", 9.0, 10.0)),
            (10.8, ev.AgentToolCalled(2, 4, "tool-1", "find_times", "{}", timeout_seconds=8.0, line="One moment.")),
            (11.2, ev.DeadlinePassed("filler")),
            (11.2, ev.AgentReplyStarted(2, 3, "filler", {"first_frame": 11.2})),
            (15.0, ev.AgentToolFinished(2, 4, "tool-1", "find_times", True, 200, 4.0, "{}")),
            (16.0, ev.AgentReplyStarted(2, 4, "reply", STAMPS)),
            (17.0, ev.DeadlinePassed("filler")),
        )
    )

    assert [moment.row.seq for moment in moments if moment.tone == "wrong"] == [9], "only the last has no tool"
    assert not any("(late)" in moment.text for moment in moments)
