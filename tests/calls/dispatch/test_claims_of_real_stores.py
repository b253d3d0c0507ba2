"""Two processes, each with connections of its own, and the callers in one inbox."""

import asyncio
from pathlib import Path

from app.calls.dispatch.claims import Claims, Share
from app.clock import utc_now
from app.models import TelephoneCall
from app.service_loops import ServiceLoops
from app.storage.calls import CallRow
from app.storage.webhooks import WebhookInbox
from tests.storage.stores import Stores, a_call, open_stores

CALLERS = 20


class Process:
    """What it took."""

    def __init__(self, name: str, stores: Stores, loops: ServiceLoops) -> None:
        self.inbox = WebhookInbox(stores.database)
        self.met: list[str] = []
        self.placed: list[CallRow] = []
        self.claims = Claims(
            self.inbox,
            stores.calls,
            Share(name, places=50, all_places=100, has_siblings=True),
            live_calls=lambda: len(self.met) + len(self.placed),
            on_caller=lambda caller: self.met.append(caller.identity),
            on_outbound=self.placed.append,
            loops=loops,
        )


async def test_each_waiting_call_is_taken_once_and_no_process_takes_all(tmp_path: Path) -> None:
    async with (
        open_stores(tmp_path) as here,
        open_stores(tmp_path) as there,
        asyncio.timeout(20),
        ServiceLoops() as loops,
    ):
        first, other = Process("first", here, loops), Process("other", there, loops)
        for number in range(CALLERS):
            caller = TelephoneCall("call_1", "RM_1", f"sip_{number}", {"sip.callID": f"SCL_{number}"})
            await first.inbox.add(f"EV_{number}", "participant_joined", caller, utc_now())
            first.claims.wake()
            row = a_call(f"out-{number}", status="ringing", direction="outbound", owner=None, fence=0)
            await here.calls.create(row)
        while len(first.met + other.met) + len(first.placed + other.placed) < 2 * CALLERS:
            await asyncio.sleep(0.01)
        first.claims.stop()
        other.claims.stop()

    assert sorted(first.met + other.met) == sorted(f"sip_{number}" for number in range(CALLERS))
    placed = first.placed + other.placed
    assert sorted(call.call_id for call in placed) == sorted(f"out-{number}" for number in range(CALLERS))
    assert {(call.owner, call.fence) for call in placed} == {("first", 1), ("other", 1)}
    assert min(len(first.met) + len(first.placed), len(other.met) + len(other.placed)) >= CALLERS // 2
