"""Which turns were never answered, and which calls were given up, whatever else the agent said meanwhile."""

import pytest

from app.conversation import events as ev
from app.journal.record import CallRecord, call_record
from tests.journal.test_record import answered_turn, journal, record_of

HUNG_UP = "caller_hangup"
Events = list[tuple[float, ev.Event]]


def asked(number: int, at: float) -> tuple[float, ev.Event]:
    """A question whose last sound was at that time."""
    return at + 0.3, ev.TurnTaken(number, "When?", "speech", at - 1.0, at, "en", 0.9)


def says(number: int, speech: int, kind: str, at: float, heard: str = "One moment.") -> Events:
    return [
        (at, ev.AgentReplyStarted(number, speech, kind)),
        (at + 0.8, ev.AgentFinished(number, speech, heard, heard)),
    ]


def ended(at: float, reason: str = HUNG_UP) -> tuple[float, ev.Event]:
    return at, ev.CallEnded(reason)


def test_two_of_three_questions_that_got_only_a_filler_are_unanswered() -> None:
    record = record_of(
        *answered_turn(2, 10.0),
        asked(3, 20.0),
        *says(3, 10, "filler", 21.5),
        asked(4, 29.5),
        *says(4, 11, "filler", 31.0),
        ended(38.0),
    )

    assert record.unanswered == {3: 8.5, 4: 8.5}
    assert record.summary()["unanswered"] == {"count": 2, "waited_seconds": [8.5, 8.5]}
    assert [turn.waited_seconds for turn in record.turns if turn.role == "user"] == [None, 8.5, 8.5]
    assert [turn.waited_seconds for turn in record.turns if turn.role == "assistant"] == [None]
    assert [(filler.number, filler.text, filler.started_at) for filler in record.fillers] == [
        (3, "One moment.", 19.5), (4, "One moment.", 29.0),
    ]  # fmt: skip
    assert record.latency()["total"]["count"] == 1
    assert record.abandoned == "waiting"


@pytest.mark.parametrize(
    ("events", "waited"),
    [
        (says(3, 10, "reply", 21.0), {}),
        (says(3, 10, "goodbye", 21.0), {}),
        (says(3, 10, "transfer", 21.0), {}),
        (says(3, 10, "prompt", 21.0), {}),  # what the model refuses gets a fixed line
        (says(3, 10, "filler", 21.0), {3: 10.0}),
        (says(3, 10, "apology", 24.0), {3: 4.0}),
        (says(4, 10, "say", 21.0), {3: 10.0}),
        (says(4, 10, "prompt", 21.0), {3: 10.0}),
        (says(4, 10, "goodbye", 28.0), {3: 10.0}),
        ([(21.0, ev.AgentInterrupted(3, 10, "At", "At nine."))], {}),
        ([(21.0, ev.AgentInterrupted(3, 10, "", "At nine."))], {3: 10.0}),
        ([(25.0, ev.CallerSoundStarted(24.9))], {3: 10.0}),
        ([], {3: 10.0}),
    ],
)
def test_what_answers_a_turn_and_what_does_not(events: Events, waited: dict[int, float]) -> None:
    assert record_of(*answered_turn(2, 10.0), asked(3, 20.0), *events, ended(30.0)).unanswered == waited


def test_the_last_turn_of_a_live_call_may_still_be_answered() -> None:
    assert record_of(asked(3, 20.0)).unanswered == {}
    assert record_of(asked(3, 20.0), asked(4, 26.0)).unanswered == {3: 5.0}
    assert record_of(asked(3, 20.0), asked(4, 26.0)).abandoned is None


def unanswered_call(*events: tuple[float, ev.Event]) -> CallRecord:
    return call_record(journal((0.0, ev.CallCreated({}, "en")), *events))


GREETED = [(2.0, ev.CallAnswered()), *says(1, 1, "greeting", 2.2, "Hello.")]


@pytest.mark.parametrize(
    ("events", "abandoned"),
    [
        ([ended(4.0)], "ringing"),
        ([*GREETED, ended(7.0)], "early"),
        ([*GREETED, ended(11.9)], "early"),
        ([*GREETED, ended(12.1)], None),
        ([*GREETED, *answered_turn(2, 5.0), ended(9.0)], None),
        ([*GREETED, asked(2, 5.0), ended(8.0)], "waiting"),
        ([*GREETED, asked(2, 25.0), ended(33.0)], "waiting"),
        ([*GREETED, asked(2, 25.0), *says(2, 2, "filler", 26.0), ended(33.0)], "waiting"),
        ([*GREETED, asked(2, 25.0), *says(2, 2, "apology", 27.0), ended(33.0)], None),
        ([*GREETED, *answered_turn(2, 25.0), ended(60.0)], None),
        ([*GREETED, *answered_turn(2, 25.0), *says(3, 3, "goodbye", 28.0), ended(30.0)], None),
        ([*GREETED, *says(2, 2, "goodbye", 4.0), ended(6.0)], None),
        ([*GREETED, *answered_turn(2, 25.0), (28.0, ev.TransferStarted("desk")), ended(40.0)], "waiting"),
        (
            [*GREETED, *answered_turn(2, 25.0), (28.0, ev.TransferStarted("desk")),
             (30.0, ev.TransferFailed("busy")), ended(40.0)],
            None,
        ),
        ([*GREETED, asked(2, 5.0), ended(8.0, "media_lost")], None),
        ([ended(4.0, "no_answer")], None),
        ([*GREETED, ended(7.0, "operator_hangup")], None),
        ([*GREETED, ended(7.0, "crashed")], None),
        ([*GREETED], None),
    ],
)  # fmt: skip
def test_abandoned_calls_are_distinguished(events: Events, abandoned: str | None) -> None:
    record = unanswered_call(*events)

    assert record.abandoned == abandoned
    assert record.summary()["abandoned"] == abandoned
