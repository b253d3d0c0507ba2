"""The same journal gives the same commands."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from app.conversation import events as ev
from app.conversation.commands import Command, Say, StartReply
from app.conversation.phases import CallPhase
from app.journal.replay import Difference, core_of, differences, replay
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
    call.operator_says("The till is open.").agent_says_the_line().agent_says("Спасибо.").hearing_fails()
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


# --- what is decided otherwise ----------------------------------------------------------------------------------------


def ended_as(call: Call, reason: str, *, without_last: int = 0) -> list[JournalRow]:
    """Its process died, perhaps before the last rows were written, and another one wrote the end."""
    rows = journal_of(call)[: len(call.rows) - without_last]
    return [*rows, JournalRow(len(rows) + 1, rows[-1].at, rows[-1].t, "call.ended", None, 1, {"reason": reason})]


def test_a_journal_is_decided_as_it_was() -> None:
    assert differences(journal_of(a_call_with_everything())) == []


def test_a_core_with_other_manners_decides_otherwise_from_the_row_where_it_shows() -> None:
    call = greeted_call(min_confidence=0.2).caller_says("I want to pay", confidence=0.3)
    first, *others = journal_of(call)
    first.data["policy"]["min_confidence"] = 0.5

    found = differences([first, *others])

    taken = next(row for row in others if row.type == "turn.taken")
    assert found[0] == Difference(taken, ev.from_row(taken), None)
    assert [difference.row.seq for difference in found] == sorted(difference.row.seq for difference in found)


def test_an_utterance_that_nobody_asks_for_today_is_a_difference() -> None:
    call = greeted_call()
    strange = JournalRow(99, call.rows[-1].at, call.now, "agent.reply_started", 7, 1, {"speech": 7, "kind": "reply"})

    assert differences([*journal_of(call), strange]) == [Difference(strange, ev.from_row(strange), None)]


def test_another_end_is_a_difference() -> None:
    call = greeted_call().operator_hangs_up()
    *others, last = journal_of(call)
    last.data["reason"] = "silence"

    found = differences([*others, last])

    assert [(each.then, each.now) for each in found] == [
        (None, ev.CallEnded("operator_hangup")),
        (ev.CallEnded("silence"), None),
    ]


def test_the_end_of_a_call_whose_process_died_was_decided_by_no_core() -> None:
    assert differences(ended_as(greeted_call().caller_says("I want to pay"), "crashed")) == []


def test_a_decision_that_died_with_its_process_is_not_a_difference() -> None:
    call = greeted_call().caller_says("I want to pay")
    assert [row.type for row in call.rows[-2:]] == ["turn.taken", "state.changed"]

    assert differences(ended_as(call, "crashed", without_last=2)) == []
    assert differences(journal_of(call)[:-2]) == []  # nor in a call that lives
    assert len(differences(ended_as(call, "operator_hangup", without_last=2))) > 0


# --- journals of an older version -------------------------------------------------------------------------------------


def older_journals() -> list[list[JournalRow]]:
    """Calls that a version without phases held; together they have every row type that a core writes or reads."""
    journals: dict[int, list[JournalRow]] = {}
    for line in (Path(__file__).parent / "older_calls.jsonl").read_text().splitlines():
        row = json.loads(line)
        journals.setdefault(row.pop("call"), []).append(JournalRow(**row))
    return list(journals.values())


DECIDED_OTHERWISE: dict[int, list[tuple[int, ev.Event | None]]] = {
    30: [
        (17, ev.TurnTaken(3, "yes", "speech", 4.0, 4.0)),
        (17, ev.TurnTaken(4, "[keypad] 42", "keypad", 8.0, 8.0)),
        (18, None),
    ]
}
"""By number of rows: that version lost the words before the keys when speech to text had not ended their turn."""


@pytest.mark.parametrize("rows", older_journals(), ids=len)
def test_a_journal_of_an_older_version_is_decided_as_it_was(rows: list[JournalRow]) -> None:
    found = [(each.row.seq, each.now) for each in differences(rows)]

    assert found == DECIDED_OTHERWISE.get(len(rows), [])


def test_the_phases_of_an_older_call_are_read_off_its_replay() -> None:
    phases = []
    for rows in older_journals():
        core = core_of(ev.CallCreated(rows[0].data["policy"], rows[0].data["language"]))
        for row in rows:
            event = ev.from_row(row)
            assert event is not None
            core.handle(event, row.t)
            phases.append(core.phase)

    assert set(phases) == set(CallPhase)
