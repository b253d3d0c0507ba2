"""What a call cost, and every request that it made."""

import pytest

from app.conversation import events as ev
from app.journal.record import CallRecord, call_record
from app.models import JournalRow
from tests.journal.test_record import journal

STT = ev.ProviderUsed("deepgram", "nova-3", seconds=90.0, cost=0.01, stage="listen")


def call(price: float | None, *, answered: bool = True, ended: bool = True) -> CallRecord:
    created = ev.CallCreated({}, "en", telephony_usd_per_minute=price)
    sound = [(10.0, ev.CallAnswered()), (100.0, STT)] if answered else [(10.0, STT)]
    return call_record(journal((0.0, created), *sound, *([(100.0, ev.CallEnded("caller_hangup"))] if ended else [])))


@pytest.mark.parametrize(
    ("record", "telephony", "total"),
    [
        (call(0.02), 0.03, 0.04),
        (call(None), None, None),
        (call(0.0), 0.0, 0.01),
        (call(0.02, answered=False), 0.0, 0.01),
        (call(0.02, ended=False), None, None),
        (call(0.0, ended=False), 0.0, 0.01),
    ],
    ids=["priced", "unknown price", "no telephone", "never answered", "live", "live without a telephone"],
)
def test_the_line_costs_its_minutes_and_an_unknown_price_makes_the_total_unknown(
    record: CallRecord, telephony: float | None, total: float | None
) -> None:
    assert (record.costs["telephony"], record.costs["total"]) == (telephony, total)


def test_a_row_of_an_older_version_has_no_price_of_the_line() -> None:
    rows = journal(
        (0.0, ev.CallCreated({}, "en")), (1.0, ev.CallAnswered()), (9.0, STT), (9.0, ev.CallEnded("silence"))
    )
    old = JournalRow(**{**{name: getattr(rows[0], name) for name in ("seq", "at", "t", "type", "turn", "v")},
                        "data": {"policy": {}, "language": "en"}})  # fmt: skip

    assert call_record([old, *rows[1:]]).costs["total"] is None


def test_the_ids_of_all_requests_are_kept_in_their_order_each_once() -> None:
    failed = ev.ProviderFailed("openai", "think", "provider_timeout", False, 2, 2, request_id="req_1")
    record = call_record(
        journal(
            (0.0, ev.CallCreated({}, "en")),
            (5.0, failed),
            (6.0, ev.ProviderUsed("openai", "m", cost=0.1, request_id="req_2", stage="think", request_ids=("req_2",))),
            (7.0, ev.ProviderUsed("cartesia", "m", cost=0.1, stage="speak", request_id="c2", request_ids=("c1", "c2"))),
            (8.0, ev.ProviderUsed("openai", "m", cost=0.1, request_id="req_3", stage="think")),
            (
                9.0,
                ev.ProviderUsed("deepgram", "m", cost=0.1, stage="listen", request_id="d2", request_ids=("d1", "d2")),
            ),
        )
    )

    assert record.request_ids == ["req_1", "req_2", "c1", "c2", "req_3", "d1", "d2"]
