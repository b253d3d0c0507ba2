"""Hostile input, a locked database and a full disk, each beside a good call, against the service as a process.

What a client does wrong on a media websocket is in ``test_media_trouble.py``.
"""

import asyncio
import json
import re
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from sandbox.caller.events import CallerEvent, Connected, Journaled
from sandbox.caller.score import says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import END_CALL, QUIET, journal_of, score
from tests.end_to_end.hostile import (
    CONTROLS,
    HOSTILE_IDS,
    INJECTION,
    SECRET_WORDS,
    WRONG_QUERIES,
    WRONG_SESSIONS,
    Evening,
    be_hostile,
    new_session,
    status_of,
)
from tests.end_to_end.processes import ServiceProcess, sandbox_process, serving
from tests.support.databases import locked
from tests.support.slowness import slowness

QUESTIONS = ("Когда вы открыты?", "А в субботу?", "До свидания!")
GOOD = score(
    waits_for_agent(QUIET),
    *(step for question in QUESTIONS[:-1] for step in (says(question), waits_for_agent(QUIET))),
    says(QUESTIONS[-1]),
    waits_for_end(),
    replies=(
        {"text": "Мы открыты ежедневно с девяти утра и до восьми вечера, без перерыва на обед."},
        {"text": "В субботу мы работаем с десяти утра и только до обеда, приходите пораньше."},
        {"text": "Всего хорошего!", "tool_calls": END_CALL},
    ),
    patience=12,
)


@pytest.fixture(scope="module")
def evenings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evening]:
    """One after another, with one process."""
    folder = tmp_path_factory.mktemp("bad-input")
    evenings: dict[str, Evening] = {}

    async def all_of_them() -> None:
        async with sandbox_process() as sandbox, serving(folder, sandbox) as service:
            await _warm(service)
            for name, trouble in {"hostile": be_hostile, "locked": _lock, "full": _fill}.items():
                async with asyncio.timeout(150):
                    evenings[name] = await _evening(service, trouble)
            assert await service.terminate() == 0

    asyncio.run(all_of_them())
    return evenings


Trouble = Callable[[ServiceProcess, Evening], Awaitable[None]]


async def _evening(service: ServiceProcess, trouble: Trouble) -> Evening:
    evening, logged = Evening(), len(service.log_lines())
    async with service.client() as http:
        async with _good_call(service, evening):
            await trouble(service, evening)
        call_id = evening.record["call_id"]
        evening.record = (await http.get(f"/calls/{call_id}")).json()
        evening.journal = await journal_of(http, call_id)
        evening.calls = [call["call_id"] for call in (await http.get("/calls?limit=200")).json()["calls"]]
    evening.log = service.log_lines()[logged:]
    return evening


async def _warm(service: ServiceProcess) -> None:
    """The first call of a format has the fixed lines made into sound."""
    async with service.caller() as caller:
        await caller.call(score(waits_for_agent(QUIET)))


@asynccontextmanager
async def _good_call(service: ServiceProcess, evening: Evening) -> AsyncIterator[None]:
    """From its first question on to its end."""
    greeted = asyncio.Event()

    def on_event(event: CallerEvent) -> None:
        match event:
            case Connected(call_id):
                evening.record = {"call_id": call_id}
            case Journaled(_, row):
                evening.shown.append(row)
                if row["type"] == "agent.finished":
                    greeted.set()
            case _:
                pass

    async with service.caller(on_event=on_event) as caller, asyncio.TaskGroup() as tasks:
        call = tasks.create_task(caller.call(GOOD), name="good call")
        await greeted.wait()
        yield
        evening.report = await call


# --- hostile clients --------------------------------------------------------------------------------------------------


def is_problem(answer: httpx.Response) -> bool:
    return (
        answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == answer.status_code
    )


@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_an_id_that_is_none_of_ours_is_not_found_at_any_door(evenings: dict[str, Evening], name: str) -> None:
    evening = evenings["hostile"]
    asked = [answer for asked, answer in evening.answers.items() if asked.startswith(f"id {name} ")]
    assert [(answer.status_code, is_problem(answer)) for answer in asked] == [(404, True)] * 5
    assert not [answer for answer in asked if "passwd" in answer.text or "set-cookie" in answer.headers]
    assert {evening.refusals[f"{door} {name}"] for door in ("", "/egress")} <= {403, 404}


@pytest.mark.parametrize("name", WRONG_QUERIES)
def test_a_query_that_makes_no_sense_is_refused(evenings: dict[str, Evening], name: str) -> None:
    answer = evenings["hostile"].answers[name]
    assert (answer.status_code, is_problem(answer)) == (422, True)


@pytest.mark.parametrize("name", WRONG_SESSIONS)
def test_a_session_that_asks_too_much_is_refused(evenings: dict[str, Evening], name: str) -> None:
    answer = evenings["hostile"].answers[name]
    assert (answer.status_code, is_problem(answer)) == (WRONG_SESSIONS[name][1], True)
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a wrong token", 403),
        ("a second socket", 409),
        ("a used token", 409),
        ("an expired token", 403),
        ("a good one", 1000),
        ("audio of 10 MB at /twilio", 1009),
        ("audio of 10 MB at /call", 1009),
        ("text of 10 MB at /twilio", 1009),
        ("text of 10 MB at /call", 1009),
        ("Twilio with a wrong token", 1008),
    ],
)
def test_a_websocket_that_is_not_wanted_is_refused(evenings: dict[str, Evening], name: str, code: int) -> None:
    assert evenings["hostile"].refusals[name] == code


def test_what_a_caller_says_stays_text(evenings: dict[str, Evening]) -> None:
    answers = evenings["hostile"].answers
    record = answers["victim"].json()
    (turn,) = [turn for turn in record["turns"] if turn["role"] == "user" and "script" in turn["text"]]
    assert turn["text"].split() == INJECTION.split()
    assert record["end_reason"] == "agent_hangup"
    assert {name: value for name, value in record["metadata"].items() if name in CONTROLS} == CONTROLS
    assert answers["victim/transcript"].json()["turns"] == record["turns"]
    text = answers["victim/transcript?format=text"]
    assert text.headers["content-type"].startswith("text/plain")
    assert [line.split()[1] for line in text.text.splitlines()] == ["agent:", "caller:", "agent:", "caller:", "agent:"]
    rows = answers["victim/events"].json()["events"]
    assert next(row for row in rows if row["type"] == "turn.taken")["data"]["text"] == turn["text"]


def test_sessions_that_nobody_uses_are_no_calls(evenings: dict[str, Evening]) -> None:
    evening = evenings["hostile"]
    assert len(evening.calls) == 4  # the first, the good one, the victim, and the one that was opened twice
    assert {evening.record["call_id"], evening.victim} <= set(evening.calls)


def test_hostile_clients_cost_little_memory(evenings: dict[str, Evening]) -> None:
    assert evenings["hostile"].grown_mb < 25


# --- a database that is locked ----------------------------------------------------------------------------------------


async def _lock(service: ServiceProcess, evening: Evening) -> None:
    """Another process writes for longer than anybody waits for it."""
    session = await new_session(service)
    with locked(service.log_path.with_name("calls.db")):
        async with service.client() as http, asyncio.TaskGroup() as tasks:
            http.timeout = httpx.Timeout(15)
            opening = tasks.create_task(status_of(session["url"]), name="opening")
            asking = [tasks.create_task(http.post("/media/sessions"), name="asking") for _ in range(5)]
            evening.answers["read while locked"] = await http.get("/calls")
    evening.refusals["while locked"] = opening.result()
    evening.answers |= {f"asked while locked {number}": task.result() for number, task in enumerate(asking)}
    async with service.client() as http:
        await _until_ready(http)
        evening.answers["asked after"] = await http.post("/media/sessions")


def test_a_locked_database_fails_writes_and_not_reads(
    evenings: dict[str, Evening],
) -> None:
    answers = evenings["locked"].answers
    for number in range(5):
        refused = answers[f"asked while locked {number}"]
        assert (refused.status_code, refused.json()["code"], is_problem(refused)) == (503, "storage_failed", True)
        assert refused.headers["retry-after"]
    assert evenings["locked"].refusals["while locked"] == 503
    assert answers["read while locked"].status_code == 200
    assert answers["asked after"].status_code == 201


# --- a disk that is full ----------------------------------------------------------------------------------------------


async def _until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while not (await http.get("/health/ready")).is_success:
            await asyncio.sleep(0.1)


async def _fill(service: ServiceProcess, evening: Evening) -> None:
    """No file may grow; after a while there is room again."""
    pid = service.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    async with service.client() as http:
        http.timeout = httpx.Timeout(15)
        try:
            evening.answers["asked while full"] = await http.post("/media/sessions")
            await asyncio.sleep(2.0)
            evening.answers["ready while full"] = await http.get("/health/ready")
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        await _until_ready(http)
        evening.answers["asked after"] = await http.post("/media/sessions")


def test_a_full_disk_is_reported_and_is_over_when_there_is_room(evenings: dict[str, Evening]) -> None:
    answers = evenings["full"].answers
    refused = answers["asked while full"]
    assert (refused.status_code, refused.json()["code"], is_problem(refused)) == (503, "storage_failed", True)
    assert answers["ready while full"].status_code == 503
    assert answers["asked after"].status_code == 201


def test_a_recording_waits_for_room_and_the_log_says_when_there_is(evenings: dict[str, Evening]) -> None:
    logged = [json.loads(line)["event"] for line in evenings["full"].log if '"recordings.' in line]
    assert logged[-1] == "recordings.in_order"  # while the disk is full the log has no room either
    assert "recording.incomplete" not in "".join(evenings["full"].log)
    assert evenings["full"].record["recording"] == {"status": "complete", "gaps": []}
    assert evenings["full"].record["recording_available"] is True


# --- the good call ----------------------------------------------------------------------------------------------------

each_evening = pytest.mark.parametrize("name", ["hostile", "locked", "full"])


@each_evening
def test_the_good_call_beside_it_notices_nothing(evenings: dict[str, Evening], name: str) -> None:
    evening = evenings[name]
    assert evening.report is not None
    assert (evening.report.completed, evening.report.ended_by, evening.report.close_code) == (True, "agent", 1000)
    assert len(evening.report.responses) == len(QUESTIONS)
    assert max(evening.report.responses) < 1.5 * slowness()
    assert (evening.record["end_reason"], evening.record["fault"]) == ("agent_hangup", "none")
    assert [turn["text"] for turn in evening.record["turns"] if turn["role"] == "user"] == list(QUESTIONS)


@each_evening
def test_the_journal_of_the_good_call_is_whole(evenings: dict[str, Evening], name: str) -> None:
    evening = evenings[name]
    assert [row["seq"] for row in evening.journal] == list(range(1, len(evening.journal) + 1))
    assert evening.journal[: len(evening.shown)] == evening.shown
    assert evening.journal[-1]["type"] == "call.ended"


@each_evening
def test_nothing_has_crashed_and_no_word_of_a_caller_is_in_the_log(evenings: dict[str, Evening], name: str) -> None:
    log = "\n".join(evenings[name].log)
    assert "Traceback" not in log
    assert not [word for word in (*SECRET_WORDS, "+70000000000") if word in log]
    assert not re.search("[а-яё]", log, re.IGNORECASE)
