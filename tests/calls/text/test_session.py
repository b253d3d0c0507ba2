"""Calls in text, told in virtual time: the core and its event loop are the real ones, the model follows a script."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.calls.text.caller import HangsUp, Interrupts, Noise, Presses, Says, Silent
from app.calls.text.outside import DRY_ANSWER, FixedAnswer, FixedTool, TextTelephony
from app.calls.text.script import ScriptedCaller, Step
from app.calls.text.session import TEXT_FORMAT, TextCall
from app.errors import ProviderUnavailable
from app.journal.record import CallRecord, call_record
from app.journal.replay import differences
from app.models import JournalRow
from tests.calls.fakes import World, a_call
from tests.calls.vendors import Answer, ScriptedModel, ScriptedTool

VIRTUAL_TIME = True

OPEN = "We are open from nine in the morning until eight in the evening, every day but Sunday."


async def held(
    world: World,
    *steps: Step,
    tools: Sequence[FixedTool] = (),
    telephony: TextTelephony | None = None,
    listens: float = 0.0,
) -> list[JournalRow]:
    """The rows of a call with a caller who follows these steps."""
    call = a_call()
    plan = world.planner.plan(TEXT_FORMAT, call=call)
    text_call = TextCall(
        plan,
        call,
        ScriptedCaller(steps, listens_seconds=listens),
        background=world.services.background,
        telephony=telephony,
        endpoints={**plan.endpoints, **{tool.name: tool for tool in tools}},
    )
    rows = list(await text_call.run())
    await world.services.background.close()
    return rows


def said(record: CallRecord) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in record.turns]


async def test_a_call_in_text_has_the_journal_of_a_call() -> None:
    world = World(model=ScriptedModel(Answer(OPEN)))
    rows = await held(world, Says("When are you open?"))
    record = call_record(rows)

    greeting = world.agent.policy.lines["en"].greeting
    assert said(record) == [("assistant", greeting), ("user", "When are you open?"), ("assistant", OPEN)]
    assert (record.end_reason, record.fault) == ("caller_hangup", "none")
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert differences(rows) == []


async def test_words_take_the_time_they_take_to_say_and_the_model_its_own() -> None:
    rows = await held(World(model=ScriptedModel(Answer(OPEN, first_token=0.7))), Says("When are you open?"))
    record = call_record(rows)
    question, answer = record.turns[1], record.turns[2]

    assert question.ended_at is not None
    assert answer.ended_at is not None
    assert answer.latency is not None
    assert question.ended_at - question.started_at == pytest.approx(len("When are you open?") / 15, abs=0.05)
    assert answer.latency["llm_first_token"] == pytest.approx(0.7, abs=0.05)
    assert answer.ended_at - answer.started_at == pytest.approx(len(OPEN) / 15, abs=0.3)
    assert asyncio.get_running_loop().time() < 3


async def test_the_caller_interrupts_and_the_record_has_what_was_heard() -> None:
    world = World(model=ScriptedModel(Answer(OPEN), Answer("Yes, of course.")))
    rows = await held(world, Says("When are you open?"), Interrupts("Wait, are you open tomorrow?", 2.0))
    cut = next(turn for turn in call_record(rows).turns if turn.interrupted)

    assert OPEN.startswith(cut.text)
    assert cut.text_generated == OPEN
    assert 20 < len(cut.text) < 40
    assert world.model.asked[1][-3].content == cut.text, "the model knows how much of its answer was heard"
    assert said(call_record(rows))[-1] == ("assistant", "Yes, of course.")


async def test_a_noise_pauses_the_agent_and_stops_nothing() -> None:
    rows = await held(World(model=ScriptedModel(Answer(OPEN))), Says("When are you open?"), Noise(1.0))
    types = [row.type for row in rows]

    assert types.index("agent.paused") < types.index("agent.resumed")
    assert said(call_record(rows))[-1] == ("assistant", OPEN)
    assert "agent.interrupted" not in types


async def test_silence_is_prompted_and_then_the_call_ends() -> None:
    world = World(model=ScriptedModel(Answer(OPEN)))
    record = call_record(await held(world, Silent(60)))

    lines = world.agent.policy.lines["en"]
    assert [text for _, text in said(record)[1:]] == [*lines.idle[:2], lines.silence_goodbye]
    assert record.end_reason == "silence"


async def test_keys_are_a_turn() -> None:
    record = call_record(await held(World(model=ScriptedModel(Answer("Thank you."))), Presses("12#")))
    assert ("user", "[keypad] 12") in said(record)


async def test_a_tool_answers_what_is_fixed_and_the_next_call_gets_the_next_answer() -> None:
    asks = Answer("", tool="find_times", arguments='{"day": "Friday"}')
    world = World(model=ScriptedModel(asks, Answer("Ten."), asks, Answer("Eleven.")))
    world.has_tool(ScriptedTool())
    answers = (FixedAnswer("ten", when={"day": "Friday"}), FixedAnswer("eleven", when={"day": "Friday"}))
    fixed = FixedTool("find_times", answers)
    rows = await held(world, Says("Friday?"), Says("And later?"), tools=[fixed])

    assert [row.data["result"] for row in rows if row.type == "agent.tool_finished"] == ["ten", "eleven"]
    assert said(call_record(rows))[-1] == ("assistant", "Eleven.")
    assert world.tools["find_times"].asked == [], "the real tool is not asked"


async def test_a_call_that_no_fixed_answer_fits_is_told_to_the_model_as_refused() -> None:
    world = World(model=ScriptedModel(Answer("", tool="find_times", arguments='{"day": "Monday"}'), Answer("Sorry.")))
    world.has_tool(ScriptedTool())
    fixed = FixedTool("find_times", (FixedAnswer("ten", when={"day": "Friday"}),))
    rows = await held(world, Says("Monday?"), tools=[fixed])

    finished = next(row for row in rows if row.type == "agent.tool_finished")
    assert (finished.data["ok"], finished.data["status"]) == (False, 404)


async def test_a_dry_tool_shows_its_calls_and_does_nothing() -> None:
    world = World(model=ScriptedModel(Answer("", tool="find_times", arguments='{"day": "Monday"}'), Answer("Done.")))
    world.has_tool(ScriptedTool())
    seen: list[tuple[str, dict[str, object]]] = []
    fixed = FixedTool("find_times", on_call=lambda name, arguments: seen.append((name, dict(arguments))))
    rows = await held(world, Says("Monday?"), tools=[fixed])

    assert seen == [("find_times", {"day": "Monday"})]
    assert next(row for row in rows if row.type == "agent.tool_finished").data["result"] == DRY_ANSWER


async def test_the_agent_hangs_up_after_its_goodbye() -> None:
    world = World(model=ScriptedModel(Answer("Goodbye!", tool="end_call")))
    record = call_record(await held(world, Says("Bye!"), Says("Hello?")))
    assert record.end_reason == "agent_hangup"
    assert ("user", "Hello?") not in said(record)


@pytest.mark.parametrize(
    ("telephony", "reason"), [(TextTelephony(), "transferred"), (TextTelephony("busy"), "caller_hangup")]
)
async def test_a_transfer_ends_as_the_test_says(telephony: TextTelephony, reason: str) -> None:
    world = World(
        model=ScriptedModel(Answer("I am connecting you.", tool="transfer", arguments='{"target": "sales"}')),
        targets={"sales": "+15550100"},
    )
    rows = await held(world, Says("A human, please."), telephony=telephony)
    types = [row.type for row in rows]
    assert types.count("transfer.started") == 1
    assert call_record(rows).end_reason == reason
    assert ("transfer.failed" in types) is (reason == "caller_hangup")


async def test_a_model_that_fails_is_asked_again_and_then_the_caller_hears_an_apology() -> None:
    world = World(model=ScriptedModel(Answer(fails=ProviderUnavailable("openai", "no answer"))))
    record = call_record(await held(world, Says("When are you open?")))

    assert len(world.model.asked) == 2
    assert said(record)[2] == ("assistant", world.agent.policy.lines["en"].apology)
    assert record.fault == "provider:openai"


async def test_the_clock_stands_still_while_somebody_thinks_of_what_to_type() -> None:
    class Slow(ScriptedCaller):
        async def next(self, rows: Sequence[JournalRow]) -> Says | Silent | Presses | HangsUp:
            await asyncio.sleep(300)
            return await super().next(rows)

    world = World(model=ScriptedModel(Answer(OPEN)))
    call = a_call()
    plan = world.planner.plan(TEXT_FORMAT, call=call)
    rows = await TextCall(plan, call, Slow([Says("When?")]), background=world.services.background).run()
    await world.services.background.close()

    assert "deadline.passed" not in [row.type for row in rows]
    assert rows[-1].t < 30


async def test_a_longer_limit_than_the_call_ends_it_with_a_goodbye() -> None:
    world = World(model=ScriptedModel(Answer(OPEN)))
    world.agent = replace(world.agent, policy=replace(world.agent.policy, max_duration_seconds=20.0))
    record = call_record(await held(world, *[Says("And then?")] * 10))
    assert record.end_reason == "max_duration"
