"""A process that loses what calls cannot do without: not ready, a goodbye to its calls, an exit status, a successor."""

import asyncio
import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.lines import START, opened
from tests.end_to_end.phones import exchange
from tests.end_to_end.processes import ServiceProcess, sandbox_process, serving
from tests.support.slowness import slowness

NO_MORE_THREADS = """
import signal
from concurrent.futures import ThreadPoolExecutor

submit = ThreadPoolExecutor.submit

def no_thread_for_the_writer(self, *args, **options):
    if self._thread_name_prefix == "storage.writer":
        raise RuntimeError("can't start new thread")
    return submit(self, *args, **options)

signal.signal(signal.SIGUSR1, lambda *_: setattr(ThreadPoolExecutor, "submit", no_thread_for_the_writer))
"""
"""On the signal it is as on a machine that has no thread left: what the database is written with is gone for good."""
STATUS = 70


@dataclass
class Story:
    """What became of a process and its call."""

    unready_after: float = 0.0
    ready: dict[str, Any] = field(default_factory=dict)
    heard_after: int = 0
    """Bytes of the agent's voice that came after the loss."""
    close_code: int | None = None
    status: int | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def broken_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(NO_MORE_THREADS)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{Path.cwd()}"}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, broken_environment: dict[str, str]) -> Story:
    folder = tmp_path_factory.mktemp("failing")

    async def live() -> Story:
        story = Story()
        async with asyncio.timeout(200), sandbox_process() as sandbox:
            async with serving(folder, sandbox, **broken_environment) as service:
                call_id = await _lose_the_writer(service, story)
                story.lines = [json.loads(line) for line in service.log_lines()]
            async with serving(folder, sandbox, log_name="later.log") as later, later.client() as http:
                while (record := (await http.get(f"/calls/{call_id}")).json())["status"] != "ended":
                    await asyncio.sleep(0.05)
                story.record = record
        return story

    return asyncio.run(live())


async def _lose_the_writer(service: ServiceProcess, story: Story) -> str:
    loop = asyncio.get_running_loop()
    async with service.client() as http:
        session = (await http.post("/media/sessions")).raise_for_status().json()
        async with opened(session["url"], session["call_id"]) as line, asyncio.TaskGroup() as tasks:
            await line.send({**START, "events": True})
            await line.until("ready")
            while (await line.until("event"))["event"]["type"] != "agent.finished":
                continue
            silence = tasks.create_task(line.be_silent(), name="silence")
            began, heard = loop.time(), len(line.audio)
            service.process.send_signal(signal.SIGUSR1)
            closing = tasks.create_task(line.closed(), name="closing")
            while (ready := await http.get("/health/ready")).is_success:
                await asyncio.sleep(0.02)
            story.unready_after, story.ready = loop.time() - began, ready.json()
            story.close_code = await closing
            story.heard_after = len(line.audio) - heard
            silence.cancel()
    story.status = await service.process.wait()
    return str(session["call_id"])


def test_the_process_is_not_ready_within_two_seconds(story: Story) -> None:
    assert story.unready_after < 2 * slowness()
    assert story.ready["status"] == "failed"


def test_its_calls_hear_a_goodbye(story: Story) -> None:
    assert story.heard_after > 0.5 * 2 * 16_000
    assert story.close_code == 1000


def test_it_ends_with_a_status_that_has_it_replaced(story: Story) -> None:
    assert story.status == STATUS
    of_end = [line for line in story.lines if line["event"] in ("loop.failed", "loop.gone", "service.failed")]
    first = [line["event"] for line in of_end if line.get("loop") == "storage.writer"]  # others cannot write after it
    assert first == ["loop.failed", "loop.gone"]
    assert of_end[-1]["event"] == "service.failed"


def test_its_calls_are_ended_by_its_successor(story: Story) -> None:
    assert story.record["status"] == "ended"


async def _two_workers(folder: Path, variables: dict[str, str]) -> tuple[list[dict[str, Any]], bool]:
    async with asyncio.timeout(200), sandbox_process() as sandbox, exchange(folder, sandbox, **variables) as here:
        phones = await here.ring_both(1)
        os.kill(here.pid_of(1), signal.SIGUSR1)
        await phones[1][0].closed()
        while not here.logged("worker.died"):
            await asyncio.sleep(0.05)
        async with here.service.client(limits=httpx.Limits(max_keepalive_connections=0)) as http:
            said = await http.post(f"/calls/{phones[2][0].call_id}/say", json={"text": "Мастер уже выехал."})
        assert said.is_success
        await phones[2][0].row("operator.say_requested")
        await phones[2][0].row("agent.finished", 2)
        return here.logged("worker.died"), phones[2][0].close_code is None


def test_a_worker_is_replaced_and_the_calls_of_the_other_go_on(
    tmp_path: Path, broken_environment: dict[str, str]
) -> None:
    deaths, goes_on = asyncio.run(_two_workers(tmp_path, broken_environment))
    assert [(line["worker"], line["reason"]) for line in deaths] == [(1, f"it ended by itself with status {STATUS}")]
    assert goes_on
