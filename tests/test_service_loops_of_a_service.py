"""Each loop of a whole service raises, once and for ever, beside a live call: the call does not notice, health does."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from livekit import api

from app.models import TelephoneCall
from app.service_loops import LoopName, ServiceLoop
from sandbox.caller.score import says, waits_for_agent
from tests.clients.livekit.twirp import KEY, SECRET, running
from tests.end_to_end.calls import GREETING, QUIET, hold, score
from tests.end_to_end.service import RunningService, in_thread, running_service, service_in_thread
from tests.support.sources import text

OF_POSTGRES = ("storage.listener",)
LOOPS = tuple(name for name in get_args(LoopName) if name not in OF_POSTGRES)
ROOT = Path(__file__).parents[1]
OF_CONNECTIONS = {"service", "cartesia:socket", "cartesia:read", "cartesia:write"}
"""The server itself, and the tasks of a vendor's socket, which is opened again when they end."""
GROUPS = 4
"""Loops fail at the same time in so many groups, each beside one call."""
TALK = score(
    waits_for_agent(QUIET),
    says("Когда вы открыты?"),
    waits_for_agent(QUIET),
    replies=({"text": "Мы открыты ежедневно с девяти утра."},),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """With telephone calls, so that it has every loop there is."""
    folder = tmp_path_factory.mktemp("loops")
    with in_thread("livekit", lambda: running(ListRooms=api.ListRoomsResponse())) as livekit:
        settings: dict[str, Any] = {"livekit_url": livekit.url, "livekit_api_key": KEY, "livekit_api_secret": SECRET}
        settings |= {"synthetic_call_minutes": 1440, "otel_exporter_otlp_endpoint": "http://127.0.0.1:9"}
        with service_in_thread(folder, greeting=GREETING, **settings) as service:
            yield service


def test_the_list_of_loops_is_complete(service: RunningService) -> None:
    assert sorted(loop.name for loop in service.services.loops) == sorted(LOOPS)


def test_the_ledger_of_tasks_names_every_loop_and_no_other() -> None:
    ledger = text("ARCHITECTURE.md").partition("## Task ledger")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in ledger.splitlines() if "*loop*" in line and line.startswith("|")]

    assert sorted(name for names in rows for name in re.findall(r"`([^`]+)`", names)) == sorted(get_args(LoopName))


def test_what_runs_without_a_call_is_a_loop_or_belongs_to_a_connection(service: RunningService) -> None:
    """Any other task that lives as long as the service has no guard, wherever it is started."""

    async def ours() -> set[str]:
        guarded = {loop._task for loop in service.services.loops}
        tasks = asyncio.all_tasks() - guarded - {asyncio.current_task()}
        return {task.get_name() for task in tasks if _is_ours(task)}

    seen = service.run(ours())
    for _ in range(300):  # lines are prepared, and a request is being made
        if seen <= OF_CONNECTIONS:
            break
        service.run(asyncio.sleep(0.1))
        seen &= service.run(ours())
    assert seen <= OF_CONNECTIONS


def _is_ours(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    path = Path(code.co_filename) if code is not None else Path("/")
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in {"app", "media", "routers"}


@pytest.mark.parametrize("names", [LOOPS[first::GROUPS] for first in range(GROUPS)], ids=",".join)
async def test_loops_that_raise_harm_no_call(service: RunningService, names: tuple[str, ...]) -> None:
    before = Counter(service.services.loops.failures)
    loops = [loop for loop in service.services.loops if loop.name in names]
    call = asyncio.get_running_loop().create_task(hold(service, TALK), name="call")
    try:
        await until(lambda: service.services.dispatcher.live_calls == 1)
        async with broken(service, loops, times=1):
            await until(lambda: set(service.services.loops.failures - before) == set(names))
        # a vital loop that fails for ever is the end of the process, see tests/end_to_end
        lesser = [loop for loop in loops if not loop.is_vital]
        async with broken(service, lesser, times=1_000_000), service.async_client() as http:
            for loop in lesser:
                await until_named(http, loop.name)
            held = await call
    finally:
        call.cancel()
        await asyncio.wait([call])

    assert len(loops) == len(names)
    assert (held.record["fault"], held.record["end_reason"]) == ("none", "caller_hangup")
    assert len(held.said("assistant")) == 2
    assert set(service.services.loops.failures - before) == set(names)
    assert not service.services.loops.gone.is_set()


async def test_a_bug_in_the_task_of_a_telephone_call_harms_no_other_call(service: RunningService) -> None:
    telephone = service.services.telephone
    assert telephone is not None
    before = Counter(service.services.loops.failures)
    make_leg = telephone.rooms._make_leg

    async def meet() -> None:
        telephone.rooms._make_leg = None  # type: ignore[assignment]  # the bug
        telephone.rooms.meet(TelephoneCall("call_1", "RM_1", "sip_1", {"sip.callID": "SCL_1"}))

    async def mend() -> None:
        telephone.rooms._make_leg = make_leg

    call = asyncio.get_running_loop().create_task(hold(service, TALK), name="call")
    await until(lambda: service.services.dispatcher.live_calls == 1)
    service.run(meet())
    await until(lambda: service.services.loops.failures["room"] > before["room"])
    service.run(mend())
    held = await call
    assert (held.record["fault"], set(service.services.loops.failures - before)) == ("none", {"room"})


class Broken:
    """A loop whose next so many rounds raise; one that waits for long is interrupted."""

    def __init__(self, loop: ServiceLoop, times: int) -> None:
        self._loop, self._times = loop, times
        self._work = loop._work

    async def begin(self) -> None:
        self._loop._work, times = self._raise, self._times
        for _ in range(100):
            if self._times < times:
                return
            await asyncio.sleep(0.01)
        self._loop._task.cancel()

    def mend(self) -> None:
        self._loop._work = self._work

    async def _raise(self) -> None:
        if self._times:
            self._times -= 1
            raise ZeroDivisionError
        await self._work()


@asynccontextmanager
async def broken(service: RunningService, loops: list[ServiceLoop], *, times: int) -> AsyncIterator[None]:
    made = [Broken(loop, times) for loop in loops]

    async def begin() -> None:
        await asyncio.gather(*(each.begin() for each in made))

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(begin(), service.loop))
    try:
        yield
    finally:
        for each in made:
            each.mend()


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def until_named(http: Any, name: str) -> None:
    async with asyncio.timeout(30):
        while name not in (await http.get("/health")).json()["failing_loops"]:
            await asyncio.sleep(0.02)


class Page:
    """What a web server answers in the place of LiveKit's: 200, and no protobuf."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - as protobuf calls it
        return b"<!DOCTYPE html><html><body>We are back soon.</body></html>"


async def test_a_web_page_in_the_place_of_livekit_harms_neither_a_call_nor_another_loop(tmp_path: Path) -> None:
    page, caller = Page(), TelephoneCall("call_1", "RM_1", "sip_1", {"sip.callID": "SCL_1"})
    sip = api.ParticipantInfo.Kind.SIP
    waits = api.ParticipantInfo(identity=caller.identity, kind=sip, attributes=caller.attributes)
    there = api.ListParticipantsResponse(participants=[waits])
    async with running(ListRooms=page, RemoveParticipant=page, ListParticipants=there) as livekit:
        settings: dict[str, Any] = {"livekit_url": livekit.url, "livekit_api_key": KEY, "livekit_api_secret": SECRET}
        async with running_service(tmp_path, greeting=GREETING, max_concurrent_calls=1, **settings) as service:
            loops = service.services.loops
            call = asyncio.get_running_loop().create_task(hold(service, TALK), name="call")
            await until(lambda: service.services.dispatcher.live_calls == 1)
            assert service.services.telephone is not None
            service.services.telephone.rooms.meet(caller)  # for whom there is no place
            await livekit.until("RemoveParticipant")
            async with service.async_client() as http:
                await until_named(http, "rooms.reconciler")
                await asyncio.sleep(1.5)
                health = (await http.get("/health")).json()
                ready = await http.get("/health/ready")
            held = await call
    assert (held.record["fault"], held.record["end_reason"]) == ("none", "caller_hangup")
    assert {part["name"]: part["status"] for part in health["components"]}["livekit"] == "degraded"
    assert (ready.status_code, health["failing_loops"], set(loops.failures)) == (
        200,
        ["rooms.reconciler"],
        {"rooms.reconciler"},
    )
