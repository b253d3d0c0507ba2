"""The guards themselves."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.leaping_time import LeapingTimeLoop, NeverRests
from tests.support.steady_time import SteadyTimeLoop

VIRTUAL_TIME = True
_WORK_SECONDS = 0.2


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


@pytest.fixture
def reader() -> Iterator[None]:
    """A thread that was there before the loop, such as one of a test runner, and waits for a pipe."""
    end, other_end = os.pipe()
    thread = threading.Thread(target=os.read, args=(end, 1))
    thread.start()
    try:
        yield
    finally:
        os.write(other_end, b"x")
        thread.join()
        os.close(end)
        os.close(other_end)


@pytest.mark.usefixtures("reader")
def test_a_thread_that_was_there_before_holds_up_no_leap() -> None:
    with asyncio.Runner(loop_factory=LeapingTimeLoop) as runner:
        assert not runner.run(_is_busy())
        runner.run(asyncio.sleep(3600.0))


def test_no_time_passes_while_a_thread_works() -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=time.sleep, args=(_WORK_SECONDS,))
        thread.start()
        await asyncio.sleep(1.0)
        assert not thread.is_alive()
        before = loop.time()
        await asyncio.to_thread(time.sleep, _WORK_SECONDS)
        return loop.time() - before

    with asyncio.Runner(loop_factory=LeapingTimeLoop) as runner:
        assert runner.run(work()) == 0.0


def test_a_task_that_never_rests_is_told() -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    runner = asyncio.Runner(loop_factory=LeapingTimeLoop)
    with pytest.raises(NeverRests, match=r"at 0\.000 s"):
        runner.run(spin())
    runner.close()


async def _is_busy() -> bool:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, LeapingTimeLoop)
    return loop.is_busy_elsewhere
