"""Requests queue by priority, and a vendor's limits decide when they go."""

import asyncio
from contextlib import suppress

import pytest

from app.clients.limiter import Limiters, RequestLimiter
from app.errors import Throttled
from app.ports.priority import Priority, requests_at

VIRTUAL_TIME = True

LIVE, HEDGE, BACKGROUND = Priority


class Observed:
    """Keeps who waited and who was refused."""

    def __init__(self) -> None:
        self.waits: list[tuple[str, str, float]] = []
        self.refusals: list[tuple[str, str]] = []

    def waited(self, provider: str, priority: str, seconds: float) -> None:
        self.waits.append((provider, priority, round(seconds, 3)))

    def refused(self, provider: str, priority: str) -> None:
        self.refusals.append((provider, priority))


class Requests:
    """Starts requests that each hold a slot for some time, and notes when the vendor gets them."""

    def __init__(self, limiter: RequestLimiter) -> None:
        self._limiter = limiter
        self._tasks: list[asyncio.Task[None]] = []
        self.sent: list[tuple[str, float]] = []
        self.refused: list[str] = []

    def start(self, name: str, priority: Priority = LIVE, *, seconds: float = 1.0) -> asyncio.Task[None]:
        with requests_at(priority):
            task = asyncio.get_running_loop().create_task(self._send(name, seconds), name=name)
        self._tasks.append(task)
        return task

    async def done(self) -> None:
        await asyncio.wait(self._tasks)

    async def _send(self, name: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with self._limiter.turn():
                self.sent.append((name, round(loop.time(), 3)))
                await asyncio.sleep(seconds)
        except Throttled:
            self.refused.append(name)


def headers(remaining: int, *, limit: int = 100, reset: str = "10s") -> dict[str, str]:
    return {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(remaining),
        "x-ratelimit-reset-requests": reset,
    }


async def test_without_a_limit_everything_goes_at_once() -> None:
    requests = Requests(RequestLimiter())
    for number in range(100):
        requests.start(str(number), BACKGROUND)
    await requests.done()
    assert {at for _, at in requests.sent} == {0.0}


async def test_a_short_pause_is_waited_for() -> None:
    observed = Observed()
    limiter = RequestLimiter("vendor", observer=observed)
    limiter.pause(0.3)
    requests = Requests(limiter)
    requests.start("turn")
    await requests.done()
    assert requests.sent == [("turn", 0.3)]
    assert observed.waits == [("vendor", "live_turn", 0.3)]


async def test_a_long_pause_is_not_waited_for_by_a_turn_but_by_the_analysis() -> None:
    observed = Observed()
    limiter = RequestLimiter("vendor", observer=observed)
    limiter.pause(20.0)
    with pytest.raises(Throttled) as caught:
        await limiter.acquire()
    assert asyncio.get_running_loop().time() == 0.0
    assert caught.value.retry_after == pytest.approx(20.0)
    requests = Requests(limiter)
    requests.start("analysis", BACKGROUND)
    await requests.done()
    assert requests.sent == [("analysis", 20.0)]
    assert observed.refusals == [("vendor", "live_turn")]


async def test_live_turns_go_before_hedges_and_these_before_the_analysis() -> None:
    limiter = RequestLimiter(concurrent=2)
    requests = Requests(limiter)
    requests.start("one", seconds=0.4)
    requests.start("two", seconds=0.5)
    await asyncio.sleep(0.1)
    requests.start("analysis", BACKGROUND, seconds=0.1)
    await asyncio.sleep(0.1)
    requests.start("hedge", HEDGE)
    requests.start("turn", seconds=0.3)
    await requests.done()
    assert requests.refused == ["hedge"]  # it helps nobody later
    assert requests.sent == [
        ("one", 0.0),
        ("two", 0.0),
        ("turn", 0.4),
        ("analysis", 0.7),
    ]  # one slot stays free for turns


async def test_the_last_slot_is_kept_for_live_turns() -> None:
    requests = Requests(RequestLimiter(concurrent=3))
    for name in ("a", "b", "c"):
        requests.start(name, BACKGROUND)
    await asyncio.sleep(0.1)
    requests.start("turn")
    await requests.done()
    assert requests.sent == [("a", 0.0), ("b", 0.0), ("turn", 0.1), ("c", 1.0)]


async def test_a_single_slot_serves_all() -> None:
    requests = Requests(RequestLimiter(concurrent=1))
    requests.start("phrase", BACKGROUND, seconds=0.2)
    await asyncio.sleep(0.1)
    requests.start("turn")
    await requests.done()
    assert requests.sent == [("phrase", 0.0), ("turn", 0.2)]


async def test_a_turn_that_gets_no_slot_in_time_is_refused() -> None:
    loop = asyncio.get_running_loop()
    limiter = RequestLimiter(concurrent=1)
    slot = await limiter.acquire()
    with pytest.raises(Throttled):
        await limiter.acquire()
    assert loop.time() == pytest.approx(0.6)
    slot.release()
    slot.release()
    (await limiter.acquire()).release()
    assert repr(limiter) == "<RequestLimiter provider 0 of 1, 0 wait>"


async def test_a_request_that_is_cancelled_while_it_waits_leaves_the_queue() -> None:
    limiter = RequestLimiter(concurrent=1)
    slot = await limiter.acquire()
    requests = Requests(limiter)
    waiting = requests.start("gone")
    await asyncio.sleep(0.1)
    slot.release()  # in the same moment it is its turn
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    (await limiter.acquire()).release()
    assert requests.sent == []
    assert repr(limiter) == "<RequestLimiter provider 0 of 1, 0 wait>"


@pytest.mark.parametrize(("remaining", "may"), [(90, "turn hedge analysis"), (20, "turn hedge"), (4, "turn"), (0, "")])
async def test_what_is_left_of_an_allowance_is_for_the_turns(remaining: int, may: str) -> None:
    limiter = RequestLimiter()
    limiter.learn(headers(remaining))
    requests = Requests(limiter)
    requests.start("turn")
    requests.start("hedge", HEDGE)
    requests.start("analysis", BACKGROUND)
    await requests.done()
    assert " ".join(name for name, at in requests.sent if at == 0.0) == may
    late = [name for name, at in requests.sent if at]
    assert late == ([] if "analysis" in may else ["analysis"])


async def test_requests_count_against_an_allowance_before_the_vendor_says_so() -> None:
    limiter = RequestLimiter()
    limiter.learn(headers(2, reset="500ms"))
    requests = Requests(limiter)
    for name in "abc":
        requests.start(name)
    await requests.done()
    assert requests.sent == [("a", 0.0), ("b", 0.0), ("c", 0.5)]


async def test_newer_headers_replace_older_ones() -> None:
    limiter = RequestLimiter()
    limiter.learn(headers(0, reset="10s"))
    limiter.learn(headers(50, reset="10s"))
    (await limiter.acquire()).release()
    limiter.learn({"content-type": "text/plain"})
    (await limiter.acquire()).release()


async def test_no_more_than_256_requests_wait() -> None:
    limiter = RequestLimiter()
    limiter.pause(0.3)
    requests = Requests(limiter)
    for number in range(300):
        requests.start(str(number), seconds=0.0)
    await requests.done()
    assert (len(requests.sent), len(requests.refused)) == (256, 44)


async def test_workers_share_a_plan_and_clients_a_limiter() -> None:
    limiters = Limiters(workers=3)
    assert repr(limiters.of("a", "vendor", concurrent=7)) == "<RequestLimiter vendor 0 of 2, 0 wait>"
    assert repr(limiters.of("b", "vendor", concurrent=1)) == "<RequestLimiter vendor 0 of 1, 0 wait>"
    assert limiters.of("a", "vendor", concurrent=7) is limiters.of("a", "vendor", concurrent=7)
    assert repr(limiters.of("c", "vendor")) == "<RequestLimiter vendor 0 of None, 0 wait>"
