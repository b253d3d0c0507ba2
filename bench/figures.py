"""How long ``GET /stats`` takes, and what a call's end costs: python -m bench.figures

Fills a database with calls through the same code that ends calls, a transaction for many of them, asks its doors for
figures of several times, and prints the median and the 95th percentile of each in milliseconds.
"""

import asyncio
import random
import statistics
import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import typer
from sqlalchemy import Connection

from app.clock import iso_after
from app.main import create_app
from app.observability.logs import configure_logging
from app.ports.services import CallEnding
from app.settings import Settings
from app.storage.calls import CallRow, create_call, end_call
from app.storage.database import Database, migrate

_START = "2026-01-01T00:00:00.000Z"
_AGENTS = ("clinic", "sales", "support")
_STAGES = {"end_of_turn": 0.3, "llm_first_token": 0.35, "first_clause": 0.1, "tts_first_audio": 0.12, "playout": 0.004}
_ANSWERS = 10
_AT_ONCE = 500
_NOWHERE = "http://127.0.0.1:9"


def main(calls: int = 100_000, days: int = 90, rounds: int = 40) -> None:
    """Print the table."""
    configure_logging("error")
    asyncio.run(_measure(calls, days, rounds))


async def _measure(calls: int, days: int, rounds: int) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        vendors = {f"{name}_base_url": _NOWHERE for name in ("deepgram", "openai", "cartesia")}
        settings = Settings(_env_file=None, providers="sandbox", data_dir=folder, **vendors)  # type: ignore[call-arg]
        migrate(settings.database)
        print(
            f"{calls:,} calls in {days} days; each took {await _fill(settings.database, calls, days):.2f} ms to store"
        )
        app = create_app(settings)
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app=app)
        door = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://door"))
        for shown, (bucket, length) in {
            "a day by hour": ("hour", 1),
            "7 days by hour": ("hour", 7),
            "14 days by hour": ("hour", 14),
            "30 days by day": ("day", 30),
            f"all {days} days by day": ("day", days),
        }.items():
            until = iso_after(_START, days * 86400.0)
            query = {"bucket": bucket, "since": iso_after(until, -length * 86400.0), "until": until}
            times = sorted([await _milliseconds(door, query) for _ in range(rounds)])
            print(f"{shown:<20} p50 {statistics.median(times):6.1f} ms, p95 {times[int(rounds * 0.95)]:6.1f} ms")


async def _fill(url: str, calls: int, days: int) -> float:
    """Returns the milliseconds that a call took."""
    database = await Database.open(url)
    began = asyncio.get_running_loop().time()
    for first in range(0, calls, _AT_ONCE):
        await database.write(partial(_some, first, min(_AT_ONCE, calls - first), days * 86400.0 / calls))
    taken = asyncio.get_running_loop().time() - began
    await database.close()
    return 1000 * taken / calls


def _some(first: int, count: int, seconds_between: float, connection: Connection) -> None:
    for number in range(first, first + count):
        chance = random.Random(number)  # noqa: S311 - the same calls in each run
        at = iso_after(_START, number * seconds_between)
        row: dict[str, Any] = {"kind": "room", "direction": "inbound", "status": "active", "version": "1"}
        call = CallRow(
            call_id=f"call_{number:024x}",
            created_at=at,
            started_at=at,
            answered_at=at,
            agent=chance.choice(_AGENTS),
            **row,
        )
        create_call(call, None, None, connection)
        end_call(connection, call.call_id, 1, _ending(at, chance))


def _ending(at: str, chance: random.Random) -> CallEnding:
    answers = tuple(_answer(chance) for _ in range(_ANSWERS))
    costs = {"stt": 0.01, "llm": 0.002, "tts": 0.03, "telephony": 0.02, "total": 0.062}
    summary = {
        "costs": costs,
        "late": sum(answer["total"] > 1.5 for answer in answers),
        "unanswered": {"count": int(chance.random() < 0.02), "waited_seconds": []},
    }
    end_reason = chance.choice(("caller_hangup", "agent_hangup", "silence", "transferred"))
    fault = "provider:openai" if chance.random() < 0.01 else "none"
    return CallEnding(
        ended_at=iso_after(at, 80.0),
        duration_seconds=80.0,
        end_reason=end_reason,
        fault=fault,
        summary=summary,
        answers=answers,
    )


def _answer(chance: random.Random) -> dict[str, float]:
    stages = {stage: usual * chance.lognormvariate(0, 0.4) for stage, usual in _STAGES.items()}
    return {**stages, "total": sum(stages.values())}


async def _milliseconds(door: httpx.AsyncClient, query: dict[str, str]) -> float:
    began = asyncio.get_running_loop().time()
    answer = (await door.get("/stats", params=query)).raise_for_status()
    taken = asyncio.get_running_loop().time() - began
    if answer.json()["total"]["calls"] == 0:
        raise RuntimeError("there are no figures, so their time says nothing")
    return 1000 * taken


if __name__ == "__main__":
    typer.run(main)
