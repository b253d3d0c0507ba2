"""The clinic of the demo: its schedule, and its receiver of webhooks, over real HTTP."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from app.clock import utc_now
from sandbox.clinic.clinic import FREE_TIMES, Clinic
from sandbox.running import serving

DAY = "2026-12-04"


@asynccontextmanager
async def a_clinic() -> AsyncIterator[tuple[Clinic, httpx.AsyncClient]]:
    clinic = Clinic()
    async with (
        serving(clinic.app) as url,
        httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {clinic.token}"}, trust_env=False) as http,
    ):
        yield clinic, http


def signed(secret: str, body: str) -> dict[str, str]:
    now = utc_now()
    signature = Webhook(secret).sign("msg_1", now, body)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }


async def test_a_visit_is_booked_at_a_free_time_alone() -> None:
    async with a_clinic() as (clinic, http):
        free = (await http.get("/free-times", params={"day": DAY})).json()
        taken = await http.post("/visits", json={"day": DAY, "time": "11:00"})
        unreadable = await http.post("/visits", content=b"{")
        booked = await http.post("/visits", json={"day": DAY, "time": free["free"][0]})

    assert free == {"day": DAY, "free": list(FREE_TIMES)}
    assert (taken.status_code, unreadable.status_code, booked.status_code) == (409, 409, 201)
    assert clinic.visits == [{"day": DAY, "time": FREE_TIMES[0]}]


async def test_nobody_books_without_the_token() -> None:
    async with a_clinic() as (clinic, http):
        answer = await http.post("/visits", json={"time": FREE_TIMES[0]}, headers={"Authorization": "Bearer other"})

    assert answer.status_code == 401
    assert clinic.visits == []


async def test_a_webhook_counts_when_its_signature_is_right() -> None:
    body = json.dumps({"type": "call.analyzed", "data": {"call_id": "call_1"}})
    async with a_clinic() as (clinic, http):
        answer = await http.post("/calls", content=body, headers=signed(clinic.webhook_secret, body))
        webhook = await clinic.webhook("call.analyzed", "call_1")

    assert answer.status_code == 204
    assert (webhook.id, webhook.message) == ("msg_1", json.loads(body))


@pytest.mark.parametrize("headers", [{}, signed(f"whsec_{base64.b64encode(bytes(32)).decode()}", "{}")])
async def test_a_forged_webhook_is_refused(headers: dict[str, str]) -> None:
    async with a_clinic() as (clinic, http):
        answer = await http.post("/calls", content="{}", headers=headers)

    assert answer.status_code == 400
    assert clinic.webhooks == []


def test_the_agent_of_the_clinic_is_led_to_its_address() -> None:
    agent = Clinic.agent("http://127.0.0.1:5")

    assert "url: http://127.0.0.1:5/free-times" in agent
    assert "schedule.example.org" not in agent
