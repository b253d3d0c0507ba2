"""Rooms that must be ended and telephones that must be called off when their call is over. In virtual time."""

import asyncio

from structlog.testing import capture_logs

from app.calls.telephone.leftovers import Leftovers
from app.contained_tasks import ContainedTasks
from app.errors import ProviderTimeout

VIRTUAL_TIME = True


def now() -> float:
    return asyncio.get_running_loop().time()


class LiveKit:
    """Fails so often, then does what it is asked; a telephone comes into the room when its dial gets through."""

    def __init__(self, *, failures: int = 0, telephone_comes_at: float | None = None) -> None:
        self.asked: list[tuple[float, str]] = []
        self._failures = failures
        self._comes_at = telephone_comes_at

    async def delete_room(self, room: str) -> None:
        self._fail(f"delete {room}")

    async def remove_participant(self, room: str, identity: str) -> bool:
        self._fail(f"remove {identity} from {room}")
        return self._comes_at is not None and now() >= self._comes_at

    def _fail(self, what: str) -> None:
        self.asked.append((now(), what))
        if len(self.asked) <= self._failures:
            raise ProviderTimeout("livekit", "no answer before the deadline")


def leftovers(livekit: LiveKit, background: ContainedTasks) -> Leftovers:
    return Leftovers(livekit, background)  # type: ignore[arg-type]  # the real one needs a socket


async def test_a_room_is_ended_as_soon_as_livekit_does_it() -> None:
    livekit = LiveKit(failures=4)
    async with ContainedTasks(patience_seconds=300) as background:
        leftovers(livekit, background).end_room("call_1")
    assert [what for _, what in livekit.asked] == ["delete call_1"] * 5
    assert livekit.asked[-1][0] < 5


async def test_ending_a_room_never_waits() -> None:
    livekit = LiveKit(failures=1000)
    async with ContainedTasks() as background:
        leftovers(livekit, background).end_room("call_1")
        assert (now(), livekit.asked) == (0.0, [])


async def test_requests_to_livekit_are_repeated_for_two_minutes_and_then_left_to_the_reconciler() -> None:
    livekit = LiveKit(failures=1000)
    with capture_logs() as logs:
        async with ContainedTasks(patience_seconds=300) as background:
            leftovers(livekit, background).end_room("call_1")
    assert 110 < livekit.asked[-1][0] <= 120
    assert [line["event"] for line in logs] == ["leftovers.abandoned"]


async def test_a_telephone_that_is_not_there_is_removed_once() -> None:
    livekit = LiveKit()
    async with ContainedTasks() as background:
        leftovers(livekit, background).call_off("call_1", "human-1", may_come=False)
    assert [what for _, what in livekit.asked] == ["remove human-1 from call_1"]


async def test_a_telephone_whose_dial_got_lost_is_removed_when_it_comes() -> None:
    livekit = LiveKit(telephone_comes_at=6.0)
    async with ContainedTasks(patience_seconds=300) as background:
        leftovers(livekit, background).call_off("call_1", "human-1", may_come=True)
    assert 6.0 <= livekit.asked[-1][0] < 12.0


async def test_a_human_in_a_call_that_goes_on_is_removed_when_livekit_is_back_after_ten_minutes() -> None:
    livekit = LiveKit(failures=125, telephone_comes_at=0.0)
    async with ContainedTasks(patience_seconds=4000) as background:
        leftovers(livekit, background).call_off("call_1", "human-1", may_come=False)
    assert len(livekit.asked) == 126
    assert livekit.asked[-1][0] > 600


async def test_a_telephone_that_never_comes_is_looked_for_as_long_as_it_may_ring() -> None:
    livekit = LiveKit()
    async with ContainedTasks(patience_seconds=300) as background:
        leftovers(livekit, background).call_off("call_1", "human-1", may_come=True)
    assert 25 < livekit.asked[-1][0] < 40
