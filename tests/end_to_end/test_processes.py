"""The command as a child process: killed in the middle of a call, stopped during one, and what it logs."""

import asyncio
import io
import json
import re
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.caller.caller import Caller
from sandbox.caller.events import CallerEvent, Connected, Journaled
from sandbox.caller.media_client import CallBroken
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score, says, waits, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, GREETING, QUIET, journal_of, score
from tests.end_to_end.hostile import new_session, status_of
from tests.end_to_end.processes import KEY, ServiceProcess, sandbox_process, serving
from tests.support.slowness import slowness

NUMBER = "+7 (999) 123-45-67"
QUESTION = "Когда вы открыты?"
ANSWER = "Мы открыты ежедневно с девяти утра, приходите пожалуйста к нам в любое удобное время."
TALK = score(
    waits_for_agent(QUIET),
    says(QUESTION),
    waits_for_agent(QUIET),
    says("До свидания!"),
    waits_for_end(),
    replies=({"text": ANSWER}, {"text": "Всего хорошего!", "tool_calls": END_CALL}),
)
PATIENT = score(
    waits_for_agent(QUIET),
    says(QUESTION),
    waits_for_agent(QUIET),
    waits(30),
    replies=({"text": ANSWER},),
)
AGENT_SPEAKS = "agent.clause_started"


@dataclass
class Story:
    """What became of a process and its call."""

    report: CallReport | None = None
    record: dict[str, Any] = field(default_factory=dict)
    journal: list[dict[str, Any]] = field(default_factory=list)
    recording: bytes = b""
    status: int | None = None
    lines: list[str] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)
    """Journal rows that the caller was shown before the end."""
    streamed: list[list[int]] = field(default_factory=list)
    """Numbers of the rows that came as server-sent events, before the process died and after."""
    stream_status: int = 0
    """Of a request for more than the last of them."""
    token: str = ""
    status_of_another: int = 0
    """Of the upgrade of a call that comes while the process is stopping."""
    lived: float = 0.0
    """Seconds from the beginning of the call until its process was killed."""
    seconds: float = 0.0
    """Until the dead call was ended, or until the process was gone."""


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Story]:
    """Everything at once: each mostly waits."""
    folder = tmp_path_factory.mktemp("processes")

    async def all_of_them() -> dict[str, Story]:
        async with sandbox_process() as sandbox, asyncio.timeout(150), asyncio.TaskGroup() as tasks:
            tasks = {
                "killed": tasks.create_task(_killed(folder / "killed", sandbox)),
                "finishes": tasks.create_task(_told_to_stop(folder / "f", sandbox, TALK, "30", "debug")),
                "goodbye": tasks.create_task(_told_to_stop(folder / "g", sandbox, PATIENT, "0.3", "info")),
            }
        return {name: task.result() for name, task in tasks.items()}

    return asyncio.run(all_of_them())


@asynccontextmanager
async def _calling(service: ServiceProcess, wanted: Score, story: Story) -> AsyncIterator[asyncio.Task[CallReport]]:
    """A call in progress, in which the agent is speaking for the second time."""
    speaking = asyncio.Event()

    def on_event(event: CallerEvent) -> None:
        match event:
            case Connected(call_id):
                story.record = {"call_id": call_id}
            case Journaled(_, row):
                story.shown.append(row)
                if row["type"] == AGENT_SPEAKS and row["data"]["text"].strip() != GREETING:
                    speaking.set()
            case _:
                pass

    async with service.caller(on_event=on_event) as caller, asyncio.TaskGroup() as tasks:
        call = tasks.create_task(_survive(caller, wanted), name="call")
        await speaking.wait()
        yield call


async def _survive(caller: Caller, wanted: Score) -> CallReport:
    """A line that breaks is part of the story."""
    try:
        return await caller.call(wanted, number=NUMBER)
    except CallBroken as broken:
        if broken.report is None:
            raise
        return broken.report


async def _killed(folder: Path, sandbox: dict[str, str]) -> Story:
    story = Story()
    async with serving(folder, sandbox, log_name="first.log") as first, _calling(first, PATIENT, story) as call:
        streaming = asyncio.get_running_loop().create_task(_stream(first, story), name="stream")
        await asyncio.sleep(1.0)
        await first.kill()
        killed = asyncio.get_running_loop().time()
        story.report = await call
        story.lived = killed - story.report.ready_at
        await streaming
    loop = asyncio.get_running_loop()
    async with serving(folder, sandbox) as second, second.client() as http:
        started = loop.time()
        while (await http.get(f"/calls/{story.record['call_id']}")).json()["status"] != "ended":
            assert loop.time() - started < 20 * slowness()
            await asyncio.sleep(0.05)
        story.seconds = loop.time() - started
        await _stream(second, story)
        story.stream_status = await _stream(second, story)
        await _read(second, story)
        story.status = await second.terminate()
    return story


async def _stream(service: ServiceProcess, story: Story) -> int:
    """Read server-sent events, after the last one that was seen, until there are no more. Gives the status."""
    seen = [number for numbers in story.streamed for number in numbers]
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(seen[-1])} if seen else {})}
    numbers: list[int] = []
    story.streamed.append(numbers)
    path = f"/calls/{story.record['call_id']}/events"
    async with service.client() as http, http.stream("GET", path, headers=headers) as answer:
        with suppress(httpx.TransportError):  # the process may die
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    numbers.append(int(line[4:]))
        return answer.status_code


async def _told_to_stop(folder: Path, sandbox: dict[str, str], wanted: Score, drain: str, level: str) -> Story:
    story = Story()
    loop = asyncio.get_running_loop()
    async with serving(folder, sandbox, DRAIN_SECONDS=drain, LOG_LEVEL=level) as service:
        async with _calling(service, wanted, story) as call:
            waiting = await new_session(service)
            terminating = loop.create_task(service.terminate(), name="terminating")
            story.status_of_another = await _status_of_a_call_while_it_stops(service, waiting["url"])
            story.report = await call
            ended = loop.time()
        story.status = await terminating
        story.seconds = loop.time() - ended
        story.lines = service.log_lines()
    async with serving(folder, sandbox, log_name="later.log") as later:
        await _read(later, story)
    return story


async def _status_of_a_call_while_it_stops(service: ServiceProcess, url: str) -> int:
    async with service.client() as http:
        while (await http.get("/health/ready")).is_success:  # the signal is on its way
            await asyncio.sleep(0.02)
    return await status_of(url)


async def _read(service: ServiceProcess, story: Story) -> None:
    async with service.client() as http:
        path = f"/calls/{story.record['call_id']}"
        story.record = (await http.get(path)).raise_for_status().json()
        story.journal = await journal_of(http, story.record["call_id"])
        story.recording = (await http.get(f"{path}/recording")).raise_for_status().content


def seconds_of(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as reader:
        seconds: float = reader.getnframes() / reader.getframerate()
        return seconds


def report_of(story: Story) -> CallReport:
    assert story.report is not None
    return story.report


def test_a_call_whose_process_was_killed_waits_for_its_client_and_is_then_ended(stories: dict[str, Story]) -> None:
    story = stories["killed"]
    assert (story.record["end_reason"], story.record["fault"]) == ("media_lost", "ours")
    assert story.seconds < 13 * slowness()
    assert report_of(story).close_code == 1006
    assert [turn["role"] for turn in story.record["turns"]] == ["assistant", "user", "assistant"]
    last = story.record["turns"][-1]
    assert (last["heard"], ANSWER.startswith(last["text"])) == ("estimated", True)


def test_the_journal_of_a_killed_process_is_whole_but_for_its_last_second(stories: dict[str, Story]) -> None:
    story = stories["killed"]
    assert [row["seq"] for row in story.journal] == list(range(1, len(story.journal) + 1))
    assert story.journal[-1]["type"] == "call.ended"
    kept = story.journal[:-1]
    assert kept == story.shown[: len(kept)]
    lost = story.shown[len(kept) :]
    assert all(row["t"] > story.shown[-1]["t"] - 1.0 for row in lost)


def test_a_stream_of_events_goes_on_after_a_restart_where_it_was_cut(stories: dict[str, Story]) -> None:
    story = stories["killed"]
    before, after, nothing = story.streamed
    assert before
    assert after
    assert before + after == [row["seq"] for row in story.journal]
    assert (nothing, story.stream_status) == ([], 204)


def test_the_recording_of_a_killed_process_lacks_a_second_at_most(stories: dict[str, Story]) -> None:
    story = stories["killed"]
    lived = story.lived
    assert lived - 1.0 < seconds_of(story.recording) < lived + 0.3


def test_a_call_that_is_alive_may_finish_before_the_process_stops(stories: dict[str, Story]) -> None:
    story = stories["finishes"]
    assert (story.status, report_of(story).completed) == (0, True)
    assert (story.record["end_reason"], story.record["fault"]) == ("agent_hangup", "none")
    assert [turn["text"] for turn in story.record["turns"] if turn["role"] == "assistant"] == [
        GREETING,
        ANSWER,
        "Всего хорошего!",
    ]
    assert story.seconds < 5 * slowness()


@pytest.mark.parametrize("name", ["finishes", "goodbye"])
def test_a_stopping_process_takes_no_new_call(stories: dict[str, Story], name: str) -> None:
    assert stories[name].status_of_another == 503


def test_a_call_that_takes_too_long_hears_a_goodbye_before_the_process_stops(stories: dict[str, Story]) -> None:
    story = stories["goodbye"]
    assert story.status == 0
    assert (report_of(story).ended_by, report_of(story).end_reason) == ("agent", "shutdown")
    assert report_of(story).close_code == 1000
    assert (story.record["end_reason"], story.record["status"]) == ("shutdown", "ended")
    assert "До свидания" in story.record["turns"][-1]["text"]
    assert story.record["turns"][-1]["interrupted"] is False
    assert story.journal == [*story.shown, *story.journal[len(story.shown) :]]


@pytest.mark.parametrize("name", ["finishes", "goodbye"])
def test_after_a_stop_the_record_is_complete(stories: dict[str, Story], name: str) -> None:
    story = stories[name]
    assert story.journal[-1]["type"] == "call.ended"
    assert story.record["costs"]["total"] is not None
    assert seconds_of(story.recording) == pytest.approx(report_of(story).ended_at, abs=0.4)


@pytest.mark.parametrize("name", ["finishes", "goodbye"])
def test_every_line_of_the_log_is_json_and_those_of_the_call_name_it(stories: dict[str, Story], name: str) -> None:
    story = stories[name]
    lines = [json.loads(line) for line in story.lines]
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    ended = [line for line in lines if line["event"] == "call.ended"]
    assert [line["call_id"] for line in ended] == [story.record["call_id"]]
    assert ended[0]["end_reason"] == story.record["end_reason"]
    assert ended[0]["duration_seconds"] == story.record["duration_seconds"]
    of_streams = [line for line in lines if line["event"] == "stream.closed"]
    assert [line.get("call_id") for line in of_streams] == [story.record["call_id"]]


def test_at_debug_every_request_to_a_vendor_names_its_call(stories: dict[str, Story]) -> None:
    story = stories["finishes"]
    lines = [json.loads(line) for line in story.lines]
    assert {line["level"] for line in lines} >= {"debug", "info"}
    assert {line["level"] for line in map(json.loads, stories["goodbye"].lines)} <= {"info", "warning"}
    asked = [line for line in lines if line["event"] == "provider.started" and line["operation"] == "stream_reply"]
    assert asked
    assert all(line["call_id"] == story.record["call_id"] for line in asked)


@pytest.mark.parametrize("name", ["finishes", "goodbye"])
def test_no_line_of_the_log_holds_a_word_a_number_or_a_secret(stories: dict[str, Story], name: str) -> None:
    story = stories[name]
    log = "\n".join(story.lines)
    words = {word for text in (QUESTION, ANSWER, GREETING, "Всего хорошего") for word in re.findall(r"\w{4,}", text)}
    assert not [word for word in words if word.lower() in log.lower()]
    assert not re.search("[а-яё]", log, re.IGNORECASE)
    for secret in (NUMBER, "9991234567", "123-45-67", KEY, "a-vendors-secret-key"):
        assert secret not in log
    assert "token=" not in log.replace("token=***", "")
    assert not re.search(r"\\u04[0-9a-f]{2}", log)
