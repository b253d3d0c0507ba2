"""Kill workers at random moments of calls: does every call go on? ``python -m bench.kills --seed 1 --kills 100``.

A service of two workers against the sandbox, with calls over websockets, or with ``--rooms`` by telephone through a
real livekit-server. In each round some calls are led into a random state, a worker is killed (``kill -9``) at a random
moment, and each call that it held must be heard again, know what was asked, and answer the next turn. A tool that may
change something is asked for twice by the model, on purpose. All of it follows from the seed. The status is 1 when a
call was dropped, or a tool ran twice.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette
from starlette.routing import Route

from app.conversation import events as ev
from app.journal.revival import revive
from app.models import JournalRow
from sandbox.caller.line import Line
from sandbox.caller.media_client import AgentAudio, CallFailed, MediaClient, media_socket, open_session
from sandbox.caller.media_format import MediaFormat
from sandbox.child_server import free_port
from sandbox.running import serving as running
from tests.end_to_end.processes import KEY, sandbox_process, serving
from tests.room.rig import Rig, rig
from tests.support.tool_endpoint import Says, ToolEndpoint, tool_endpoint

CALLS = 4
"""In a round. About half of them are struck."""
_FRAME_SECONDS = 0.02
_LOUD = 500
_RESIDUE_SECONDS = 0.3
"""Sound of the dead worker that is still on its way."""
_GOES_ON_SECONDS = 25.0
_AGENT = """\
name: kills
prompt: Answer for the clinic.
language: en
greeting:
  en: Hello, this is the clinic by the river. We are open every day, and I am glad that you call. How can I help you?
tools:
  - name: book
    description: Book a visit.
    method: POST
    url: %s/book
    parameters: {type: object, properties: {ref: {type: string}}, required: [ref], additionalProperties: false}
    timeout_seconds: 4
"""
_LONG = (
    "We have times on Monday at ten, on Tuesday at noon, and on Friday late in the afternoon. Each visit takes half an "
    "hour, and you can park in the yard behind the house. Which of these days suits you best?"
)
_MOMENTS = ("greeting", "listening", "processing", "speaking", "tool")


@dataclass(slots=True)
class Struck:
    """A call whose worker was killed, and what became of it."""

    call_id: str
    place: str
    """Phase and state when it was struck."""
    gap: float | None
    """From the kill to the first sound that the caller heard after it, in seconds."""
    goes_on: bool
    end_reason: str | None
    tools_twice: int
    """Tools that ran for the same turn before and after the kill."""
    tail: str
    """The last rows of the journal, for a call that was dropped."""


@dataclass(slots=True)
class Held:
    """A call of a round."""

    call_id: str
    ask: Callable[[], Any]
    """Makes the caller ask something."""
    hang_up: Callable[[], Any]
    sounds: list[float] = field(default_factory=list)
    """When the caller heard the agent."""


class Place:
    """Where calls come from, and where the processes and the journals of the service are."""

    def __init__(self, http: httpx.AsyncClient, log: Path, sandbox: str) -> None:
        self.http, self._log, self._sandbox = http, log, sandbox

    async def script(self, call_id: str, replies: list[dict[str, Any]]) -> None:
        """What the model answers next in a call."""
        url = f"{self._sandbox}/control/calls/{call_id}/replies"
        async with httpx.AsyncClient(trust_env=False) as http:
            (await http.post(url, json=replies)).raise_for_status()

    async def rows(self, call_id: str) -> list[JournalRow]:
        """The journal of a call so far."""
        answer = await self.http.get(f"/calls/{call_id}/events")
        return [JournalRow(**row) for row in answer.json()["events"]] if answer.is_success else []

    async def record(self, call_id: str) -> dict[str, Any]:
        """The record of a call."""
        found: dict[str, Any] = (await self.http.get(f"/calls/{call_id}")).json()
        return found

    async def until(self, call_id: str, is_there: Callable[[list[JournalRow]], bool], seconds: float) -> bool:
        """Whether the journal comes to that within so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    with suppress(httpx.HTTPError):
                        if is_there(await self.rows(call_id)):
                            return True
                    await asyncio.sleep(0.1)
        return False

    def workers(self) -> dict[str, int]:
        """The processes that serve, by the names of their workers."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return {f".worker{line['worker']}-": line["pid"] for line in lines if line["event"] == "worker.started"}

    async def both_serve(self) -> None:
        """Return when as many starts are complete as there are workers that have started."""
        while True:
            text = self._log.read_text()
            if text.count("Application startup complete") >= text.count('"worker.started"'):
                return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def over_websocket(place: Place, url: str) -> AsyncIterator[Held]:
    """A silent client that types, and comes back when it loses its socket."""
    session = await open_session(place.http, url, {"events": "conversation"}, KEY)
    telephone = MediaFormat("pcm_s16le", 16000)
    async with media_socket(session, telephone, events=False) as client, asyncio.TaskGroup() as tasks:
        held = Held(session.call_id, lambda: client.send_text("Which days are there?"), client.send_stop)
        helpers = [tasks.create_task(_listen(client, held)), tasks.create_task(_be_silent(client))]
        yield held
        await client.send_stop()
        await asyncio.wait(helpers[:1], timeout=3)
        for helper in helpers:
            helper.cancel()


@asynccontextmanager
async def by_telephone(system: Rig, number: str) -> AsyncIterator[Held]:
    """A silent caller who presses keys."""
    async with system.carrier.dial(number) as line, asyncio.TaskGroup() as tasks:

        async def ask() -> None:
            for digit in "5#":
                await line.send_digit(digit)
                await asyncio.sleep(0.15)

        held = Held(line.call_id, ask, line.send_stop)
        listening = tasks.create_task(_listen(line, held))
        yield held
        listening.cancel()


async def _listen(line: Line, held: Held) -> None:
    clock = asyncio.get_running_loop().time
    with suppress(CallFailed):
        async for message in line.messages():
            if isinstance(message, AgentAudio) and np.abs(message.samples).max(initial=0) > _LOUD:
                held.sounds.append(clock())


async def _be_silent(client: MediaClient) -> None:
    frame = bytes(int(16000 * _FRAME_SECONDS) * 2)
    while True:
        await client.send_audio(frame)
        await asyncio.sleep(_FRAME_SECONDS)


class Kills:
    """Rounds of calls and kills."""

    def __init__(self, place: Place, owners: Callable[[str], str], seed: int) -> None:
        """``owners`` gives the owner of a call."""
        self._place, self._owner = place, owners
        self._chance = random.Random(seed)  # noqa: S311 - not a secret
        self.struck: list[Struck] = []
        self.kills = 0

    async def round(self, calls: list[Held]) -> None:
        """Lead the calls somewhere, kill a worker, and see what becomes of those that it held."""
        moments = [self._chance.choice(_MOMENTS) for _ in calls]
        kill_in = self._chance.uniform(0.05, 3.0)
        await asyncio.gather(*(self._lead(held, moment) for held, moment in zip(calls, moments, strict=True)))
        await asyncio.sleep(kill_in)
        owners = {held.call_id: self._owner(held.call_id) for held in calls}
        struck = self._chance.choice(list(owners.values()))
        name = next(part for part in (".worker1-", ".worker2-") if part in struck)
        killed_at = asyncio.get_running_loop().time()
        os.kill(self._place.workers()[name], signal.SIGKILL)
        self.kills += 1
        dying = [held for held in calls if name in owners[held.call_id]]
        found = await asyncio.gather(*(self._outcome(held, killed_at) for held in dying))
        self.struck += found

    async def _lead(self, held: Held, moment: str) -> None:
        """Bring a call into a state; a random time later its worker is killed."""
        tool: dict[str, Any] = {"text": "", "tool_calls": [{"name": "book", "arguments": {"ref": held.call_id}}]}
        said: dict[str, Any] = {"text": _LONG}
        replies = [tool, tool, said, said, said] if moment == "tool" else [said] * 4
        await self._place.script(held.call_id, replies)
        if moment == "greeting":
            return
        await self._place.until(held.call_id, lambda rows: _has(rows, ev.AgentFinished), 30)
        if moment == "listening":
            return
        await held.ask()
        if moment in ("speaking", "tool"):
            wanted = ev.AgentToolCalled if moment == "tool" else ev.AgentReplyStarted
            count = 1 if moment == "tool" else 2
            await self._place.until(held.call_id, lambda rows: _has(rows, wanted, count), 15)

    async def _outcome(self, held: Held, killed_at: float) -> Struck:
        place = self._place
        taken = await place.until(held.call_id, lambda rows: _has(rows, ev.CallTakenOver), _GOES_ON_SECONDS)
        rows = await place.rows(held.call_id)
        cut = next((row.seq - 1 for row in rows if row.type == ev.CallTakenOver.type), len(rows))
        where = revive(rows[:cut]).core
        heard = [at - killed_at for at in held.sounds if at > killed_at + _RESIDUE_SECONDS]
        if taken and not heard:
            await asyncio.sleep(3)
            heard = [at - killed_at for at in held.sounds if at > killed_at + _RESIDUE_SECONDS]
        before = len(await place.rows(held.call_id))
        await asyncio.sleep(self._chance.uniform(0.5, 2.5))
        await held.ask()

        def answered(rows: list[JournalRow]) -> bool:
            later = [row for row in rows if row.seq > before and row.type == ev.AgentReplyStarted.type]
            return any(row.data["kind"] == "reply" for row in later)

        goes_on = taken and await place.until(held.call_id, answered, _GOES_ON_SECONDS)
        record, rows = await place.record(held.call_id), await place.rows(held.call_id)
        again = _tools_run(rows[:cut]) & _tools_run(rows[cut:])
        spot = f"{where.phase.name} {where.state.name}"
        gap = heard[0] if heard else None
        tail = "\n".join(f"  {row.t:7.2f} {row.type} {str(row.data)[:150]}" for row in rows[-30:])
        return Struck(held.call_id, spot, gap, goes_on, record.get("end_reason"), len(again), tail)


def _tools_run(rows: list[JournalRow]) -> set[tuple[int | None, str]]:
    """The tools that ran, each with the turn for which it did."""
    called = [row for row in rows if row.type == ev.AgentToolCalled.type]
    return {(row.turn, row.data["name"]) for row in called if row.data["timeout_seconds"] and not row.data["refused"]}


def _has(rows: list[JournalRow], event: type[ev.Event], count: int = 1) -> bool:
    return len([row for row in rows if row.type == event.type]) >= count


def show(kills: Kills, console: Console, how: str) -> int:
    """Print the table. Returns the exit status."""
    table = Table("struck in", "calls", "gap p50 s", "gap max s", "go on", "ended", title=f"{how}: {kills.kills} kills")
    places: defaultdict[str, list[Struck]] = defaultdict(list)
    for struck in kills.struck:
        places[struck.place].append(struck)
    for name, found in [*sorted(places.items()), ("all", kills.struck)]:
        gaps = [struck.gap for struck in found if struck.gap is not None]
        ended = Counter(struck.end_reason for struck in found if struck.end_reason)
        figures = (f"{median(gaps):.2f}", f"{max(gaps):.2f}") if gaps else ("-", "-")
        reasons = ", ".join(f"{reason} {count}" for reason, count in ended.items()) or "-"
        table.add_row(name, str(len(found)), *figures, str(sum(each.goes_on for each in found)), reasons)
    console.print(table)
    dropped = [each.call_id for each in kills.struck if not each.goes_on]
    for each in kills.struck:
        if not each.goes_on:
            console.print(each.call_id, each.tail, sep="\n", markup=False, soft_wrap=True)
    twice = sum(each.tools_twice for each in kills.struck)
    console.print(f"calls dropped: {len(dropped)} {' '.join(dropped)}; tools run twice: {twice}")
    return 1 if dropped or twice else 0


async def run_websockets(seed: int, kills: int, folder: Path, console: Console) -> int:
    """Calls over websockets."""
    from tests.routers.kept_calls import execute

    async with tool_endpoint(Says(after=1.0)) as endpoint, sandbox_process() as sandbox:
        (folder / "kills.yaml").write_text(_AGENT % endpoint.url)
        settings = {"WORKERS": "2", "IDLE_PROMPT_SECONDS": "100", "AGENT_PROMPT_FILE": str(folder / "kills.yaml")}
        settings |= {"GREETING": "", "ENVIRONMENT": "development"}
        async with (
            serving(folder, sandbox, log_name="service.log", **settings) as service,
            service.client(timeout=30) as http,
        ):
            place = Place(http, service.log_path, sandbox["url"])

            def owner(call_id: str) -> str:
                return str(execute(folder, "SELECT owner FROM calls WHERE call_id = ?", (call_id,))[0][0])

            rounds = Kills(place, owner, seed)
            while rounds.kills < kills:
                await place.both_serve()
                async with AsyncExitStack() as stack:
                    calls = [await stack.enter_async_context(over_websocket(place, service.url)) for _ in range(CALLS)]
                    await rounds.round(calls)
                console.print(f"{rounds.kills} kills, {len(rounds.struck)} calls struck")
            return show(rounds, console, "websocket")


def run_rooms(seed: int, kills: int, folder: Path, console: Console) -> int:
    """Calls by telephone, in rooms."""
    from tests.routers.kept_calls import execute

    agent, port = folder / "kills.yaml", free_port()
    agent.write_text(_AGENT % f"http://127.0.0.1:{port}")

    async def main(system: Rig) -> int:
        book = Starlette(routes=[Route("/book", ToolEndpoint(Says(after=1.0)).answer, methods=["POST"])])
        async with running(book, port=port), system.client() as http:
            place = Place(http, system.log_path, system.sandbox.url)

            def owner(call_id: str) -> str:
                return str(execute(folder / "data", "SELECT owner FROM calls WHERE call_id = ?", (call_id,))[0][0])

            rounds, number = Kills(place, owner, seed), 0
            while rounds.kills < kills:
                await place.both_serve()
                async with AsyncExitStack() as stack:
                    calls = []
                    for _ in range(CALLS):
                        number += 1
                        caller = by_telephone(system, f"+7999{number:07d}")
                        calls.append(await stack.enter_async_context(caller))
                    await rounds.round(calls)
                console.print(f"{rounds.kills} kills, {len(rounds.struck)} calls struck")
            return show(rounds, console, "telephone")

    with rig(folder, AGENT_PROMPT_FILE=str(agent), GREETING="") as system:
        return asyncio.run(main(system))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rooms", action="store_true", help="by telephone instead of over websockets")
    wanted, console = parser.parse_args(), Console(width=110)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        if wanted.rooms:
            sys.exit(run_rooms(wanted.seed, wanted.kills, Path(folder), console))
        sys.exit(asyncio.run(run_websockets(wanted.seed, wanted.kills, Path(folder), console)))


if __name__ == "__main__":
    main()
