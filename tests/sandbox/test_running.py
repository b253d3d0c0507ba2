import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from sandbox.running import running_sandbox
from sandbox.vendors.app import create_sandbox
from sandbox.vendors.faults import Fault


@asynccontextmanager
async def sandbox_process(*arguments: str) -> AsyncIterator[tuple[Process, dict[str, str]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "sandbox", *arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdout
    try:
        yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_command_prints_the_vendors_addresses_and_ends_on_request() -> None:
    async with sandbox_process("--profile", "instant") as (process, addresses), httpx.AsyncClient() as http:
        assert set(addresses) == {"url", "deepgram_base_url", "openai_base_url", "cartesia_base_url"}
        assert addresses["openai_base_url"].endswith("/openai/v1")
        models = await http.get(addresses["openai_base_url"] + "/models", headers={"Authorization": "Bearer key"})
        assert models.json()["data"]
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_the_command_ends_with_its_parent_if_asked_to() -> None:
    async with sandbox_process("--with-parent") as (process, _):
        assert process.stdin
        process.stdin.close()
        assert await process.wait() == 0


async def test_leaving_the_context_ends_what_is_still_waiting_at_once() -> None:
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient() as http, asyncio.TaskGroup() as group:
        async with running_sandbox() as sandbox:
            sandbox.stage.faults.add(Fault("openai", "hang"))
            asking = group.create_task(ask(http, sandbox.openai_base_url), name="ask")
            await asyncio.wait({asking}, timeout=0.1)
            assert sandbox.stage.counts["openai", "responses"] == 1
            left = loop.time()
        assert loop.time() - left < 0.5
        assert await asking == "gone"
        with pytest.raises(httpx.ConnectError):
            await http.get(sandbox.url)


async def ask(http: httpx.AsyncClient, base_url: str) -> str:
    headers = {"Authorization": "Bearer key"}
    try:
        await http.post(f"{base_url}/responses", headers=headers, json={"model": "gpt-6-luna", "input": "hello"})
    except httpx.TransportError:
        return "gone"
    return "answered"


async def test_the_sandbox_installs_no_signal_handler_and_takes_the_port_it_is_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before = signal.getsignal(signal.SIGTERM)
    async with running_sandbox(port=port) as sandbox:
        assert sandbox.url == f"http://127.0.0.1:{port}"
        assert signal.getsignal(signal.SIGTERM) is before


def test_an_unknown_profile_is_an_error() -> None:
    with pytest.raises(KeyError):
        create_sandbox(profile="lightning")
