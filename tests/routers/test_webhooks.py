from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from app.main import create_app
from app.settings import Settings
from tests.support.webhooks import KEY, signed

SECRET = "a secret of more than thirty-two bytes"
NOWHERE = "http://127.0.0.1:9"
BODY = b'{"event":"room_started","id":"EV_1","room":{"name":"call_1","sid":"RM_1"}}'
LIVEKIT = {"livekit_url": "ws://127.0.0.1:9", "livekit_api_key": KEY, "livekit_api_secret": SECRET}


@asynccontextmanager
async def door(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    vendors = {f"{name}_base_url": NOWHERE for name in ("deepgram", "openai", "cartesia")}
    values = {"providers": "sandbox", "data_dir": folder, **vendors, **settings}
    app = create_app(Settings(_env_file=None, **values))  # type: ignore[call-arg]  # its stub does not say so
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://door") as http:
        yield http


async def post(http: httpx.AsyncClient, body: bytes, token: str) -> httpx.Response:
    return await http.post("/webhooks/livekit", content=body, headers={"Authorization": token})


async def test_a_signed_event_is_answered_and_counted(tmp_path: Path) -> None:
    async with door(tmp_path, **LIVEKIT) as http:
        answers = [await post(http, body, signed(body, SECRET)) for body in (BODY, BODY.replace(b"room_started", b"x"))]
        figures = (await http.get("/metrics")).text
    assert [answer.status_code for answer in answers] == [200, 200]
    assert 'voice_webhooks_total{event="room_started",result="ignored"} 1.0' in figures
    assert 'voice_webhooks_total{event="unknown",result="ignored"} 1.0' in figures


async def test_an_event_that_livekit_did_not_sign_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path, **LIVEKIT) as http:
        answers = [await post(http, BODY, token) for token in ("", "x", signed(BODY, "x" * 32), signed(b"", SECRET))]
        figures = (await http.get("/metrics")).text
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "webhook_invalid")] * 4
    assert 'voice_webhooks_total{event="unknown",result="refused"} 4.0' in figures


async def test_a_body_larger_than_any_event_is_not_read(tmp_path: Path) -> None:
    async with door(tmp_path, **LIVEKIT) as http:
        answer = await post(http, b" " * 65537, "x")
    assert answer.status_code == 413


async def test_the_keys_that_may_sign_can_differ_from_the_key_of_the_service(tmp_path: Path) -> None:
    keys = {"livekit_webhook_keys": f"old:{'o' * 32}, new:{'n' * 32}"}
    async with door(tmp_path, **LIVEKIT, **keys) as http:
        tokens = [signed(BODY, "o" * 32, key="old"), signed(BODY, "n" * 32, key="new"), signed(BODY, SECRET)]
        answers = [await post(http, BODY, token) for token in tokens]
    assert [answer.status_code for answer in answers] == [200, 200, 401]


async def test_without_livekit_there_is_no_such_door(tmp_path: Path) -> None:
    async with door(tmp_path) as http:
        answer = await post(http, BODY, "x")
    assert answer.status_code == 503
