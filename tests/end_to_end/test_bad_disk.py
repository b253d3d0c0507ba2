"""A disk that needs two seconds for each access, or is full for a while: what the callers hear does not change."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sandbox.caller.events import CallerEvent, Journaled
from sandbox.caller.report import CallReport
from sandbox.caller.score import says, waits, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, QUIET, journal_of, score
from tests.end_to_end.processes import ServiceProcess, sandbox_process, serving
from tests.support.bad_disk import BadDisk, bad_disk
from tests.support.slowness import slowness

CALLS = 5
GAP_SECONDS = 0.04
"""The longest gap that counts as none. What the machine was late itself, the caller measures by their own frames."""
QUESTION = "Расскажите о вашей клинике."
STORY = (
    "Мы открыты ежедневно с девяти утра и до восьми вечера, без перерыва на обед. "
    "В субботу мы работаем с десяти утра и только до обеда, поэтому приходите пораньше. "
    "У нас принимают терапевт, хирург, окулист и детский врач, а анализы готовы на следующий день. "
    "Рядом есть остановка автобуса и большая стоянка, так что добраться к нам легко."
)
TALK = score(
    waits_for_agent(QUIET),
    says(QUESTION),
    waits_for_agent(1.0),
    says("До свидания!"),
    waits_for_end(),
    replies=({"text": STORY}, {"text": "Всего хорошего!", "tool_calls": END_CALL}),
    patience=12,
)
LONG = score(
    waits_for_agent(QUIET),
    waits(30.0),
    says("До свидания!"),
    waits_for_end(),
    replies=({"text": "Всего хорошего!", "tool_calls": END_CALL},),
    patience=12,
)
ENVIRONMENT = {"IDLE_PROMPT_SECONDS": "60"}


@dataclass
class Evening:
    """Calls while the disk was bad, and what the service said of itself."""

    reports: list[CallReport] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    journals: list[list[dict[str, Any]]] = field(default_factory=list)
    recordings: list[int] = field(default_factory=list)
    """Bytes."""
    health: list[dict[str, Any]] = field(default_factory=list)
    """The component ``recordings``, while the disk was bad and after."""
    status: int | None = None


@pytest.fixture(scope="module", params=["recordings", "."], ids=["recordings", "all"])
def slow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Evening:
    """Five calls; their recordings are on a slow disk, or all below DATA_DIR is on one while they are answered."""
    folder = tmp_path_factory.mktemp("slow")
    disk = bad_disk(folder / "data" / request.param, folder)

    async def all_of_it() -> Evening:
        evening = Evening()
        async with sandbox_process() as sandbox, _serving(folder, sandbox, disk) as service:
            await _warm(service)
            if request.param == "recordings":
                with disk.being("slow"):
                    await _hold(service, evening, lambda: asyncio.sleep(0))
            else:
                await _hold(service, evening, lambda: _slow_for_a_while(disk))
            await _read(service, evening)
            evening.status = await service.terminate()
        return evening

    return asyncio.run(all_of_it())


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    """One call, in whose middle there is no room for recordings for 26 seconds."""
    folder = tmp_path_factory.mktemp("full")
    disk = bad_disk(folder / "data" / "recordings", folder)

    async def all_of_it() -> Evening:
        evening, greeted = Evening(), asyncio.Event()
        async with sandbox_process() as sandbox, _serving(folder, sandbox, disk) as service:

            def on_event(event: CallerEvent) -> None:
                if isinstance(event, Journaled) and event.row["type"] == "agent.finished":
                    greeted.set()

            async with service.caller(on_event=on_event) as caller, asyncio.TaskGroup() as tasks:
                call = tasks.create_task(caller.call(LONG), name="call")
                await greeted.wait()
                with disk.being("full"):
                    await asyncio.sleep(26.0)
                    evening.health.append(await _health(service))
                evening.reports.append(await call)
            await _read(service, evening)
            evening.status = await service.terminate()
        return evening

    return asyncio.run(all_of_it())


def _serving(folder: Path, sandbox: dict[str, str], disk: BadDisk) -> Any:
    return serving(folder / "data", sandbox, log_name="../service.log", **disk.environment, **ENVIRONMENT)


async def _warm(service: ServiceProcess) -> None:
    """The first call of a format has the fixed lines made into sound."""
    async with service.caller() as caller:
        await caller.call(score(waits_for_agent(QUIET)))


async def _slow_for_a_while(disk: BadDisk) -> None:
    with disk.being("slow"):
        await asyncio.sleep(6.0)


async def _hold(service: ServiceProcess, evening: Evening, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Five calls at once, and something else when all of them have been asked to tell the story."""
    asked: set[str] = set()
    all_asked = asyncio.Event()

    async def one(name: str) -> None:
        def on_event(event: CallerEvent) -> None:
            if isinstance(event, Journaled) and event.row["type"] == "turn.taken":
                asked.add(name)
                if len(asked) == CALLS:
                    all_asked.set()

        async with service.caller(on_event=on_event) as caller:
            evening.reports.append(await caller.call(TALK))

    async with asyncio.TaskGroup() as tasks:
        for number in range(CALLS):
            tasks.create_task(one(f"call-{number}"), name=f"call-{number}")
        await all_asked.wait()
        await meanwhile()


async def _read(service: ServiceProcess, evening: Evening) -> None:
    async with service.client(timeout=60) as http:
        for report in evening.reports:
            path = f"/calls/{report.call_id}"
            async with asyncio.timeout(30):
                while (record := (await http.get(path)).json())["status"] != "ended":
                    await asyncio.sleep(0.1)
            await asyncio.sleep(4.0 if evening.reports[0] is report else 0.0)  # the last write may take two seconds
            record = (await http.get(path)).json()
            evening.records.append(record)
            evening.journals.append(await journal_of(http, report.call_id))
            evening.recordings.append(len((await http.get(f"{path}/recording")).content))
    evening.health.append(await _health(service))


async def _health(service: ServiceProcess) -> dict[str, Any]:
    async with service.client() as http:
        components = (await http.get("/health")).json()["components"]
    found: dict[str, Any] = next(part for part in components if part["name"] == "recordings")
    return found


def breaks(report: CallReport, journal: list[dict[str, Any]]) -> Iterator[float]:
    """Silences within what the agent said, in seconds: those between two utterances are left out, the longest first."""
    ends = [piece.at + len(piece.samples) / report.format.sample_rate for piece in report.heard]
    gaps = sorted((after.at - end for end, (_, after) in zip(ends, pairwise(report.heard), strict=False)), reverse=True)
    utterances = sum(row["type"] == "agent.reply_started" for row in journal)
    yield from gaps[utterances - 1 :]


def test_the_callers_hear_every_word_without_a_gap_while_the_disk_is_slow(slow: Evening) -> None:
    assert [report.completed for report in slow.reports] == [True] * CALLS
    for report, journal in zip(slow.reports, slow.journals, strict=True):
        assert max(breaks(report, journal), default=0.0) < GAP_SECONDS + report.lateness.maximum


def test_they_are_answered_as_soon_as_ever_while_the_disk_is_slow(slow: Evening) -> None:
    assert [len(report.responses) for report in slow.reports] == [2] * CALLS
    assert max(max(report.responses) for report in slow.reports) < 1.5 * slowness()
    texts = [[turn["text"] for turn in record["turns"] if turn["role"] == "assistant"][1] for record in slow.records]
    assert texts == [STORY] * CALLS


def test_a_slow_disk_costs_the_recordings_nothing(slow: Evening) -> None:
    assert [record["recording"] for record in slow.records] == [{"status": "complete", "gaps": []}] * CALLS
    for record, size in zip(slow.records, slow.recordings, strict=True):
        assert size > 4 * 8000 * (record["duration_seconds"] - 0.5)


def test_the_service_stops_as_it_should_after_a_slow_disk(slow: Evening) -> None:
    assert slow.status == 0


def test_a_recording_goes_on_after_a_full_disk_and_its_gap_is_reported(full: Evening) -> None:
    (record,) = full.records
    assert record["recording"]["status"] == "gaps"
    assert record["recording_available"] is True
    ((start, end),) = record["recording"]["gaps"]
    assert 15 < start < end  # the caller alone is heard: twice the ten seconds of both sides wait
    assert 2 < end - start < 26 * slowness()
    assert full.recordings[0] > 4 * 8000 * (record["duration_seconds"] - 0.5)
    assert record["duration_seconds"] > end + 1


def test_the_health_shows_a_full_disk_while_it_is_full(full: Evening) -> None:
    during, after = full.health
    assert (during["status"], after["status"]) == ("degraded", "ok")
    assert "No space left on device" in during["detail"]
    assert full.status == 0
