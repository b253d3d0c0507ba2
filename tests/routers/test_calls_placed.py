"""``POST /calls`` at the door: who may be called, how often, and each once. LiveKit is not there: nobody answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.clock import iso_utc, lease_now, utc_now
from app.main import create_app
from app.settings import Settings
from app.storage.spending import Reservation
from tests.routers.test_calls import assert_problem
from tests.storage.stores import a_call

LEAPING_TIME = True

OUR_NUMBER = "+74950000000"
TO = "+79990000001"
SETTINGS: dict[str, Any] = {
    "livekit_url": "ws://127.0.0.1:9",
    "livekit_api_key": "devkey",
    "livekit_api_secret": "a secret of more than thirty-two bytes",
    "sip_number": OUR_NUMBER,
    "dial_prefixes": "+7999,+7812",
}


@asynccontextmanager
async def door(folder: Path, **more: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
    """A client, and the services behind the door."""
    nowhere = {f"{name}_base_url": "http://127.0.0.1:9" for name in ("deepgram", "openai", "cartesia")}
    values = {"providers": "sandbox", "data_dir": folder, "retry_attempts": 1, **nowhere, **(SETTINGS | more)}
    app = create_app(Settings(_env_file=None, **values))  # type: ignore[call-arg]  # its stub does not say so
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://door") as http:
        yield http, app.state.services
        await app.state.services.dispatcher.drain(5)


async def place(http: httpx.AsyncClient, to: Any = TO, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await http.post("/calls", json={"to": to, **body}, headers=headers)


async def ended(http: httpx.AsyncClient, call_id: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            call: dict[str, Any] = (await http.get(f"/calls/{call_id}")).json()
            if call["status"] == "ended":
                return call
            await asyncio.sleep(0.02)


async def test_a_call_is_accepted_and_its_record_has_the_outcome_later(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        answer = await place(http, metadata={"order": 17})
        call = answer.json()
        record = await ended(http, call["call_id"])
        rows = (await http.get(f"/calls/{call['call_id']}/events")).json()["events"]
    assert answer.status_code == 202
    assert (call["status"], call["direction"], call["turns"]) == ("ringing", "outbound", [])
    assert (call["caller_number"], call["called_number"], call["metadata"]) == (OUR_NUMBER, TO, {"order": 17})
    assert (record["end_reason"], record["fault"]) == ("carrier_error", "carrier")
    [left] = [row["data"] for row in rows if row["type"] == "caller.left"]
    assert (left["reason"], left["detail"]) == ("carrier_error", "livekit: cannot be reached: ClientConnectorError")


@pytest.mark.parametrize("to", ["+74951234567", "+15551234567", "+79980000001"])
async def test_only_numbers_with_an_allowed_beginning_are_called(tmp_path: Path, to: str) -> None:
    async with door(tmp_path) as (http, _):
        assert_problem(await place(http, to), 403, "destination_not_allowed")
        assert (await http.get("/calls")).json()["calls"] == []


async def test_nobody_is_called_unless_the_operator_says_whom(tmp_path: Path) -> None:
    async with door(tmp_path, dial_prefixes="") as (http, _):
        assert_problem(await place(http), 403, "destination_not_allowed")


@pytest.mark.parametrize(
    "to",
    ["79990000001", "+7999", "+7999000000123456", "+7 999 000 00 01", "tel:+79990000001", "+7999x0001", "", 7, None],
)
async def test_a_number_is_a_plus_and_digits(tmp_path: Path, to: Any) -> None:
    async with door(tmp_path) as (http, _):
        assert_problem(await place(http, to), 422, "invalid_request")


async def test_we_call_from_our_own_number_only(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        answers = [await place(http, **{"from": number}) for number in ("+74950000001", "4950000000", OUR_NUMBER)]
    assert_problem(answers[0], 422, "invalid_request")
    assert_problem(answers[1], 422, "invalid_request")
    assert (answers[2].status_code, answers[2].json()["caller_number"]) == (202, OUR_NUMBER)


async def test_the_same_key_and_body_is_the_same_call(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        answers = [await place(http, key="order-17", metadata={"a": 1, "b": 2}) for _ in range(2)]
        answers.append(await place(http, key="order-17", metadata={"b": 2, "a": 1}))
        other = await place(http, key="order-17", metadata={"a": 1})
        calls = (await http.get("/calls")).json()["calls"]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert [answer.json()["call_id"] for answer in answers] == [calls[0]["call_id"]] * 3
    assert_problem(other, 422, "idempotency_key_reused")
    assert len(calls) == 1


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_is_of_a_sane_length(tmp_path: Path, key: str) -> None:
    async with door(tmp_path) as (http, _):
        assert_problem(await place(http, key=key), 422, "invalid_request")


async def test_a_number_that_was_called_often_enough_is_left_in_peace(tmp_path: Path) -> None:
    async with door(tmp_path, dials_per_number_hour=2, dials_per_day=3) as (http, _):
        answers = [await place(http) for _ in range(3)]
        other = [await place(http, "+79990000002"), await place(http, "+79990000003")]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert_problem(answers[2], 429, "dial_limit")
    assert 3500 < int(answers[2].headers["retry-after"]) <= 3600
    assert [answer.status_code for answer in other] == [202, 429]
    assert 86000 < int(other[1].headers["retry-after"]) <= 86400


async def test_a_service_that_stops_places_no_calls(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, services):
        await services.dispatcher.drain(0)
        assert_problem(await place(http), 503, "draining")


async def test_a_call_that_could_not_be_placed_in_time_is_not_placed_any_more(tmp_path: Path) -> None:
    before = {"created_at": "2026-11-22T10:00:00.000Z", "started_at": "2026-11-22T10:00:00.000Z"}
    waits: dict[str, Any] = {"kind": "room", "direction": "outbound", "status": "ringing", "owner": None, **before}
    waits["lease_until"] = lease_now() - 1
    async with door(tmp_path) as (http, services):
        await services.calls.create(a_call("call-1", called_number=TO, **waits))
        services.telephone.claims.wake()
        record = await ended(http, "call-1")
        rows = (await http.get("/calls/call-1/events")).json()["events"]
    assert (record["end_reason"], record["fault"]) == ("shutdown", "ours")
    assert [row["type"] for row in rows] == ["call.ended"]


async def test_erasing_calls_does_not_allow_more_dials(tmp_path: Path) -> None:
    async with door(tmp_path, dials_per_number_hour=2) as (http, _):
        for _ in range(2):
            call_id = (await place(http)).json()["call_id"]
            await ended(http, call_id)
            assert (await http.delete(f"/calls/{call_id}")).status_code == 204
        assert_problem(await place(http), 429, "dial_limit")


async def test_no_call_is_placed_or_promised_that_the_day_has_no_money_for(tmp_path: Path) -> None:
    async with door(tmp_path, max_call_cost_usd=0.5, max_day_cost_usd=0.9) as (http, services):
        taken = a_call("call-1", status="ended", started_at=iso_utc(utc_now()))
        await services.calls.create(taken, reservation=Reservation("clinic", 0.5))
        async with asyncio.timeout(20):
            while (shown := (await http.get("/health")).json()["spending"] or {}).get("reserved_usd") != 0.5:
                await asyncio.sleep(0.1)
        answers = [await place(http), await http.post("/media/sessions", json={})]
        figures = (await http.get("/metrics")).text
    for answer in answers:
        assert_problem(answer, 429, "spending_limit")
        assert 0 < int(answer.headers["retry-after"]) <= 24 * 3600
    assert (shown["spent_usd"], shown["limit_usd"], shown["unknown_calls"]) == (0.0, 0.9, 0)
    assert 'voice_admission_rejected_total{reason="spending_limit"} 2.0' in figures
    assert 'voice_day_cost_usd{kind="reserved"} 0.5' in figures


async def test_the_key_of_an_erased_call_dials_nobody(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        first = (await place(http, key="order-17")).json()["call_id"]
        await ended(http, first)
        assert (await http.delete(f"/calls/{first}")).status_code == 204
        answer = await place(http, key="order-17")
    assert_problem(answer, 422, "idempotency_key_reused")
    assert "was erased" in answer.json()["detail"]
    left = b"".join(path.read_bytes() for path in tmp_path.glob("calls.db*"))
    assert TO.encode() not in left
    assert b"order-17" not in left


async def test_without_livekit_no_call_is_placed(tmp_path: Path) -> None:
    async with door(tmp_path, livekit_url=None) as (http, _):
        assert_problem(await place(http), 503, "service_unavailable")


async def test_metadata_is_of_a_sane_size(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        assert_problem(await place(http, metadata={"long": "x" * 20_000}), 422, "invalid_request")
        assert_problem(await place(http, metadata=[1]), 422, "invalid_request")
