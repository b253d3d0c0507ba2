from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from sandbox.running import running_sandbox
from sandbox.vendors.faults import Fault, Vendor

STATUSES = {"refuse": 503, "unauthorized": 401, "unpaid": 402, "forbidden": 403, "rate_limit": 429}
HTTP: dict[Vendor, str] = {
    "deepgram": "/deepgram/v1/listen",
    "openai": "/openai/v1/responses",
    "cartesia": "/cartesia/tts/bytes",
}
SOCKETS: dict[Vendor, str] = {
    "deepgram": "/deepgram/v2/listen?model=flux-general-multi&encoding=linear16&sample_rate=16000",
    "cartesia": "/cartesia/tts/websocket?api_key=key&cartesia_version=2026-03-01",
}
KEYS = {"Authorization": "Bearer key", "Cartesia-Version": "2026-03-01"}
SOCKET_OPTIONS: dict[str, Any] = {"additional_headers": {"Authorization": "Token key"}, "proxy": None}


@pytest.mark.parametrize("vendor", HTTP)
async def test_every_vendor_turns_a_request_away(vendor: Vendor) -> None:
    async with (
        running_sandbox() as sandbox,
        httpx.AsyncClient(base_url=sandbox.url, headers=KEYS, trust_env=False) as http,
    ):
        for kind, status in STATUSES.items():
            sandbox.stage.faults.add(Fault(vendor, kind, retry_after=20.0))
            answer = await http.post(HTTP[vendor], json={})
            assert (answer.status_code, answer.headers.get("retry-after")) == (status, "20")
        sandbox.stage.faults.add(Fault(vendor, "unreachable"))
        with pytest.raises(httpx.TransportError):
            await http.post(HTTP[vendor], json={})


@pytest.mark.parametrize("vendor", SOCKETS)
async def test_every_vendor_turns_a_websocket_away(vendor: Vendor) -> None:
    async with running_sandbox() as sandbox:
        url = f"{sandbox.url.replace('http:', 'ws:')}{SOCKETS[vendor]}"
        for kind, status in STATUSES.items():
            sandbox.stage.faults.add(Fault(vendor, kind))
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, **SOCKET_OPTIONS)
            assert refused.value.response.status_code == status
        sandbox.stage.faults.add(Fault(vendor, "unreachable"))
        with pytest.raises((InvalidMessage, OSError)):
            await connect(url, **SOCKET_OPTIONS)
        async with connect(url, **SOCKET_OPTIONS):
            pass
