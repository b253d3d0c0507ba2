"""The record of a call is worked out from its journal, whatever the journal has lived through."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from app.conversation import events as ev
from app.conversation.knowledge_events import KnowledgeSearched
from app.journal.record import STAGES, CallRecord, TurnRecord, call_record
from app.models import JournalRow, TokenUsage
from tests.conversation.script import LINES, Call, greeted_call

CREATED = ev.CallCreated({"max_response_seconds": 1.5}, "en", telephony_usd_per_minute=0.0)
STAMPS = {
    "last_voiced": 10.0, "turn_ended": 10.3, "first_token": 10.7, "first_clause": 10.8, "first_audio": 11.0,
    "first_frame": 11.02,
}  # fmt: skip


def journal(*facts: tuple[float, ev.Event]) -> list[JournalRow]:
    """Rows as they come back from a store."""
    return [
        JournalRow(
            seq, "2026-11-22T10:00:00.000Z", t, event.type, getattr(event, "turn", None), ev.VERSION,
            json.loads(json.dumps(ev.row_data(event))),
        )
        for seq, (t, event) in enumerate(facts, start=1)
    ]  # fmt: skip


def answered_turn(number: int, at: float, stamps: dict[str, float] | None = None) -> list[tuple[float, ev.Event]]:
    """A question that ended at that time, and its answer."""
    shifted = {name: stamp - 10.0 + at for name, stamp in (STAMPS if stamps is None else stamps).items()}
    return [
        (at + 0.3, ev.TurnTaken(number, "When?", "speech", at - 1.0, at, "en", 0.9)),
        (at + 1.02, ev.AgentReplyStarted(number, number, "reply", shifted)),
        (at + 1.02, ev.AgentClauseStarted(number, number, "At nine.", 0)),
        (at + 2.0, ev.AgentFinished(number, number, "At nine.", "At nine.")),
    ]


def record_of(*facts: tuple[float, ev.Event]) -> CallRecord:
    return call_record(journal((0.0, CREATED), (2.0, ev.CallAnswered()), *facts))


def only_answer(record: CallRecord) -> TurnRecord:
    [turn] = [turn for turn in record.turns if turn.role == "assistant"]
    return turn


# --- tools -----------------------------------------------------------------------------------------------------------

BOOKS = ev.AgentToolCalled(2, 2, "tool-1", "book_table", "{}", timeout_seconds=8.0)


def booked(*, ok: bool, status: int | None) -> ev.AgentToolFinished:
    return ev.AgentToolFinished(2, 2, "tool-1", "book_table", ok, status, 1.5, "")


@pytest.mark.parametrize(
    ("facts", "outcome", "status"),
    [
        ([(6.0, booked(ok=True, status=200))], "ok", 200),
        ([(6.0, booked(ok=False, status=409))], "failed", 409),
        ([(6.0, booked(ok=False, status=409)), (7.0, ev.CallEnded("caller_hangup", "none"))], "failed", 409),
        ([], "running", None),
        ([(6.0, ev.CallEnded("caller_hangup", "none"))], "unknown", None),
        ([(6.0, ev.CallEnded("crashed", "ours"))], "unknown", None),
    ],
)
def test_what_became_of_a_tool_is_in_the_record(
    facts: list[tuple[float, ev.Event]], outcome: str, status: int | None
) -> None:
    [tool] = record_of((5.0, BOOKS), *facts).tools

    assert (tool.name, tool.number, tool.called_at) == ("book_table", 2, 3.0)
    assert (tool.outcome, tool.status, tool.seconds) == (outcome, status, 1.5 if status else None)


def test_what_the_conversation_carries_out_itself_has_no_outcome() -> None:
    built_in = ev.AgentToolCalled(2, 2, "call-1", "end_call", "{}")
    refused = ev.AgentToolCalled(2, 2, "call-2", "transfer", "{}", refused=True)

    assert record_of((5.0, built_in), (5.0, refused), (6.0, ev.CallEnded("crashed", "ours"))).tools == []


# --- the call --------------------------------------------------------------------------------------------------------


def test_an_empty_journal_is_an_empty_record() -> None:
    record = call_record([])

    assert (record.turns, record.end_reason, record.fault, record.duration_seconds) == ([], None, "none", None)
    assert record.latency() == {}


def test_a_call_lasts_from_its_answer_to_its_end() -> None:
    record = record_of((32.5, ev.CallEnded("caller_hangup", "none")))

    assert (record.duration_seconds, record.end_reason, record.fault) == (30.5, "caller_hangup", "none")


def test_a_call_that_was_never_answered_lasted_no_time() -> None:
    record = call_record(journal((0.0, CREATED), (60.0, ev.CallEnded("no_answer"))))

    assert (record.duration_seconds, record.answered_t) == (0.0, None)


def test_the_first_answer_counts() -> None:
    assert record_of((9.0, ev.CallAnswered()), (32.0, ev.CallEnded("caller_hangup"))).duration_seconds == 30.0


def test_a_live_call_has_no_duration() -> None:
    assert record_of().duration_seconds is None


def test_the_record_of_a_live_call_grows_with_it() -> None:
    call = greeted_call().caller_says("I want to pay")
    assert [turn.role for turn in call.record.turns] == ["assistant", "user"]

    assert [turn.text for turn in call.agent_says("Gladly.").record.turns] == [
        LINES.greeting,
        "I want to pay",
        "Gladly.",
    ]


# --- turns -----------------------------------------------------------------------------------------------------------


def test_a_turn_of_the_caller_has_its_times_since_the_answer() -> None:
    record = record_of((9.3, ev.TurnTaken(2, "When?", "speech", 8.0, 9.0, "en", 0.87)))

    assert [asdict(turn) for turn in record.turns] == [
        {
            "number": 2,
            "role": "user",
            "text": "When?",
            "text_generated": None,
            "started_at": 6.0,
            "ended_at": 7.0,
            "interrupted": False,
            "heard": "exact",
            "stt_confidence": 0.87,
            "language": "en",
            "latency": None,
            "kind": "speech",
            "waited_seconds": None,
            "served": {},
            "knowledge": [],
        }
    ]


def test_a_turn_says_who_served_it_and_not_who_was_only_asked() -> None:
    record = record_of(
        (11.0, ev.AgentReplyStarted(2, 2, "reply", {"first_frame": 10.9})),
        (11.1, ev.ProviderUsed("thinker", "m", 2, stage="think")),
        (11.2, ev.ProviderUsed("speaker", "v", 2, characters=8, cost=0.25, stage="speak", way="socket", served=False)),
        (11.2, ev.ProviderUsed("speaker", "v", 2, characters=8, cost=0.5, stage="speak", way="http")),
        (11.3, ev.ProviderUsed("other", "v", 2, characters=4, cost=0.0, stage="speak", way="local")),
        (12.0, ev.AgentFinished(2, 2, "At nine.", "At nine.")),
    )

    assert only_answer(record).served == {"llm": ["thinker"], "tts": ["http", "local"]}
    assert record.costs["tts"] == 0.75


def test_a_turn_of_the_agent_has_what_was_heard_and_what_was_written() -> None:
    record = record_of(
        (11.0, ev.AgentReplyStarted(2, 2, "reply", {"first_frame": 10.9})),
        (11.5, ev.AgentReplyGenerated(2, 2, "At nine. Shall I book it?")),
        (12.0, ev.AgentInterrupted(2, 2, "At nine.", "At nine. Shall I", exact=False)),
    )

    turn = only_answer(record)
    assert (turn.text, turn.text_generated) == ("At nine.", "At nine. Shall I book it?")
    assert (turn.interrupted, turn.heard) == (True, "estimated")
    assert (turn.started_at, turn.ended_at) == (8.9, 10.0)
    assert turn.latency is None


def test_a_text_that_was_written_before_its_first_sound_is_known() -> None:
    record = record_of(
        (10.8, ev.AgentReplyGenerated(2, 2, "At nine. Shall I book it?")),
        (11.0, ev.AgentReplyStarted(2, 2, "reply")),
        (11.0, ev.AgentClauseStarted(2, 2, "At nine. ", 0)),
    )

    assert only_answer(record).text_generated == "At nine. Shall I book it?"


def test_of_an_answer_that_was_written_again_only_the_last_version_counts() -> None:
    record = record_of(
        (10.5, ev.AgentReplyGenerated(2, 2, "We open at nine.")),
        (10.6, ev.ProviderFailed("cartesia", "speak", "broken", final=False, turn=2, speech=2)),
        (11.0, ev.AgentReplyStarted(2, 2, "reply")),
        (11.5, ev.AgentInterrupted(2, 2, "Nine", "Nine o'clock, ")),
    )

    turn = only_answer(record)
    assert (turn.text, turn.text_generated) == ("Nine", "Nine o'clock, ")


def test_an_utterance_that_was_cut_while_held_back_ended_when_it_was_held_back() -> None:
    facts: list[tuple[float, ev.Event]] = [
        (11.0, ev.AgentReplyStarted(2, 2, "reply")),
        (12.0, ev.AgentPaused(2, 2, "At")),
        (12.5, ev.AgentResumed(2, 2)),
        (13.0, ev.AgentPaused(2, 2, "At nine.")),
        (14.0, ev.AgentInterrupted(2, 2, "At nine.", "At nine.")),
    ]

    assert only_answer(record_of(*facts)).ended_at == 11.0
    assert only_answer(record_of(*facts[:3], facts[4])).ended_at == 12.0


def test_an_utterance_that_was_cut_in_its_first_moment_has_its_end_told_first() -> None:
    record = record_of(
        (11.0, ev.AgentInterrupted(2, 2, "At", "At nine.")),
        (11.0, ev.AgentReplyStarted(2, 2, "reply", STAMPS)),
        (11.0, ev.AgentClauseStarted(2, 2, "At nine.", 0)),
    )

    turn = only_answer(record)
    assert (turn.text, turn.text_generated, turn.interrupted, turn.ended_at) == ("At", "At nine.", True, 9.0)
    assert turn.latency is not None


def test_what_was_heard_counts_even_if_its_beginning_was_never_told() -> None:
    record = record_of((11.0, ev.AgentInterrupted(2, 2, "At", "At nine.")), (11.0, ev.CallEnded("caller_hangup")))

    assert [(turn.text, turn.interrupted) for turn in record.turns] == [("At", True)]


def test_an_utterance_of_which_nothing_was_heard_is_not_a_turn() -> None:
    record = record_of(
        (10.5, ev.AgentReplyGenerated(2, 2, "At nine.")),
        (11.0, ev.AgentInterrupted(2, 2, "", "At nine.")),
        (12.0, ev.AgentFinished(3, 3, "", "")),
    )

    assert record.turns == []


def test_a_call_that_crashed_keeps_the_clauses_that_had_begun() -> None:
    record = record_of(
        (11.0, ev.AgentReplyStarted(2, 2, "reply", STAMPS)),
        (11.0, ev.AgentClauseStarted(2, 2, "At nine. ", 0)),
        (12.0, ev.AgentClauseStarted(2, 2, "Shall I", 9000)),
        (12.5, ev.CallEnded("crashed", "ours")),
    )

    turn = only_answer(record)
    assert (turn.text, turn.text_generated, turn.heard, turn.ended_at) == (
        "At nine. Shall I",
        "At nine. Shall I",
        "estimated",
        None,
    )
    assert (record.end_reason, record.fault) == ("crashed", "ours")


def test_turns_are_in_order_with_the_question_before_its_answer() -> None:
    record = record_of(
        (5.0, ev.AgentReplyStarted(2, 2, "reply")),
        (5.5, ev.TurnTaken(3, "No", "speech", 5.2, 5.4)),
        (5.0, ev.TurnTaken(2, "When?", "speech", 4.0, 4.5)),
        (7.0, ev.AgentReplyStarted(3, 4, "apology")),
        (6.0, ev.AgentReplyStarted(3, 3, "reply")),
    )

    assert [(turn.number, turn.role, turn.started_at) for turn in record.turns] == [
        (2, "user", 2.0), (2, "assistant", 3.0), (3, "user", 3.2), (3, "assistant", 4.0), (3, "assistant", 5.0),
    ]  # fmt: skip


def test_greeting_prompts_and_apologies_are_turns_without_latency() -> None:
    call = Call().is_answered().agent_says_the_line().caller_says("mmph", confidence=0.1).agent_says_the_line()

    assert [(turn.role, turn.text, turn.latency) for turn in call.record.turns] == [
        ("assistant", LINES.greeting, None),
        ("assistant", LINES.repeat, None),
    ]


def test_the_language_is_the_one_that_was_spoken_and_not_what_one_word_was_taken_for() -> None:
    record = record_of(
        (9.0, ev.TurnTaken(2, "Okay.", "speech", 8.0, 9.0, "en")),
        (11.0, ev.AgentReplyStarted(2, 2, "reply", language="ru")),
    )

    assert record_of().language == "en"
    assert record.language == "ru"
    assert only_answer(record).language == "ru"
    assert record.turns[-2].language == "en"


def test_rows_of_other_versions_are_left_out() -> None:
    rows = journal((0.0, CREATED), (2.0, ev.CallAnswered()))
    strange = JournalRow(3, rows[0].at, 3.0, "caller.sneezed", None, 9, {})
    bill = JournalRow(
        4,
        rows[0].at,
        4.0,
        "provider.used",
        None,
        1,
        {"provider": "openai", "model": "m", "prompt_tokens": 9, "cost": 0.5},
    )

    assert call_record([*rows, strange, bill]).costs["llm"] == 0.5


# --- latency ---------------------------------------------------------------------------------------------------------


def test_the_stages_of_an_answer_follow_each_other_and_sum_to_the_total() -> None:
    latency = only_answer(record_of(*answered_turn(2, 10.0))).latency

    assert latency == {
        "end_of_turn": 0.3,
        "llm_first_token": 0.4,
        "first_clause": 0.1,
        "tts_first_audio": 0.2,
        "playout": 0.02,
        "total": 1.02,
        "budget_kept": True,
        "filler_at": None,
        "bridged": False,
    }
    assert latency["total"] == round(sum(latency[stage] for stage in STAGES), 4)


@pytest.mark.parametrize(("first_frame", "kept"), [(11.5, True), (11.5001, False)])
def test_the_budget_is_kept_to_its_last_moment(first_frame: float, kept: bool) -> None:
    latency = only_answer(record_of(*answered_turn(2, 10.0, {**STAMPS, "first_frame": first_frame}))).latency

    assert latency is not None
    assert latency["budget_kept"] is kept


def test_an_answer_that_was_prepared_on_suspicion_has_stages_of_no_length() -> None:
    early = {**STAMPS, "first_token": 9.9, "first_clause": 10.0, "first_audio": 10.2, "first_frame": 10.32}
    latency = only_answer(record_of(*answered_turn(2, 10.0, early))).latency

    assert latency is not None
    assert [latency[stage] for stage in STAGES] == [0.3, 0.0, 0.0, 0.0, 0.02]
    assert latency["total"] == 0.32


def test_a_stage_that_was_never_stamped_has_no_length() -> None:
    latency = only_answer(record_of(*answered_turn(2, 10.0, {"last_voiced": 10.0, "first_frame": 10.5}))).latency

    assert latency is not None
    assert (latency["playout"], latency["total"]) == (0.5, 0.5)


def test_a_filler_is_not_an_answer_but_its_moment_is_kept() -> None:
    record = record_of(
        (10.3, ev.TurnTaken(2, "When?", "speech", 9.0, 10.0)),
        (11.4, ev.AgentReplyStarted(2, 2, "filler", {"first_frame": 11.39})),
        (11.4, ev.AgentClauseStarted(2, 2, "One second.", 0)),
        (12.4, ev.AgentFinished(2, 2, "One second.", "One second.")),
        (14.0, ev.AgentReplyStarted(2, 3, "filler")),
        (15.0, ev.AgentInterrupted(2, 3, "Just", "Just another moment.")),
        (16.0, ev.AgentReplyStarted(2, 4, "reply", {**STAMPS, "first_frame": 16.0})),
        (17.0, ev.AgentFinished(2, 4, "At nine.", "At nine.")),
    )

    turn = only_answer(record)
    assert turn.text == "At nine."
    assert turn.latency is not None
    assert turn.latency["filler_at"] == 9.39
    assert (turn.latency["total"], turn.latency["budget_kept"]) == (6.0, False)


def test_a_filler_is_of_one_turn() -> None:
    record = record_of((11.4, ev.AgentReplyStarted(2, 2, "filler")), *answered_turn(3, 20.0))

    assert record.turns[-1].latency is not None
    assert record.turns[-1].latency["filler_at"] is None


def test_the_spread_of_the_stages() -> None:
    facts = [fact for n in range(2, 22) for fact in answered_turn(n, n * 10.0, {**STAMPS, "turn_ended": 10 + n / 100})]

    spread = record_of(*facts).latency()

    assert spread["end_of_turn"] == {"p50": 0.12, "p95": 0.2, "max": 0.21, "count": 20}
    assert set(spread) == {*STAGES, "total"}
    assert spread["total"] == {"p50": 1.02, "p95": 1.02, "max": 1.02, "count": 20}


def test_the_spread_of_one_answer_is_that_answer() -> None:
    assert record_of(*answered_turn(2, 10.0)).latency()["total"] == {"p50": 1.02, "p95": 1.02, "max": 1.02, "count": 1}


def test_the_metrics_are_means_over_the_answered_turns() -> None:
    slow = {**STAMPS, "first_frame": 12.02}
    metrics = record_of(
        *answered_turn(2, 10.0), *answered_turn(3, 20.0, slow), (32.0, ev.CallEnded("caller_hangup"))
    ).metrics()

    assert metrics.total_duration == 30.0
    assert metrics.processing_latency == pytest.approx(1.52)
    assert metrics.stt_latency == pytest.approx(0.3)
    assert metrics.llm_latency == pytest.approx(0.4)
    assert metrics.tts_latency == pytest.approx(0.2)


def test_without_answers_there_are_no_means() -> None:
    metrics = record_of().metrics()

    assert (metrics.total_duration, metrics.processing_latency, metrics.stt_latency) == (0.0, None, None)


# --- costs -----------------------------------------------------------------------------------------------------------


def used(provider: str, cost: float | None, **more: Any) -> tuple[float, ev.Event]:
    stage = {"deepgram": "listen", "openai": "think", "cartesia": "speak"}[provider]
    return 9.0, ev.ProviderUsed(provider, "some-model", cost=cost, **{"stage": stage, **more})


def test_the_bill_by_vendor_and_in_total() -> None:
    record = record_of(
        used("deepgram", 0.01, seconds=60.0),
        used("openai", 0.002, prompt_tokens=900, cached_tokens=512, completion_tokens=40, request_id="req_1"),
        used("openai", 0.003, prompt_tokens=950, completion_tokens=60, request_id="req_2"),
        used("cartesia", 0.004, characters=120),
    )

    assert record.costs == {"stt": 0.01, "llm": 0.005, "tts": 0.004, "telephony": 0.0, "total": 0.019}
    assert record.token_usage == TokenUsage(1850, 512, 100, 0.005)
    assert record.request_ids == ["req_1", "req_2"]


def test_rows_from_before_the_stage_are_billed_by_their_units() -> None:
    record = record_of(
        used("deepgram", 0.01, seconds=60.0, stage=""),
        used("openai", 0.002, prompt_tokens=900, completion_tokens=40, stage=""),
        used("cartesia", 0.004, characters=120, stage=""),
    )

    assert record.costs == {"stt": 0.01, "llm": 0.002, "tts": 0.004, "telephony": 0.0, "total": 0.016}
    assert record.token_usage == TokenUsage(900, 0, 40, 0.002)


def test_a_vendor_that_serves_two_stages_is_billed_by_the_stage() -> None:
    record = record_of(used("deepgram", 0.01, seconds=60.0), used("deepgram", 0.02, characters=90, stage="speak"))

    assert (record.costs["stt"], record.costs["tts"]) == (0.01, 0.02)


def test_one_unknown_price_makes_the_sum_unknown() -> None:
    record = record_of(used("openai", 0.002), used("openai", None), used("cartesia", 0.004))

    assert (record.costs["llm"], record.costs["tts"], record.costs["total"]) == (None, 0.004, None)
    assert record.token_usage.cost is None


def test_what_was_not_used_costs_nothing_but_hearing_is_unknown_until_it_is_billed() -> None:
    record = record_of()
    billed = record_of((3.0, ev.ProviderUsed("deepgram", "nova-3", seconds=0.0, cost=0.0)))

    assert record.costs == {"stt": None, "llm": 0.0, "tts": 0.0, "telephony": 0.0, "total": None}
    assert billed.costs == {"stt": 0.0, "llm": 0.0, "tts": 0.0, "telephony": 0.0, "total": 0.0}
    assert record.token_usage == TokenUsage()


def test_the_summary_is_plain_json() -> None:
    record = record_of(*answered_turn(2, 10.0), used("openai", 0.002, prompt_tokens=900, request_id="req_1"))

    summary = json.loads(json.dumps(record.summary()))

    assert summary["latency"]["total"]["count"] == 1
    assert summary["token_usage"] == asdict(TokenUsage(900, 0, 0, 0.002))
    assert (summary["requests"], summary["turns"]) == (["req_1"], 2)
    assert summary["costs"]["llm"] == 0.002


def test_an_answer_has_the_sources_of_what_was_found_for_it() -> None:
    passage = {"file": "a.md", "heading": "A › B", "line": 7, "text": "At nine."}
    searched = KnowledgeSearched(1, 1, 0.002, (passage,))
    odd = KnowledgeSearched(2, 2, 0.002, ({"file": "a.md"},))

    record = record_of((10.3, searched), (10.4, odd), *answered_turn(1, 10.0))

    assert only_answer(record).knowledge == [{"file": "a.md", "heading": "A › B", "line": 7}]
