"""``calls``, and ``explain`` of a call whose id nobody knows yet: on this machine, and of a service elsewhere."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from app.cli.call_source import CallSource, NotFound, ServedCalls, StoredCalls, find_call
from app.storage.call_lists import CallFilter
from tests.cli.test_commands import run
from tests.cli.test_stored_calls import a_night_to_ask_about, rows_of
from tests.end_to_end.service import API_KEY, RunningService, service_in_thread
from tests.storage.stores import ENDING, a_call, last_row, open_stores
from tests.storage.test_figures import SUMMARY

BAD = replace(ENDING, fault="provider:openai", summary=SUMMARY, said=("Where is my order?",))


async def keep_calls(folder: Path) -> None:
    async with open_stores(folder, flush_seconds=60.0) as stores:
        for number, ending in enumerate((ENDING, BAD, ENDING)):
            at = f"2026-11-22T1{number}:00:00.000Z"
            call_id = f"call_{'aab'[number]}{number}"
            await stores.calls.create(
                a_call(call_id, started_at=at, caller_number=f"+7999000000{number}", agent="clinic")
            )
            rows = rows_of(a_night_to_ask_about()) if ending is BAD else [last_row(1)]
            for row in rows:
                stores.journal.append(call_id, 1, row, ending if row is rows[-1] else None)
            await stores.journal.flush(call_id)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("calls")) as running:
        asyncio.run(keep_calls(running.settings.data_dir))
        yield running


@pytest.fixture(params=["here", "elsewhere"])
def where(request: pytest.FixtureRequest, service: RunningService) -> tuple[str, ...]:
    return () if request.param == "here" else ("--url", service.url)


def ask(service: RunningService, where: tuple[str, ...], *command: str, key: str = API_KEY) -> CompletedProcess[str]:
    """From a folder in which nothing is, so that only the address or DATA_DIR says where calls are."""
    folder = service.settings.data_dir
    settings = {"API_KEY": key} if where else {"DATA_DIR": str(folder)}
    return run(folder.parent, *command, *where, **settings)


def source(service: RunningService, where: tuple[str, ...]) -> CallSource:
    """What the commands ask, without starting one."""
    return ServedCalls(service.url, API_KEY) if where else StoredCalls(service.settings)


def test_calls_are_listed_in_a_table_newest_first(service: RunningService, where: tuple[str, ...]) -> None:
    shown = ask(service, where, "calls")

    assert shown.returncode == 0, shown.stderr
    head, *lines = shown.stdout.splitlines()
    assert head.split()[:2] == ["call", "started"]
    assert [line.split()[0] for line in lines] == ["call_b2", "call_a1", "call_a0"]
    assert lines[1].split() == [
        "call_a1", "2026-11-22", "11:00:00", "web", "+79990000001", "-", "clinic", "60", "s", "caller_hangup",
        "provider:openai", "-", "2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"failed": True, "late": True, "unanswered": True, "text": "order", "agent": "clinic"}, ["call_a1"]),
        ({"since": "2026-11-22T10:30:00.000Z", "until": "2026-11-22T12:00:00.000Z"}, ["call_a1"]),
        ({"caller": "0000002", "status": "ended", "direction": "web"}, ["call_b2"]),
        ({"caller": "+79990000002", "fault": "none", "end_reason": "caller_hangup"}, ["call_b2"]),
        ({"called": "+79990000002"}, []),
        ({"outcome": {"booked": "true"}}, []),
        ({"synthetic": True}, []),
        ({"webhook": "msg_of_nobody"}, []),
        ({}, ["call_b2", "call_a1"]),
    ],
    ids=str,
)
def test_both_sources_have_the_same_filters(
    service: RunningService, where: tuple[str, ...], wanted: dict[str, Any], found: list[str]
) -> None:
    listed = source(service, where).list(CallFilter(**wanted), 2)

    assert [call["call_id"] for call in listed] == found


def test_the_list_is_also_there_for_programs(service: RunningService) -> None:
    shown = ask(service, (), "calls", "--json", "--limit", "1")

    assert [call["call_id"] for call in json.loads(shown.stdout)["calls"]] == ["call_b2"]


def test_a_call_is_found_by_the_beginning_of_its_id_or_as_the_newest(
    service: RunningService, where: tuple[str, ...]
) -> None:
    asked = source(service, where)
    newest, failed = find_call(asked, None, CallFilter()), find_call(asked, None, CallFilter(failed=True))

    assert newest.call.call_id == find_call(asked, "call_b", CallFilter()).call.call_id == "call_b2"
    assert failed.call.call_id == find_call(asked, "call_a1", CallFilter()).call.call_id == "call_a1"
    assert failed.rows == rows_of(a_night_to_ask_about())


def test_the_last_call_that_failed_is_explained(service: RunningService, where: tuple[str, ...]) -> None:
    shown = ask(service, where, "explain", "--failed")

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("call_a1: web, from +79990000001")
    assert "What went wrong (" in shown.stdout


def test_what_cannot_be_found_is_said(service: RunningService, where: tuple[str, ...]) -> None:
    asked, told = source(service, where), []
    for call_id in ("call_a", "call_x"):
        with pytest.raises(NotFound) as caught:
            find_call(asked, call_id, CallFilter())
        told.append(str(caught.value))

    assert told[0] == "2 calls, or their webhooks, begin with call_a: call_a1, call_a0"
    assert told[1].startswith(f"There is no call call_x {'at' if where else 'in the database of'} ")


@pytest.mark.parametrize(
    ("url", "key", "wanted", "told"),
    [
        (None, "wrong" * 8, {}, "refuses the key: set API_KEY"),
        (None, API_KEY, {"fault": "bad luck"}, "query.fault"),
        ("http://127.0.0.1:9", API_KEY, {}, "does not answer: ConnectError"),
        ("nowhere", API_KEY, {}, "does not answer: UnsupportedProtocol"),
    ],
)
def test_a_service_that_refuses_or_does_not_answer_is_named(
    service: RunningService, url: str | None, key: str, wanted: dict[str, str], told: str
) -> None:
    with pytest.raises(NotFound, match=told):
        ServedCalls(url or service.url, key).list(CallFilter(**wanted), 1)


@pytest.mark.parametrize(
    "wrong",
    [
        ("explain",),
        ("explain", "call_a1", "--last"),
        ("calls", "--since", "yesterday"),
        ("calls", "--outcome", "booked"),
    ],
    ids=" ".join,
)
def test_a_question_that_makes_no_sense_is_refused(service: RunningService, wrong: tuple[str, ...]) -> None:
    shown = ask(service, (), *wrong)

    assert (shown.returncode, shown.stdout) == (2, "")
    assert "Traceback" not in shown.stderr
