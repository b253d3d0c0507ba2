"""The same journal gives the same commands."""

import json
from dataclasses import asdict

import pytest

from app.conversation import events as ev
from app.conversation.commands import Command, Say, StartReply
from app.conversation.replay import core_of, replay
from app.models import JournalRow
from tests.conversation.script import LINES, Call, greeted_call


def journal_of(call: Call) -> list[JournalRow]:
    """As it comes back from a store."""
    return [JournalRow(**json.loads(json.dumps(asdict(row)))) for row in call.rows]


def a_call_with_everything() -> Call:
    call = greeted_call(idle_prompts=1, min_confidence=0.5)
    call.caller_seems_to_end("I want").caller_resumes().caller_says("I want to pay").wait(1.5).agent_says_the_line()
    call.agent_begins("Gladly. ").caller_says("uh-huh").agent_goes_on("With a card?")
    call.caller_has_heard("Gladly. With").caller_says("Нет, наличными", language="ru").thinking_fails()
    call.agent_says_the_line().caller_says("mmph", confidence=0.4).agent_says_the_line().caller_presses("12#").wait(0)
    call.operator_says("The till is open.").agent_says("Спасибо.").agent_says_the_line().hearing_fails()
    return call.wait(3).agent_says_the_line().hearing_works_again().service_stops().agent_says_the_line()


def commands_of(rows: list[JournalRow]) -> list[list[Command]]:
    return [commands for _, commands in replay(rows)]


def test_a_journal_gives_the_commands_that_were_given() -> None:
    call = a_call_with_everything()

    assert call.ended is not None
    assert commands_of(journal_of(call)) == call.answers


def test_a_journal_that_broke_off_leads_to_the_core_that_was_left() -> None:
    call = greeted_call().caller_says("I want to pay").wait(0.5)

    rows = journal_of(call)
    core = core_of(ev.CallCreated(rows[0].data["policy"], rows[0].data["language"]))
    for row in rows:
        event = ev.from_row(row)
        assert event is not None
        core.handle(event, row.t)

    assert repr(core) == repr(call.core)
    assert core.next_deadline() == call.core.next_deadline()


def test_each_row_stands_beside_its_commands() -> None:
    rows = journal_of(greeted_call().caller_says("I want to pay"))

    asked = [(row.type, command) for row, commands in replay(rows) for command in commands]

    assert ("call.answered", Say(1, 1, "greeting", "en", LINES.greeting)) in asked
    assert ("caller.turn_ended", StartReply(2, 2, "en", "I want to pay")) in asked


def test_rows_that_this_version_does_not_know_change_nothing() -> None:
    call = greeted_call().caller_says("I want to pay")
    rows = journal_of(call)
    strange = JournalRow(99, rows[-1].at, rows[3].t, "caller.sneezed", None, 9, {"loud": True})

    answers = replay([*rows[:3], strange, *rows[3:]])

    assert answers[3] == (strange, [])
    assert [commands for row, commands in answers if row is not strange] == call.answers


def test_the_policy_of_the_journal_counts_not_the_present_one() -> None:
    call = Call(ring_seconds=7.0)

    assert core_of(ev.CallCreated(journal_of(call)[0].data["policy"], "en")).next_deadline() == 7.0


def test_a_journal_must_begin_with_its_first_row() -> None:
    with pytest.raises(ValueError, match=r"call\.created"):
        replay(journal_of(greeted_call())[1:])


def test_no_journal_gives_nothing() -> None:
    assert replay([]) == []
