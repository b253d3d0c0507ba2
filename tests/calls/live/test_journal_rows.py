"""Laws of the journal that a call writes, whatever happens in it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.conversation import events as ev
from app.conversation.commands import Record, RunTool
from app.errors import ProviderTimeout, ProviderUnavailable
from app.journal.replay import replay
from app.models import JournalRow
from app.ports.streams import StreamLost, StreamRestored, Transcript, TurnEndedEagerly, TurnResumed
from tests.calls.fakes import LiveCall, World, in_virtual_time, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import Answer, ScriptedModel, ScriptedTool, Trouble

STORY = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed. Come when you like."
CUT = ProviderUnavailable("openai", "the connection was cut")
DECISIONS = ("state.changed", "turn.taken", "caller.ignored")

ACTS: dict[str, Callable[[LiveCall], None]] = {
    "asks": lambda call: call.says("When do you open?"),
    "nods": lambda call: call.says("uh-huh"),
    "mumbles": lambda call: call.says(""),
    "sound": lambda call: call.body.emit(ev.CallerSoundStarted(call.now)),
    "silence": lambda call: call.body.emit(ev.CallerSoundStopped(call.now)),
    "words": lambda call: call.body.emit(ev.CallerWords("no wait, tomorrow please")),
    "perhaps": lambda call: call.hears(TurnEndedEagerly(Transcript("When do you"))),
    "goes on": lambda call: call.hears(TurnResumed(Transcript("When do you open"))),
    "key": lambda call: call.body.press("5"),
    "hash": lambda call: call.body.press("#"),
    "operator": lambda call: call.operator_says("Your taxi is here."),
    "deaf": lambda call: call.hears(StreamLost(ProviderUnavailable("deepgram", "cut"), final=False)),
    "hears": lambda call: call.hears(StreamRestored(1.0)),
    "voice trouble": lambda call: call.world.voice.troubles.append(Trouble(0.8)),
    "voice down": lambda call: setattr(call.world.voice, "down", ProviderTimeout("cartesia", "no audio")),
    "voice up": lambda call: setattr(call.world.voice, "down", None),
    "shutdown": lambda call: call.body.emit(ev.HangupRequested("shutdown")),
}
SCRIPTS = st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from([0.0, 0.01, 0.3, 1.1, 4.0])), max_size=14)
ANSWERS = st.lists(
    st.sampled_from(
        [
            Answer(STORY),
            Answer("At nine."),
            Answer("At nine. Goodbye!", tool="end_call"),
            Answer(tool="find_times"),
            Answer("One moment.", tool="book"),
            Answer(tool="book", arguments="{"),
            Answer("At nine.", first_token=2.0),
            Answer(STORY[:50], each_token=0.1, fails=CUT),
            Answer(fails=CUT),
            Answer(),
        ]
    ),
    min_size=1,
    max_size=4,
)


async def lives_through(script: list[tuple[str, float]], answers: list[Answer], far_end: FarEnd) -> LiveCall:
    world = World(model=ScriptedModel(*answers))
    world.has_tool(ScriptedTool("find_times", "GET"))
    world.has_tool(ScriptedTool("book", "POST", seconds=2.0))
    async with live_call(world, far_end, greeted=False) as call:
        for act, seconds in script:
            ACTS[act](call)
            await asyncio.sleep(seconds)
    assert world.model.open_streams == 0
    assert not any(utterance.is_open for utterance in world.voice.utterances)
    return call


def as_read(rows: list[JournalRow]) -> list[JournalRow]:
    """The rows as storage gives them back."""
    return [replace(row, data=json.loads(json.dumps(row.data))) for row in rows]


def assert_laws(call: LiveCall) -> None:
    rows = as_read(call.rows)
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert all(before.t <= after.t and before.at <= after.at for before, after in pairwise(rows))
    assert rows[0].type == "call.created"
    assert [row.type for row in rows].index("call.ended") == len(rows) - 1
    assert call.world.journal.endings[call.call_id].end_reason == rows[-1].data["reason"]

    decided = [command.event for _, commands in replay(rows) for command in commands if isinstance(command, Record)]
    assert decided == [ev.from_row(row) for row in rows if row.type in DECISIONS]

    answers_begun = len(call.world.model.asked)
    billed = [row for row in rows if row.type == "provider.used" and row.data["provider"] == "openai"]
    assert len(billed) <= answers_begun

    assert_laws_of_tools(call, rows)

    begun = {row.data["speech"] for row in rows if row.type == "agent.reply_started"}
    over = [row.data["speech"] for row in rows if row.type in ("agent.finished", "agent.interrupted")]
    assert len(over) == len(set(over))
    assert begun <= set(over)


def assert_laws_of_tools(call: LiveCall, rows: list[JournalRow]) -> None:
    """Each is run once at most, when the core says so, and then its end is recorded."""
    called = [row.data["id"] for row in rows if row.type == "agent.tool_called"]
    finished = [row.data["id"] for row in rows if row.type == "agent.tool_finished"]
    wanted = [command.id for _, commands in replay(rows) for command in commands if isinstance(command, RunTool)]
    asked = [key.partition(":")[2] for tool in call.world.tools.values() for key, _ in tool.asked]
    assert len(called) == len(set(called))
    assert len(finished) == len(set(finished))
    assert set(asked) <= set(wanted) <= set(finished) <= set(called)
    assert len(asked) == len(set(asked))
    assert call.world.tools["book"].cancelled == 0


@settings(max_examples=80)
@given(script=SCRIPTS, answers=ANSWERS, answers_clear=st.booleans(), delay=st.sampled_from([0.0, 0.03]))
def test_whatever_happens_the_journal_is_whole_and_its_replay_decides_the_same(
    script: list[tuple[str, float]], answers: list[Answer], answers_clear: bool, delay: float
) -> None:
    call = in_virtual_time(
        lambda: lives_through(script, answers, FarEnd(delay=delay, buffer=0.04, answers_clear=answers_clear))
    )

    assert_laws(call)


def test_the_bill_of_a_cancelled_answer_is_in_the_journal_before_its_end() -> None:
    call = in_virtual_time(lambda: lives_through([("silence", 1.5), ("asks", 1.1)], [Answer(STORY)], FarEnd()))

    assert_laws(call)
    types = [row.type for row in call.rows]
    assert types.count("provider.used") == 4, "the greeting's voice, the answer's model and voice, what was heard"
    assert call.body.record.token_usage.prompt > 0
    assert call.body.record.costs["tts"]


@pytest.mark.parametrize("leaves_after", [0.0, 0.004, 0.006, 0.05, 0.4])
def test_a_caller_who_leaves_at_once_leaves_a_whole_journal(leaves_after: float) -> None:
    call = in_virtual_time(lambda: lives_through([("silence", leaves_after)], [Answer(STORY)], FarEnd()))

    assert_laws(call)
    assert call.body.record.end_reason == "caller_hangup"


def test_the_same_script_gives_the_same_journal() -> None:
    script = [("asks", 1.1), ("sound", 0.3), ("words", 0.3), ("asks", 4.0), ("key", 4.0)]
    first, second = (
        in_virtual_time(lambda: lives_through(script, [Answer(STORY)], FarEnd(delay=0.03))) for _ in range(2)
    )

    assert first.rows == second.rows
