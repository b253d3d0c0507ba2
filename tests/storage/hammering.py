"""One of several processes that want the same things at once: ``python -m tests.storage.hammering <url> <name>``.

It waits for a line on its standard input, so that all begin together, and writes what it got as JSON.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

from app.clock import parse_iso
from app.errors import AtCapacity, DialLimitReached, SpendingLimitReached, TokenUsed
from app.storage.calls import CallStore
from app.storage.database import Database
from app.storage.placements import DialLimits, IdempotencyKey, PlacementStore
from app.storage.sessions import SessionStore
from app.storage.spending import Reservation, SpendingStore
from app.storage.webhooks import WebhookInbox
from tests.storage.stores import START, a_call

PLACES = 30
DIALS = 12
KEYS = 6
DAY_LIMIT = 4.0
EACH_USD = 0.25
TOKENS = 10
CALLERS = 20
ATTEMPTS = 10
NOW = parse_iso(START)
LIMITS = DialLimits(number_per_hour=DIALS, all_per_day=10_000)


async def _each(name: str, work: Awaitable[Any], got: list[str], result: str = "") -> None:
    try:
        done = await work
    except (AtCapacity, DialLimitReached, SpendingLimitReached, TokenUsed):
        return
    got.append(result or (done if isinstance(done, str) else name))


class Hammer:
    """What this process wants, and what it got, by kind."""

    def __init__(self, database: Database, name: str) -> None:
        self._name = name
        self._calls, self._sessions = CallStore(database), SessionStore(database)
        self._inbox, self._spending = WebhookInbox(database), SpendingStore(database)
        self._placements = PlacementStore(database)
        kinds = ("taken", "paid", "placed", "keyed", "tokens", "callers", "claimed")
        self.got: dict[str, list[str]] = {kind: [] for kind in kinds}

    async def arrive(self, number: int) -> None:
        call = a_call(f"web-{self._name}-{number}", status="ringing", owner=self._name)
        await _each(call.call_id, self._calls.create(call, max_live=PLACES), self.got["taken"], call.call_id)

    async def pay(self, number: int) -> None:
        call = a_call(f"paid-{self._name}-{number}", status="ended", owner=self._name)
        reservation = Reservation("clinic", EACH_USD, day_limit=DAY_LIMIT)
        paying = self._calls.create(call, reservation=reservation)
        await _each(call.call_id, paying, self.got["paid"], call.call_id)

    async def place(self, number: int) -> None:
        await self._place(f"out-{self._name}-{number}", "+70000000001", "ended", None, "placed")

    async def place_by_key(self, number: int) -> None:
        key = IdempotencyKey(f"key-{number % KEYS}", "body")
        await self._place(f"key-{self._name}-{number}", f"+7{number}", "ringing", key, "keyed")

    async def _place(self, call_id: str, number: str, status: str, key: IdempotencyKey | None, kind: str) -> None:
        call = a_call(call_id, direction="outbound", status=status, called_number=number, owner=None)
        placing = self._placements.place(call, limits=LIMITS, max_live=10_000, key=key, now=NOW)
        await _each(call_id, placing, self.got[kind])

    async def redeem(self, number: int) -> None:
        token = f"token-{number % TOKENS}"
        await _each(token, self._sessions.redeem(token, token, NOW), self.got["tokens"], token)

    async def take(self, _number: int) -> None:
        self.got["callers"] += [caller.identity for caller in await self._inbox.take(NOW, 2)]
        self.got["claimed"] += [call.call_id for call in await self._calls.claim_unowned(self._name, 1e12, 2)]
        await self._spending.add(0.01, NOW + timedelta(days=1))


async def hammer(url: str, name: str) -> dict[str, list[str]]:
    """Want everything at once."""
    database = await Database.open(url, turn_seconds=90, busy_milliseconds=90_000)
    each = Hammer(database, name)
    try:
        await asyncio.to_thread(sys.stdin.readline)
        async with asyncio.TaskGroup() as tasks:
            for number in range(ATTEMPTS):
                for work in (each.arrive, each.pay, each.place, each.place_by_key, each.redeem, each.take):
                    tasks.create_task(work(number), name=f"{work.__name__}-{number}")
    finally:
        await database.close()
    return each.got


if __name__ == "__main__":
    print(json.dumps(asyncio.run(hammer(*sys.argv[1:]))))  # noqa: T201 - read by the test
