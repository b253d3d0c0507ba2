"""A live call as it is now: what a row changes, and nothing else."""

from typing import Any

from app.journal.live_call import LiveCall
from app.models import JournalRow

CREATED = {"policy": {"max_response_seconds": 1.5}, "language": "en", "telephony_usd_per_minute": 0.06}


def after(*rows: tuple[str, dict[str, Any]], call: LiveCall | None = None) -> LiveCall:
    call = call or LiveCall()
    first = call.seq + 1
    call.take(
        JournalRow(seq, "2026-12-01T10:00:00.000Z", float(seq), kind, 1, 1, data)
        for seq, (kind, data) in enumerate(rows, first)
    )
    return call


def test_the_last_words_are_those_of_whoever_spoke_last() -> None:
    call = after(("caller.words", {"text": "When do"}), ("turn.taken", turn("When do you open?")))
    assert (call.speaker, call.words) == ("caller", "When do you open?")

    after(("agent.clause_started", clause(1, "We open ")), ("agent.clause_started", clause(1, "at nine.")), call=call)
    assert (call.speaker, call.words, call.seq) == ("agent", "We open at nine.", 4)

    after(("agent.clause_started", clause(2, "Anything else?")), ("caller.words", {"text": ""}), call=call)
    assert (call.speaker, call.words) == ("agent", "Anything else?")


def test_the_floor_and_a_transfer_are_known_as_long_as_they_last() -> None:
    call = after(("state.changed", {"before": "LISTENING", "after": "SPEAKING"}), ("transfer.started", {"to": "desk"}))
    assert (call.floor, call.transfer_to) == ("speaking", "desk")

    after(("transfer.failed", {"reason": "busy"}), call=call)
    assert call.transfer_to is None


def test_trouble_is_shown_until_the_stage_works_again() -> None:
    failed = {"provider": "openai", "stage": "think", "code": "provider_timeout", "final": False, "answer": "lost"}
    failed |= {"speech": 1, "request_id": None}
    call = after(("provider.failed", failed))
    assert call.trouble == {"think": "openai: provider_timeout"}

    after(("provider.used", used("speak", 0.02)), call=call)
    assert call.trouble == {"think": "openai: provider_timeout"}

    after(("provider.used", used("think", 0.01)), call=call)
    assert call.trouble == {}


def test_the_cost_is_that_of_the_vendors_and_the_line_so_far() -> None:
    call = after(("call.created", CREATED), ("provider.used", used("think", 0.01)))
    assert call.cost(60.0) == (0.07, True)

    after(("provider.used", used("speak", None)), call=call)
    assert call.cost(60.0) == (0.07, False)


def test_late_answers_are_counted_by_the_calls_own_budget() -> None:
    call = after(("call.created", CREATED), ("agent.reply_started", reply(1.0, 2.2)))
    assert (call.answer_seconds, call.late_answers) == (1.2, 0)

    after(("agent.reply_started", reply(4.0, 6.0)), ("agent.reply_started", {"speech": 3, "kind": "say"}), call=call)
    assert (call.answer_seconds, call.late_answers) == (2.0, 1)


def test_a_row_that_cannot_be_read_changes_nothing() -> None:
    call = after(("state.changed", {"after": 7}), ("of.tomorrow", {}), ("transfer.started", {}))
    assert (call.floor, call.transfer_to, call.seq) == ("listening", None, 3)


def turn(text: str) -> dict[str, Any]:
    return {"text": text, "source": "speech", "started_t": 1.0, "ended_t": 2.0}


def clause(speech: int, text: str) -> dict[str, Any]:
    return {"speech": speech, "text": text, "start_sample": 0}


def used(stage: str, cost: float | None) -> dict[str, Any]:
    return {"provider": "openai", "model": "a-model", "stage": stage, "cost": cost}


def reply(last_voiced: float, first_frame: float) -> dict[str, Any]:
    return {"speech": 1, "kind": "reply", "stamps": {"last_voiced": last_voiced, "first_frame": first_frame}}
