"""How the time of a page of ``GET /calls`` grows with the calls that are kept: python -m bench.call_list

Fills a database for each size, asks their doors in turn for the second page by every combination of the filters that
have indexes of their own, and by each search, and prints the median and the 95th percentile of each, in milliseconds,
and what they are to those of the smallest. On a machine that does other things, too, the median is the one to believe.
Most calls come to one number, few go to the one that is looked for.
"""

import asyncio
import json
import sqlite3
import tempfile
from contextlib import AsyncExitStack
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import typer

from app.clock import iso_after
from app.main import create_app
from app.observability.logs import configure_logging
from app.settings import Settings
from app.storage.database import migrate

_START = "2026-01-01T00:00:00.000Z"
_SECONDS_BETWEEN = 30
_NOWHERE = "http://127.0.0.1:9"
_SUMMARY = json.dumps(
    {
        "latency": {stage: {"p50": 0.4, "p95": 0.7, "max": 0.9, "count": 9} for stage in ("end_of_turn", "total")},
        "costs": {"stt": 0.01, "llm": 0.002, "tts": 0.03, "telephony": None, "total": 0.042},
        "requests": ["req_0123456789abcdef"] * 9,
    }
)
_PAGE = 50
_RARE_CALLS = 125
_OURS, _RARE = "+74950000000", "+79990000001"
_FILTERS = {"status": "ended", "direction": "outbound", "from": _OURS, "to": _RARE}
_COMMON_WORD, _RARE_WORD = "word0001", "unheard"
_WORDS, _WORDS_OF_A_CALL = 3000, 60
_SEARCHES = (
    {"fault": "ours"}, {"end_reason": "silence"}, {"agent": "clinic"}, {"to": _RARE[-4:]}, {"text": _COMMON_WORD},
    {"text": _RARE_WORD}, {"text": f"{_COMMON_WORD} {_RARE_WORD}"}, {"text": "word"}, {"text": _RARE[-7:]},
    {"text": _COMMON_WORD, "fault": "ours"}, {"text": "call_0", "status": "ended", "direction": "outbound"},
)  # fmt: skip


def main(sizes: list[int] = [1_000, 10_000, 100_000], rounds: int = 60) -> None:  # noqa: B006 - typer copies it
    """Print the table."""
    configure_logging("error")
    asyncio.run(_measure(sizes, rounds))


async def _measure(sizes: list[int], rounds: int) -> None:
    queries = [dict(chosen) for size in range(5) for chosen in combinations(_FILTERS.items(), size)]
    queries += _SEARCHES
    async with AsyncExitStack() as stack:
        doors = [await _open(stack, size) for size in sizes]
        print(f"{'ms of GET /calls, p50 / p95':<28}" + "".join(f"{size:>28,}" for size in sizes))
        for query in queries:
            times: list[list[float]] = [[] for _ in doors]
            later = [await _later(door, query) for door in doors]
            for _ in range(rounds):
                for door, page, taken in zip(doors, later, times, strict=True):
                    taken.append(await _seconds(door, page))
            for taken in times:
                taken.sort()
            cells = (_cell(taken, times[0]) for taken in times)
            print(f"{_title(query):<28}" + "".join(f"{cell:>28}" for cell in cells))


def _title(query: dict[str, str]) -> str:
    if query in _SEARCHES:
        return " ".join(f"{name}={value}" for name, value in query.items())
    return " ".join(query) or "nothing"


def _cell(taken: list[float], smallest: list[float]) -> str:
    shares = (0.5, 0.95)
    values, bases = ([times[int(len(times) * share)] for share in shares] for times in (taken, smallest))
    return " / ".join(f"{1000 * value:.1f} ({value / base:.2f})" for value, base in zip(values, bases, strict=True))


async def _open(stack: AsyncExitStack, size: int) -> httpx.AsyncClient:
    """The doors of a service with so many calls."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    vendors = {f"{name}_base_url": _NOWHERE for name in ("deepgram", "openai", "cartesia")}
    settings = Settings(_env_file=None, providers="sandbox", data_dir=folder, **vendors)  # type: ignore[call-arg]
    migrate(settings.database)
    _fill(folder / "calls.db", size)
    app = create_app(settings)
    await stack.enter_async_context(app.router.lifespan_context(app))
    transport = httpx.ASGITransport(app=app)
    return await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://door"))


def _fill(path: Path, size: int) -> None:
    rows = [_call(number, size) for number in range(size)]
    marks = ", ".join(f":{name}" for name in rows[0])
    connection = sqlite3.connect(path)
    with connection:
        connection.executemany(f"INSERT INTO calls ({', '.join(rows[0])}) VALUES ({marks})", rows)  # noqa: S608 - ours
        said = {row["words_id"]: sorted(_words(row)) for row in rows}
        texts = ((number, " ".join(words)) for number, words in said.items())
        connection.executemany("INSERT INTO call_texts (words_id, words) VALUES (?, ?)", texts)
        words = sorted((word, number) for number, words in said.items() for word in words)
        connection.executemany("INSERT INTO call_words (word, words_id) VALUES (?, ?)", words)
    connection.close()


def _call(number: int, size: int) -> dict[str, Any]:
    rare = number % (size // _RARE_CALLS) == 0
    outbound = rare or number % 10 == 1
    customer = _RARE if rare else f"+7999{number % 977:07}"
    caller, called = (_OURS, customer) if outbound else (customer, _OURS)
    at = iso_after(_START, number * _SECONDS_BETWEEN)
    about = {"direction": "outbound" if outbound else "inbound", "caller_number": caller, "called_number": called}
    odd = {"end_reason": "silence", "fault": "ours", "agent": "clinic"}
    usual = {"end_reason": "caller_hangup", "fault": "none", "agent": "default"}
    state = {"status": "ended", "duration_seconds": 60.0, "words_id": number, **(odd if rare else usual)}
    fixed = {"kind": "room", "version": "1", "recording": False, "metadata": "{}", "fence": 1, "summary": _SUMMARY}
    return {"call_id": f"call_{number:024x}", "created_at": at, "started_at": at, **about, **state, **fixed}


def _words(row: dict[str, Any]) -> set[str]:
    """A common word, some of a vocabulary, and, in the rare calls, one that is in no other."""
    first = row["words_id"] * 7
    some = {f"word{(first + step * 31) % _WORDS:04}" for step in range(_WORDS_OF_A_CALL)}
    return {_COMMON_WORD, *some, *([_RARE_WORD] if row["fault"] == "ours" else [])}


async def _later(door: httpx.AsyncClient, query: dict[str, str]) -> dict[str, str]:
    """The query of the second page."""
    first = (await door.get("/calls", params=query)).raise_for_status().json()
    return {**query, "cursor": first["next_cursor"]}


async def _seconds(door: httpx.AsyncClient, query: dict[str, str]) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = (await door.get("/calls", params=query)).raise_for_status()
    taken = loop.time() - began
    if len(answer.json()["calls"]) != _PAGE:
        raise RuntimeError("the pages are not of one size, so their times cannot be compared")
    return taken


if __name__ == "__main__":
    typer.run(main)
