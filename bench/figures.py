"""How long ``GET /stats`` takes, and what a call's end costs: python -m bench.figures

Fills a database with calls, asks its doors for figures of several times and for the worst calls of a day, and prints
the median and the 95th percentile of each in milliseconds. The first calls go through the code that ends calls, a
transaction for many of them, which is measured; of the others, only the rows and the same sums are written.
"""

import asyncio
import random
import statistics
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import typer
from sqlalchemy import Connection, insert

from app.clock import iso_after
from app.main import create_app
from app.observability.logs import configure_logging
from app.ports.services import CallEnding
from app.settings import Settings
from app.storage import figures
from app.storage.calls import CallRow, create_call, end_call
from app.storage.database import Database, migrate
from app.storage.schema import calls as calls_table

_START = "2026-01-01T00:00:00.000Z"
_AGENTS = ("clinic", "sales", "support")
_STAGES = {"end_of_turn": 0.3, "llm_first_token": 0.35, "first_clause": 0.1, "tts_first_audio": 0.12, "playout": 0.004}
_ANSWERS = 10
_AT_ONCE = 500
_NOWHERE = "http://127.0.0.1:9"


def main(calls: int = 100_000, days: int = 90, rounds: int = 40, stored: int = 2000) -> None:
    """Print the table."""
    configure_logging("error")
    asyncio.run(_measure(calls, days, rounds, stored))


async def _measure(calls: int, days: int, rounds: int, stored: int) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        vendors = {f"{name}_base_url": _NOWHERE for name in ("deepgram", "openai", "cartesia")}
        settings = Settings(_env_file=None, providers="sandbox", data_dir=folder, **vendors)  # type: ignore[call-arg]
        migrate(settings.database)
        taken = await _fill(settings.database, calls, days, min(stored, calls))
        print(f"{calls:,} calls in {days} days; each took {taken:.2f} ms to store")
        app = create_app(settings)
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app=app)
        door = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://door"))
        until = iso_after(_START, days * 86400.0)
        worst = {"order": "worst", "limit": "5", "since": iso_after(until, -86400.0), "until": until}
        times = [await _milliseconds(door, "/calls", worst) for _ in range(rounds)]
        print(_line("worst calls of a day", times))
        for shown, (bucket, length) in {
            "a day by hour": ("hour", 1),
            "7 days by hour": ("hour", 7),
            "14 days by hour": ("hour", 14),
            "30 days by day": ("day", 30),
            f"all {days} days by day": ("day", days),
        }.items():
            query = {"bucket": bucket, "since": iso_after(until, -length * 86400.0), "until": until}
            print(_line(shown, [await _milliseconds(door, "/stats", query) for _ in range(rounds)]))


def _line(shown: str, times: list[float]) -> str:
    last = sorted(times)[int(len(times) * 0.95)]
    return f"{shown:<20} p50 {statistics.median(times):6.1f} ms, p95 {last:6.1f} ms"


async def _fill(url: str, calls: int, days: int, stored: int) -> float:
    """Returns the milliseconds that a call took which went through the code that ends calls."""
    database = await Database.open(url)
    between = days * 86400.0 / calls
    began = asyncio.get_running_loop().time()
    for first in range(0, stored, _AT_ONCE):
        await database.write(partial(_some, first, min(_AT_ONCE, stored - first), between))
    taken = asyncio.get_running_loop().time() - began
    sums: _Sums = {}
    for first in range(stored, calls, _AT_ONCE):
        await database.write(partial(_rows, range(first, min(first + _AT_ONCE, calls)), between, sums))
    await database.write(partial(_figures, sums))
    await database.close()
    return 1000 * taken / max(stored, 1)


_Sums = dict[tuple[str, str], tuple[Counter[str], dict[str, Counter[int]]]]
"""Amounts and steps, by hour and agent."""


def _rows(numbers: range, seconds_between: float, sums: _Sums, connection: Connection) -> None:
    """Write the calls, and add their figures to the sums."""
    rows = []
    for number in numbers:
        chance = random.Random(number)  # noqa: S311 - the same calls in each run
        call = _call(number, seconds_between, chance)
        ending = _ending(call.started_at, chance)
        summary = ending.summary or {}
        ended = {
            "status": "ended",
            "ended_at": ending.ended_at,
            "duration_seconds": ending.duration_seconds,
            "end_reason": ending.end_reason,
            "fault": ending.fault,
            "summary": summary,
            "unanswered": summary["unanswered"]["count"],
            "late": summary["late"],
        }
        rows.append({**asdict(call), **ended})
        amounts, steps = sums.setdefault((call.started_at[:13], call.agent or ""), (Counter(), {}))
        for name, amount in figures.amounts_of(ending, call.direction, was_answered=True):
            amounts[name] += amount  # type: ignore[assignment]  # costs are no whole numbers
        for stage, found in figures.steps_of(ending.answers).items():
            steps.setdefault(stage, Counter()).update(found)
    connection.execute(insert(calls_table), rows)


def _figures(sums: _Sums, connection: Connection) -> None:
    for (hour, agent), (amounts, steps) in sums.items():
        figures.add(connection, f"{hour}:00:00.000Z", agent, amounts, steps)


def _call(number: int, seconds_between: float, chance: random.Random) -> CallRow:
    at = iso_after(_START, number * seconds_between)
    row: dict[str, Any] = {"kind": "room", "direction": "inbound", "status": "active", "version": "1"}
    agent = chance.choice(_AGENTS)
    return CallRow(call_id=f"call_{number:024x}", created_at=at, started_at=at, answered_at=at, agent=agent, **row)


def _some(first: int, count: int, seconds_between: float, connection: Connection) -> None:
    for number in range(first, first + count):
        chance = random.Random(number)  # noqa: S311 - the same calls in each run
        call = _call(number, seconds_between, chance)
        create_call(call, None, None, connection)
        end_call(connection, call.call_id, 1, _ending(call.started_at, chance))


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


async def _milliseconds(door: httpx.AsyncClient, path: str, query: dict[str, str]) -> float:
    began = asyncio.get_running_loop().time()
    answer = (await door.get(path, params=query)).raise_for_status()
    taken = asyncio.get_running_loop().time() - began
    found = answer.json()
    if not (found["calls"] if path == "/calls" else found["total"]["calls"]):
        raise RuntimeError("nothing is found, so its time says nothing")
    return 1000 * taken


if __name__ == "__main__":
    typer.run(main)
