"""What is counted of a call when it has ended."""

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from app.models import JournalRow
from app.observability.journal_metrics import JournalMetrics


def rows(*events: tuple[str, int | None, dict[str, Any]]) -> list[JournalRow]:
    return [
        JournalRow(seq, "2026-11-22T10:00:00.000Z", float(seq), kind, turn, 1, data)
        for seq, (kind, turn, data) in enumerate(events, 1)
    ]


def counted(*events: tuple[str, int | None, dict[str, Any]], is_outbound: bool = False) -> dict[str, float]:
    """The samples that are not zero."""
    registry = CollectorRegistry()
    metrics = JournalMetrics(registry)
    metrics.count(rows(*events), tools=frozenset({"find_slot"}), is_outbound=is_outbound)
    lines = [line.rpartition(" ") for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines if float(value) and "_created" not in name}


def test_pauses_false_interruptions_and_cuts_are_counted_separately() -> None:
    speech = {"speech": 1}
    assert counted(("agent.paused", 1, speech), ("agent.resumed", 1, speech), ("agent.paused", 1, speech),
                   ("agent.interrupted", 1, speech)) == {
        'voice_interruptions_total{kind="pause"}': 2,
        'voice_interruptions_total{kind="false_pause"}': 1,
        'voice_interruptions_total{kind="cut"}': 1,
    }  # fmt: skip


def test_how_soon_the_voice_is_held_back_is_counted_from_the_first_sound() -> None:
    figures = counted(
        ("agent.paused", 1, {"speech": 1}),  # not for a sound
        ("caller.sound_started", None, {"since_t": 1.5}),
        ("agent.paused", 1, {"speech": 1}),
        ("agent.paused", 1, {"speech": 1}),  # the same sound
    )
    assert figures["voice_barge_in_stop_seconds_sum"] == 1.5
    assert figures["voice_barge_in_stop_seconds_count"] == 1


def test_a_turn_is_answered_by_a_reply_to_it_and_by_nothing_else() -> None:
    figures = counted(
        ("turn.taken", 1, {"source": "speech"}),
        ("agent.reply_started", 1, {"kind": "filler"}),
        ("agent.reply_started", 1, {"kind": "reply"}),
        ("turn.taken", 2, {"source": "keypad"}),
        ("agent.reply_started", 2, {"kind": "apology"}),
    )
    assert figures['voice_turns_total{source="speech"}'] == figures['voice_turns_total{source="keypad"}'] == 1
    assert figures["voice_unanswered_turns_total"] == 1
    assert figures['voice_utterances_total{kind="filler"}'] == 1


def test_a_tool_is_counted_by_its_name_and_what_a_model_invents_is_not_shown() -> None:
    finished = {"ok": True, "seconds": 0.3}
    figures = counted(
        ("agent.tool_finished", 1, {"name": "find_slot", **finished}),
        ("agent.tool_finished", 1, {"name": "call_+70000000000", **finished, "ok": False}),
    )
    assert figures['voice_tool_calls_total{result="ok",tool="find_slot"}'] == 1
    assert figures['voice_tool_calls_total{result="failed",tool="other"}'] == 1
    assert not [name for name in figures if "+7" in name]


def test_vendors_charges_are_counted_and_an_unknown_price_adds_nothing() -> None:
    used = {"provider": "openai", "prompt_tokens": 100, "cached_tokens": 0, "completion_tokens": 20, "cost": 0.002}
    figures = counted(
        ("provider.used", 1, used), ("provider.used", 1, {"provider": "deepgram", "seconds": 4.5, "cost": None})
    )
    assert figures == {
        'voice_provider_usage_total{provider="openai",unit="prompt_tokens"}': 100,
        'voice_provider_usage_total{provider="openai",unit="completion_tokens"}': 20,
        'voice_provider_cost_usd_total{provider="openai"}': 0.002,
        'voice_provider_usage_total{provider="deepgram",unit="seconds"}': 4.5,
    }


def test_transfers_and_ignored_words_have_their_reasons() -> None:
    assert counted(("transfer.failed", None, {"reason": "busy"}), ("transfer.completed", None, {"how": "refer"}),
                   ("caller.ignored", None, {"reason": "echo"}), ("caller.ignored", None, {"reason": "мой адрес"})) == {
        'voice_transfers_total{outcome="busy"}': 1,
        'voice_transfers_total{outcome="refer"}': 1,
        'voice_caller_ignored_total{reason="echo"}': 1,
        'voice_caller_ignored_total{reason="other"}': 1,
    }  # fmt: skip


def test_a_call_that_was_placed_was_answered_or_says_why_not() -> None:
    ended = ("call.ended", None, {"reason": "busy"})
    assert counted(ended, is_outbound=True) == {'voice_outbound_calls_total{outcome="busy"}': 1}
    answered = counted(("call.answered", None, {}), ended, is_outbound=True)
    assert answered == {'voice_outbound_calls_total{outcome="answered"}': 1}
    assert counted(ended) == {}
