"""``explain``, ``replay`` and ``verify``: a stored call, as an operator sees it."""

import json
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from app.agent_tests.file import read_test_file
from app.conversation.deadlines import Deadline
from app.conversation.events import EVENT_TYPES
from app.journal.timeline import LATE, OMITTED, USUAL, timeline
from app.models import JournalRow
from app.observability.trace_ids import trace_id
from app.ports.services import CallEnding
from app.storage.outbox import Outbox, Subscription
from media.formats import AudioFormat
from media.recording import Recorder
from tests.cli.test_commands import run
from tests.conversation.script import Call, greeted_call
from tests.storage.stores import END, a_call, open_stores

HOSTILE = "hello \x1b[2J\x1b]0;owned\x07 [bold]there[/bold]\nturn.taken"


def rows_of(call: Call) -> list[JournalRow]:
    return [JournalRow(**json.loads(json.dumps(asdict(row)))) for row in call.rows]


def a_night_to_ask_about() -> Call:
    call = greeted_call().caller_says("I want to pay").agent_says("Gladly. With a card?")
    call.caller_says(HOSTILE).thinking_fails().agent_says_the_line().hearing_fails().hearing_works_again()
    return call.operator_hangs_up()


async def keep(folder: Path, rows: Sequence[JournalRow], reason: str = "operator_hangup", **columns: object) -> None:
    ending = CallEnding(ended_at=END, duration_seconds=20.0, end_reason=reason, fault="provider:openai")
    async with open_stores(folder) as stores:
        await stores.calls.create(a_call(caller_number="+79990001122", **columns))
        for row in rows:
            stores.journal.append("call-1", 1, row, ending if row.type == "call.ended" else None)
        await stores.journal.flush("call-1")


def ask(folder: Path, command: str, call_id: str = "call-1") -> CompletedProcess[str]:
    return run(folder, command, call_id, DATA_DIR=str(folder))


async def test_a_call_is_explained_with_what_went_wrong_first(tmp_path: Path) -> None:
    await keep(tmp_path, rows_of(a_night_to_ask_about()), livekit_room="call_1", sip_call_id="SCL_1")

    shown = ask(tmp_path, "explain")

    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("call-1: web, from +79990001122")
    assert lines[2] == "room call_1, SIP call SCL_1, process worker-a"
    assert lines[3] == "operator_hangup after 20.0 s; fault: provider:openai (openai failed)"
    assert lines[4].startswith("What went wrong (")
    assert "openai cannot think: " in lines[5]
    asked, answered = (shown.stdout.index(text) for text in ("I want to pay", "Gladly. With a card?"))
    assert asked < answered
    assert "telephony unknown" in shown.stdout


async def test_a_call_is_explained_by_the_id_of_a_webhook_that_reported_it(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await Outbox(stores.database).subscribe([Subscription("mine", None, frozenset({"call.ended"}))])
    await keep(tmp_path, rows_of(a_night_to_ask_about()))
    async with open_stores(tmp_path) as stores:
        (sent,) = await Outbox(stores.database).list(None, limit=10)

    shown = ask(tmp_path, "explain", sent.message_id[:12])

    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("call-1: ")
    assert lines[-2:] == [f"trace {trace_id('call-1')}", f"webhook {sent.message_id} call.ended, pending"]
    assert lines[-3].startswith("requests ")
    nothing = ask(tmp_path, "explain", "msg_of_nobody")
    assert (nothing.returncode, "There is no call msg_of_nobody" in nothing.stderr) == (1, True)


async def test_what_a_caller_says_cannot_control_the_terminal(tmp_path: Path) -> None:
    await keep(tmp_path, rows_of(a_night_to_ask_about()))

    shown = ask(tmp_path, "explain").stdout

    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "hello [2J ]0;owned [bold]there[/bold] turn.taken" in shown


async def test_a_tool_with_an_unknown_outcome_is_among_what_went_wrong(tmp_path: Path) -> None:
    called = {"speech": 2, "id": "t1", "name": "book_table", "arguments": "{}", "timeout_seconds": 8.0}
    rows = [
        JournalRow(1, END, 0.0, "call.created", None, 1, {"policy": {}, "language": "en"}),
        JournalRow(2, END, 1.0, "call.answered", None, 1, {"since_t": 1.0}),
        JournalRow(3, END, 5.0, "agent.tool_called", 2, 1, called),
        JournalRow(4, END, 7.0, "call.ended", None, 1, {"reason": "crashed", "fault": "ours"}),
    ]
    await keep(tmp_path, rows, "crashed")

    shown = ask(tmp_path, "explain").stdout

    trouble = shown.partition("What went wrong")[2].partition("\n\n")[0]
    assert "book_table {}: called; outcome unknown" in trouble


async def test_a_live_call_is_explained_so_far(tmp_path: Path) -> None:
    await keep(tmp_path, rows_of(greeted_call().caller_says("I want to pay")))

    shown = ask(tmp_path, "explain")

    assert shown.returncode == 0
    assert "still active" in shown.stdout
    assert "ended not yet" in shown.stdout


@pytest.mark.parametrize("command", ["explain", "replay"])
async def test_a_missing_call_is_reported(tmp_path: Path, command: str) -> None:
    nothing = ask(tmp_path, command)
    await keep(tmp_path, [])
    unknown = ask(tmp_path, command, "call-2")

    assert (nothing.returncode, nothing.stdout) == (unknown.returncode, unknown.stdout) == (1, "")
    assert "there is no database" in nothing.stderr
    assert "There is no call call-2 in" in unknown.stderr
    assert "Traceback" not in nothing.stderr + unknown.stderr


async def test_a_call_is_decided_again_as_it_was(tmp_path: Path) -> None:
    await keep(tmp_path, rows_of(a_night_to_ask_about()))

    shown = ask(tmp_path, "replay")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert "of version 1.2.3: the same decisions" in shown.stdout


async def test_a_different_decision_is_shown(tmp_path: Path) -> None:
    rows = rows_of(a_night_to_ask_about())
    rows[-1].data["reason"] = "silence"
    await keep(tmp_path, rows)

    shown = ask(tmp_path, "replay")

    assert shown.returncode == 1
    assert "CallEnded(reason='silence'" in shown.stdout
    assert "2 differences" in shown.stdout


async def test_in_a_call_that_never_ran_nothing_was_decided(tmp_path: Path) -> None:
    ended = JournalRow(1, END, 0.0, "call.ended", None, 1, {"reason": "rejected_capacity", "fault": "policy"})
    await keep(tmp_path, [ended], "rejected_capacity")

    shown = ask(tmp_path, "replay")

    assert shown.returncode == 1
    assert "never ran" in shown.stdout
    assert "rejected_capacity" in shown.stdout
    assert ask(tmp_path, "explain").returncode == 0


def test_every_event_and_every_deadline_has_its_words() -> None:
    rows = [JournalRow(1, END, 0.0, kind, None, 1, {}) for kind in EVENT_TYPES if kind not in OMITTED]
    wordless = []
    for row in rows:
        with suppress(KeyError):  # a KeyError for missing data means there are words
            wordless += [moment.row.type for moment in timeline([row]) if moment.text == "{}"]

    assert wordless == []
    assert {*LATE, *USUAL} == set(Deadline)
    assert not LATE.keys() & USUAL.keys()


def test_a_row_of_another_version_is_shown_as_it_is() -> None:
    [moment] = timeline([JournalRow(1, END, 0.0, "caller.sneezed", None, 9, {"loud": True})])

    assert moment.text == "{'loud': True}"


def test_an_answer_that_kept_the_budget_is_none_of_what_went_wrong() -> None:
    def begun(at: float) -> JournalRow:
        data = {"speech": 2, "kind": "reply", "stamps": {"last_voiced": 1.0, "first_frame": at}}
        return JournalRow(2, END, at, "agent.reply_started", 2, 1, data)

    created = JournalRow(1, END, 0.0, "call.created", None, 1, {"policy": {"max_response_seconds": 1.5}})

    assert [timeline([created, begun(at)])[-1].tone for at in (2.4, 2.6)] == ["agent", "wrong"]


def test_what_the_agent_looked_up_is_shown_by_its_source() -> None:
    def searched(**data: object) -> str:
        row = JournalRow(2, END, 1.0, "knowledge.searched", 1, 1, {"speech": 2, "seconds": 0.1, **data})
        [moment] = timeline([row])
        return moment.text

    passages = [
        {"file": "a.md", "heading": "A › B", "line": 7, "text": "x"},
        {"file": "b.txt", "heading": "", "line": 1, "text": "y"},
    ]
    assert searched(passages=passages) == "in the agent's files: a.md line 7 (A › B); b.txt line 1"
    assert searched(passages=[]) == "in the agent's files: nothing that fits"
    assert searched(passages=[], problem="late") == "the agent's files were not searched: late after 0.100 s"
    created = {"language": "en", "agent": {"name": "clinic", "knowledge": {"in_prompt": True, "files": {"a.md": "0"}}}}
    [moment] = timeline([JournalRow(1, END, 0.0, "call.created", None, 1, created)])
    assert moment.text.endswith("; knows a.md (all in the prompt)")


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("lost", "openai cannot think: length"),
        ("cut", "cut the answer short: length"),
        ("refused", "refused what was said"),
    ],
)
def test_what_happened_to_an_answer_is_explained(answer: str, shown: str) -> None:
    data = {"provider": "openai", "stage": "think", "code": "length", "final": True, "answer": answer}
    [moment] = timeline([JournalRow(1, END, 0.0, "provider.failed", 2, 1, data)])

    assert shown in moment.text


def test_a_late_answer_is_not_said_to_have_had_a_filler() -> None:
    """The deadline passes also when no filler is left, or while the caller makes a sound."""
    [moment] = timeline([JournalRow(1, END, 3.0, "deadline.passed", None, 1, {"name": Deadline.FILLER})])

    assert moment.text == "the answer is late"


async def test_a_call_that_was_given_up_says_when_and_what_the_caller_waited_for(tmp_path: Path) -> None:
    call = greeted_call().caller_says("I want to pay")
    await keep(tmp_path, rows_of(call.caller_hangs_up()), "caller_hangup")

    shown = ask(tmp_path, "explain").stdout

    assert "abandoned: the caller hung up while they waited" in shown
    assert "turn 2 was never answered: the caller waited " in shown
    assert "TELEPHONY_USD_PER_MINUTE" in shown


async def test_what_is_missing_from_the_recording_is_told(tmp_path: Path) -> None:
    await keep(tmp_path, rows_of(greeted_call().caller_hangs_up()), "caller_hangup", recording=True)
    lost = ask(tmp_path, "explain").stdout
    recorder = Recorder(tmp_path / "recordings" / "call-1", "worker", AudioFormat("pcm_s16le", 8000))
    recorder.caller(b"\x01\x02" * 8000 * 12, 0.0)
    recorder.close()
    assert recorder.join(60)

    shown = ask(tmp_path, "explain").stdout

    assert "recording failed: 0.0 to 20.0 s missing" in lost
    assert "recording gaps: 12.0 to 20.0 s missing" in shown


# verify


async def test_a_journal_is_as_it_was_written_until_somebody_changes_it(tmp_path: Path) -> None:
    await keep(tmp_path, rows_of(a_night_to_ask_about()))
    whole = ask(tmp_path, "verify")
    assert whole.returncode == 0, whole.stderr
    assert "is as it was written" in whole.stdout
    seal = whole.stdout.split()[-1]

    with closing(sqlite3.connect(tmp_path / "calls.db")) as database, database:
        database.execute("""UPDATE journal SET data = replace(data, 'pay', 'win') WHERE type = 'turn.taken'""")
    changed = ask(tmp_path, "verify")
    assert changed.returncode == 1
    assert re.search(r"not as it was written:\s+row \d+ was changed", changed.stdout)
    assert run(tmp_path, "verify", "call-1", "--seal", seal, DATA_DIR=str(tmp_path)).returncode == 1


async def test_an_erased_call_keeps_its_seal(tmp_path: Path) -> None:
    await keep(tmp_path, rows_of(a_night_to_ask_about()))
    seal = ask(tmp_path, "verify").stdout.split()[-1]
    async with open_stores(tmp_path) as stores:
        await stores.calls.delete("call-1")

    erased = ask(tmp_path, "verify")
    assert erased.returncode == 2
    assert "was erased at " in erased.stdout
    assert f"Its seal was {seal}." in erased.stdout
    assert run(tmp_path, "verify", "call-1", "--seal", "0" * 64, DATA_DIR=str(tmp_path)).returncode == 1


async def test_nobody_can_say_of_a_live_call_or_of_none(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())

    assert "has not ended" in (live := ask(tmp_path, "verify")).stdout
    assert "There is no call" in (none := ask(tmp_path, "verify", "call-2")).stderr
    assert live.returncode == none.returncode == 2


async def test_a_stored_call_becomes_a_file_of_tests(tmp_path: Path) -> None:
    call = a_night_to_ask_about()
    await keep(tmp_path, rows_of(call), recording=True)
    recorder = Recorder(tmp_path / "recordings" / "call-1", "worker", AudioFormat("pcm_s16le", 8000))
    recorder.caller(b"\x00\x40" * 8000 * 9, 0.0)
    recorder.close()
    assert recorder.join(60)

    printed = run(tmp_path, "test", "--from", "call-1", DATA_DIR=str(tmp_path))
    written = run(tmp_path, "test", "--from", "call-1", "--output", "night.tests.yaml", DATA_DIR=str(tmp_path))

    assert (printed.returncode, written.returncode) == (0, 0), written.stderr
    assert "sound" not in printed.stdout
    assert "--output FILE also writes their sound" in printed.stderr
    assert "2 pieces of sound in night.sound" in written.stderr
    test = read_test_file(tmp_path / "night.tests.yaml")
    (scenario,) = test.scenarios
    assert scenario.name == "call-1"
    assert scenario.caller.lines is not None
    line = scenario.caller.lines[0]
    assert not isinstance(line, str)
    assert (line.say, test.sound(line)) == ("I want to pay", tmp_path / "night.sound" / "01.wav")
    assert (tmp_path / "night.sound" / "01.wav").stat().st_mode & 0o777 == 0o600
    assert [each.caller for each in scenario.recorded][1] == "I want to pay"
    assert scenario.expect[-1].end_reason == "operator_hangup"


async def test_another_policy_is_replayed_offline(tmp_path: Path) -> None:
    await keep(tmp_path, rows_of(a_night_to_ask_about()))

    shown = run(tmp_path, "replay", "call-1", "--set", "policy.reply_seconds=0.5", DATA_DIR=str(tmp_path))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "with this policy nothing would differ" in shown.stdout
