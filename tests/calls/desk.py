"""A dispatcher as telephones find it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from app.calls.dispatch.admission import Admission
from app.calls.dispatch.dispatcher import CallDispatcher, LookUp
from app.service_loops import ServiceLoops
from tests.calls.fakes import LiveCall, World, a_call
from tests.calls.far_end import FarEnd

STORY = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed. Come when you like."


class Desk:
    """A dispatcher, and the telephones that call it."""

    def __init__(self, world: World, dispatcher: CallDispatcher) -> None:
        self.world = world
        self.dispatcher = dispatcher

    async def rings(self, call_id: str = "call-1", **metadata: str) -> LiveCall:
        far_end = FarEnd()
        began = asyncio.get_running_loop().time()
        body = await self.dispatcher.start(replace(a_call(call_id), metadata=dict(metadata)), far_end, direction="web")
        far_end.caller = body
        call = LiveCall(self.world, far_end, body, call_id)
        call.began = began
        return call


@asynccontextmanager
async def desk(
    world: World,
    *,
    max_live: int = 10,
    lease_clock: Callable[[], float] | None = None,
    failures: Mapping[str, int] | None = None,
    look_up: LookUp | None = None,
) -> AsyncIterator[Desk]:
    """Calls that live at the end are left by their callers. ``failures`` are the bugs that are meant, by loop."""
    async with ServiceLoops() as loops:
        admission = Admission(
            world.planner,
            world.services.calls,
            max_live=max_live,
            require_storage=lambda: None,
            on_rejected=world.metrics.call_rejected,
        )
        dispatcher = CallDispatcher(
            world.services,
            admission,
            reader=world.journal,
            loops=loops,
            lease_clock=lease_clock or asyncio.get_running_loop().time,
            look_up=look_up,
        )
        yield Desk(world, dispatcher)
        for call_id in list(dispatcher._live):
            dispatcher._live[call_id].leave("caller_hangup")
        await asyncio.sleep(3)
        dispatcher.stop()
    assert loops.failures == (failures or {})


def reasons(world: World) -> dict[str, str]:
    return {call_id: ending.end_reason for call_id, ending in world.journal.endings.items()}
