"""What the service sent, at the doors."""

import asyncio
import base64
from pathlib import Path
from typing import Any

from tests.routers.test_calls import assert_problem
from tests.routers.test_calls_placed import door
from tests.storage.stores import a_call

SECRET = f"whsec_{base64.b64encode(bytes(24)).decode()}"
TO_US: dict[str, Any] = {"webhook_url": "http://127.0.0.1:9/calls?key=hidden", "webhook_secret": SECRET}


async def test_deliveries_are_listed_by_their_status_and_sent_again(tmp_path: Path) -> None:
    async with door(tmp_path, **TO_US) as (http, services):
        for number in range(3):
            await services.calls.create(a_call(f"call-{number}", status="ended"))
        async with asyncio.timeout(60):
            while not all(each.attempts for each in await services.after.outbox.list(None, limit=9)):
                await asyncio.sleep(0.01)  # nothing on this machine is allowed, so every attempt fails
        page = (await http.get("/webhooks/deliveries", params={"status": "pending", "limit": 2})).json()
        rest = (await http.get("/webhooks/deliveries", params={"cursor": page["next_cursor"], "limit": 2})).json()
        dead = (await http.get("/webhooks/deliveries", params={"status": "dead"})).json()
        again = await http.post(f"/webhooks/deliveries/{rest['deliveries'][0]['delivery_id']}/retry")
        health = (await http.get("/health")).json()

    assert [each["call_id"] for each in page["deliveries"] + rest["deliveries"]] == ["call-2", "call-1", "call-0"]
    assert (rest["next_cursor"], dead["deliveries"]) == (None, [])
    first = rest["deliveries"][0]
    assert (first["event"], first["url"], first["agent"]) == ("call.started", "http://127.0.0.1:9/calls?key=…", None)
    assert first["attempts"] == 1
    assert first["error"] == "the host is in a private network, and WEBHOOK_ALLOW_PRIVATE is not set"
    assert (again.status_code, again.json()["webhook_id"]) == (202, first["webhook_id"])
    assert again.json()["next_attempt_at"] < first["next_attempt_at"]
    assert "webhooks" in [component["name"] for component in health["components"]]


async def test_a_delivery_that_is_not_there_and_one_whose_endpoint_is_gone(tmp_path: Path) -> None:
    async with door(tmp_path, **TO_US) as (_, services):
        await services.calls.create(a_call("call-1", status="ended"))
        [delivery] = await services.after.outbox.list(None, limit=1)
    async with door(tmp_path) as (http, services):
        [dead] = (await http.get("/webhooks/deliveries")).json()["deliveries"]
        gone = await http.post(f"/webhooks/deliveries/{delivery.delivery_id}/retry")
        unknown = await http.post("/webhooks/deliveries/99/retry")
        no_number = await http.post(f"/webhooks/deliveries/{2**63}/retry")
        no_page = await http.get("/webhooks/deliveries", params={"cursor": 2**63})
        health = (await http.get("/health")).json()

    assert (dead["status"], dead["url"]) == ("dead", None)
    assert_problem(gone, 422, "invalid_request")
    assert_problem(unknown, 404, "not_found")
    assert_problem(no_number, 422, "invalid_request")
    assert_problem(no_page, 422, "invalid_request")
    assert "webhooks" not in [component["name"] for component in health["components"]]


async def test_deliveries_are_behind_the_key(tmp_path: Path) -> None:
    async with door(tmp_path, api_key="a key that nobody can guess") as (http, _):
        assert_problem(await http.get("/webhooks/deliveries"), 401, "unauthorized")
        assert_problem(await http.post("/webhooks/deliveries/1/retry"), 401, "unauthorized")
        assert (await http.get("/webhooks/deliveries", params={"state": "dead"})).status_code == 401


async def test_a_misspelt_parameter_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        assert_problem(await http.get("/webhooks/deliveries", params={"state": "dead"}), 422, "invalid_request")
        assert_problem(await http.get("/webhooks/deliveries", params={"status": "lost"}), 422, "invalid_request")
