"""Several workers under a supervisor, as real processes: calls on both, one killed, all stopped."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.clock import parse_iso, utc_now
from tests.end_to_end.phones import Exchange, Phone, exchange
from tests.end_to_end.processes import environment, sandbox_process
from tests.routers.kept_calls import execute
from tests.support.slowness import slowness

NEWS = "Мастер уже выехал к вам."
ONE_CONNECTION = httpx.Limits(max_connections=1)
"""Which is to one worker: of two calls, one on each worker, one is the other worker's."""


@dataclass
class Evening:
    """What became of two workers and their calls."""

    said_after: list[float] = field(default_factory=list)
    """Seconds from an operator's request to its row in the journal of the call, one call on each worker."""
    hung_up_after: list[float] = field(default_factory=list)
    streams: list[tuple[list[int], list[dict[str, Any]]]] = field(default_factory=list)
    """Ids of the server-sent events up to the end of a call, and its journal."""
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    ready: dict[str, dict[str, Any]] = field(default_factory=dict)
    alive: dict[str, int] = field(default_factory=dict)
    """Calls, by moment."""
    sessions: int = 0
    dead: list[dict[str, Any]] = field(default_factory=list)
    """The records of the calls whose worker was killed ..."""
    dead_codes: list[int] = field(default_factory=list)
    ended_after: float = 0.0
    """... and how many seconds later all of them had ended."""
    said_during: list[bool] = field(default_factory=list)
    """Whether the calls of the other worker went on meanwhile."""
    deaths: list[dict[str, Any]] = field(default_factory=list)
    status: int | None = None
    farewells: list[tuple[int, str, str]] = field(default_factory=list)
    """Close code, reason and last words of those who were alive when the service was stopped."""
    left_open: int | None = None


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    folder = tmp_path_factory.mktemp("workers")

    async def spend() -> Evening:
        evening = Evening()
        async with asyncio.timeout(200), sandbox_process() as sandbox:
            async with exchange(folder, sandbox, DRAIN_SECONDS="0.5") as here:
                await _spend(evening, here)
            evening.left_open = execute(folder, "SELECT count(*) FROM calls WHERE status != 'ended'")[0][0]
        return evening

    return asyncio.run(spend())


async def _spend(evening: Evening, here: Exchange) -> None:
    phones = await here.ring_both(2)
    first = [phones[1].pop(), phones[2].pop()]
    async with here.service.client(limits=ONE_CONNECTION) as http:
        for phone in first:
            await _say(evening, http, phone)
        for phone in first:
            await _follow_to_the_end(evening, here, http, phone)
    await _look(evening, here, "before", phones[1] + phones[2])
    await _kill(evening, here, phones[1], phones[2])
    await _look(evening, here, "after", phones[2])
    evening.deaths = here.logged("worker.died")
    evening.status = await here.service.terminate()
    for phone in phones[2]:
        code = await phone.closed()
        said = [row["data"]["text"] for row in phone.rows if row["type"] == "agent.clause_started"]
        evening.farewells.append((code, phone.rows[-1]["data"]["reason"], said[-1]))


async def _say(evening: Evening, http: httpx.AsyncClient, phone: Phone) -> None:
    asked = utc_now()
    (await http.post(f"/calls/{phone.call_id}/say", json={"text": NEWS})).raise_for_status()
    evening.said_after.append(_seconds(asked, await phone.row("operator.say_requested")))
    await phone.row("agent.finished", 2)


async def _follow_to_the_end(evening: Evening, here: Exchange, http: httpx.AsyncClient, phone: Phone) -> None:
    path, ids = f"/calls/{phone.call_id}", list[int]()
    async with http.stream("GET", f"{path}/events", headers={"Accept": "text/event-stream"}) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("id: "):
                ids.append(int(line[4:]))
            if line == "id: 1":
                asked = utc_now()
                async with here.service.client() as other:
                    (await other.post(f"{path}/hangup")).raise_for_status()
    evening.hung_up_after.append(_seconds(asked, await phone.row("operator.hangup_requested")))
    evening.streams.append((ids, (await here.get(f"{path}/events"))["events"]))


async def _look(evening: Evening, here: Exchange, moment: str, alive: list[Phone]) -> None:
    evening.figures[moment] = await here.figures()
    evening.ready[moment] = await here.get("/health/ready")
    evening.alive[moment] = len(alive)
    evening.sessions = here.rung


async def _kill(evening: Evening, here: Exchange, dying: list[Phone], others: list[Phone]) -> None:
    loop = asyncio.get_running_loop()
    os.kill(here.pid_of(1), signal.SIGKILL)
    began = loop.time()
    evening.dead_codes = [await phone.closed() for phone in dying]
    records: list[dict[str, Any]] = [{}]
    while not all(record.get("status") == "ended" for record in records):
        await asyncio.sleep(0.05)
        records = [await here.get(f"/calls/{phone.call_id}") for phone in dying]
    evening.dead, evening.ended_after = records, loop.time() - began
    async with here.service.client() as http:
        for phone in others:
            await _say(evening, http, phone)
            evening.said_during.append(phone.close_code is None)
    while len(here.logged("Application startup complete.")) < 3:
        await asyncio.sleep(0.05)


def _seconds(since: datetime, row: dict[str, Any]) -> float:
    return (parse_iso(row["at"]) - since).total_seconds()


def test_what_is_asked_of_a_call_reaches_it_on_whichever_worker_it_is(evening: Evening) -> None:
    assert max(evening.said_after[:2]) < 0.5 * slowness()
    assert max(evening.hung_up_after) < 0.5 * slowness()


def test_a_call_can_be_followed_to_its_end_from_any_worker(evening: Evening) -> None:
    for ids, journal in evening.streams:
        assert ids == [row["seq"] for row in journal]
        assert journal[-1]["data"]["reason"] == "operator_hangup"


def test_the_calls_of_a_killed_worker_whose_clients_do_not_come_back_end_after_ten_seconds(evening: Evening) -> None:
    assert {(record["end_reason"], record["fault"]) for record in evening.dead} == {("media_lost", "ours")}
    assert set(evening.dead_codes) == {1006}
    assert evening.ended_after < 10 + 3 * slowness()


def test_the_calls_of_the_other_worker_notice_nothing(evening: Evening) -> None:
    assert evening.said_during
    assert all(evening.said_during)


def test_a_killed_worker_is_replaced_and_it_is_said_why(evening: Evening) -> None:
    assert [(death["worker"], death["reason"]) for death in evening.deaths] == [(1, "it was ended by SIGKILL")]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_any_worker_reports_how_many_calls_all_of_them_carry(evening: Evening, moment: str) -> None:
    assert evening.ready[moment]["live_calls"] == evening.alive[moment]
    assert evening.figures[moment]["voice_calls_active"] == evening.alive[moment]


def test_the_figures_count_what_every_worker_has_done_the_dead_one_too(evening: Evening) -> None:
    figures = evening.figures["after"]
    assert figures['voice_calls_total{direction="web",end_reason="operator_hangup",fault="none"}'] == 2
    assert figures['voice_calls_total{direction="web",end_reason="media_lost",fault="ours"}'] == len(evening.dead)
    opened = figures['http_requests_total{handler="/media/sessions",method="POST",status="2xx"}']
    assert opened == evening.sessions


def test_told_to_stop_every_worker_lets_its_callers_go_with_a_goodbye(evening: Evening) -> None:
    assert evening.status == 0
    assert evening.left_open == 0
    assert evening.farewells
    for code, reason, words in evening.farewells:
        assert (code, reason) == (1000, "shutdown")
        assert "До свидания" in words


async def test_a_second_signal_stops_every_worker_at_once(tmp_path: Path) -> None:
    async with asyncio.timeout(150), sandbox_process() as sandbox, exchange(tmp_path, sandbox) as here:
        await here.ring()
        here.service.process.send_signal(signal.SIGTERM)
        while not here.logged("service.draining"):
            await asyncio.sleep(0.02)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await here.service.terminate() == 0
        assert loop.time() - began < 10 * slowness()


async def test_workers_whose_supervisor_died_let_their_calls_end_and_stop(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(150),
        sandbox_process() as sandbox,
        exchange(tmp_path, sandbox, DRAIN_SECONDS="0.1") as here,
    ):
        phone = await here.ring()
        pids = [here.pid_of(worker) for worker in (1, 2)]
        await here.service.kill()
        assert await phone.closed() == 1000
        assert phone.rows[-1]["data"]["reason"] == "shutdown"
        while any(map(_runs, pids)):
            await asyncio.sleep(0.05)


def test_settings_that_are_wrong_stop_the_start_of_every_worker(tmp_path: Path) -> None:
    variables = {"DATA_DIR": str(tmp_path), "AGENT_PROMPT_FILE": str(tmp_path / "none.txt"), "PORT": "0"}
    outcome = subprocess.run(
        [sys.executable, "-m", "app.cli", "serve", "--workers", "2"],
        env=environment(PYTHONPATH=str(Path.cwd()), **variables),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert outcome.returncode == 2
    assert outcome.stderr.count("AGENT_PROMPT_FILE: ") == 1


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = subprocess.run(
            [sys.executable, "-m", "app.cli", "serve", "--workers", "2"],
            env=environment(PYTHONPATH=str(Path.cwd()), DATA_DIR=str(tmp_path), PORT=str(port)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=90,
        )
    assert outcome.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in outcome.stderr


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
