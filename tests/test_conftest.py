"""The guards themselves."""

import asyncio
import os
import socket
import time

import pytest

from tests.support.steady_time import SteadyTimeLoop

VIRTUAL_TIME = True


async def test_an_hour_passes_at_once() -> None:
    started = asyncio.get_running_loop().time()

    await asyncio.sleep(3600)

    assert asyncio.get_running_loop().time() - started == 3600


def test_what_others_take_of_the_machine_is_not_a_time_and_what_is_waited_for_is() -> None:
    async def passed() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        time.sleep(0.2)  # noqa: ASYNC251 - as when another program has the core: the loop must not notice it
        resumed = loop.time()
        await asyncio.sleep(0.05)
        return resumed - began, loop.time() - resumed

    with asyncio.Runner(loop_factory=SteadyTimeLoop) as runner:
        taken, waited = runner.run(passed())
    assert taken < 0.1
    assert 0.05 <= waited < 0.15


def test_a_deadline_is_not_missed_by_what_is_there_already() -> None:
    async def answer() -> bytes:
        near, far = socket.socketpair()
        near.setblocking(False)
        with near, far:
            async with asyncio.timeout(0.1):
                far.send(b"in time")
                time.sleep(0.2)  # noqa: ASYNC251 - the deadline passes on the wall while the loop cannot look
                return await asyncio.get_running_loop().sock_recv(near, 10)

    with asyncio.Runner(loop_factory=SteadyTimeLoop) as runner:
        assert runner.run(answer()) == b"in time"


def test_the_network_beyond_this_machine_is_closed() -> None:
    with socket.socket() as sock, pytest.raises(AssertionError, match="tried to reach"):
        sock.connect(("192.0.2.1", 80))


def test_settings_of_this_machine_do_not_reach_a_test() -> None:
    assert "SHELL" not in os.environ
