"""What the compose file gives to livekit-server, given to a real one."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from app.clients.livekit.sip_admin import LiveKitSIPClient
from app.clients.livekit.trunks import SipObjects
from app.errors import ProviderError
from sandbox.child_server import free_port
from tests.room.servers import KEY, SECRET, livekit_given, livekit_server
from tests.test_deploy import services

pytestmark = pytest.mark.room


async def test_the_compose_files_livekit_starts_and_keeps_trunks_in_redis(tmp_path: Path) -> None:
    with livekit_server(tmp_path) as other:
        variables = services()["livekit"]["environment"]
        reader = YAML(typ="safe")
        config = reader.load(filled(variables["LIVEKIT_CONFIG"]))
        config["port"], config["rtc"]["tcp_port"], config["rtc"]["udp_port"] = (free_port() for _ in range(3))
        config["redis"] = reader.load(other.server.config.read_text())["redis"]
        environment = {"LIVEKIT_CONFIG": json.dumps(config), "LIVEKIT_KEYS": filled(variables["LIVEKIT_KEYS"])}
        client = LiveKitSIPClient(url=f"http://127.0.0.1:{config['port']}", api_key=KEY, api_secret=SECRET)
        try:
            with livekit_given(environment):
                assert await told_by(client) == SipObjects()
        finally:
            await client.aclose()


async def told_by(client: LiveKitSIPClient) -> SipObjects:
    """What the server knows, once it is up."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await client.sip_objects()
            except ProviderError:
                await asyncio.sleep(0.1)


def filled(template: str) -> str:
    """As compose fills in what ``.env`` says."""
    values = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
    return re.sub(r"\$\{([A-Z_]+)[^}]*\}", lambda found: values[found[1]], template)
