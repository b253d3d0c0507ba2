"""Callers whose line does something wrong, by name, all at once: what each of them costs."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.caller.faults import NAMED, faulty_call
from sandbox.caller.media_client import CallFailed
from tests.end_to_end.calls import GREETING, speak
from tests.end_to_end.lines import ended_record_of
from tests.end_to_end.service import API_KEY, RunningService, service_in_thread

END_REASONS = {
    "gone": ("media_timeout", "carrier", "media_timeout"),
    "reset": ("media_lost", "carrier", "closed with 1006"),
    "wrong_encoding": ("media_lost", "carrier", "audio_too_fast: four times real time: is it 16-bit?"),
}
"""Of those whose call does not end as any other: end reason, fault, and what is known besides."""


@dataclass(frozen=True)
class Lived:
    """A call as the service records it."""

    record: dict[str, Any]
    journal: list[dict[str, Any]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("caller-faults")
    with service_in_thread(folder, greeting=GREETING, media_timeout_seconds=22) as running:
        yield running


@pytest.fixture(scope="module")
def calls(service: RunningService) -> dict[str, Lived | Exception]:
    async def one(kind: str) -> Lived | Exception:
        try:
            report = await faulty_call(kind, service.url, speak, sandbox_url=service.sandbox.url, api_key=API_KEY)
        except CallFailed as failed:
            if failed.report is None:
                return failed
            report = failed.report
        record = await ended_record_of(service, report.call_id, 60)
        async with service.async_client() as http:
            journal = (await http.get(f"/calls/{report.call_id}/events")).json()["events"]
        return Lived(record, journal)

    async def all_at_once() -> dict[str, Lived | Exception]:
        async with asyncio.TaskGroup() as tasks:
            calling = {kind: tasks.create_task(one(kind), name=kind) for kind in NAMED}
        return {kind: task.result() for kind, task in calling.items()}

    return service.run(all_at_once())


def lived(calls: dict[str, Lived | Exception], kind: str) -> Lived:
    call = calls[kind]
    assert isinstance(call, Lived), repr(call)
    return call


@pytest.mark.parametrize("kind", NAMED)
def test_a_call_with_the_fault_ends_for_the_reason_that_is_true(calls: dict[str, Lived | Exception], kind: str) -> None:
    record = lived(calls, kind).record

    wanted = END_REASONS.get(kind, ("caller_hangup", "none", None))
    assert (record["end_reason"], record["fault"], record["end_detail"]) == wanted


@pytest.mark.parametrize("kind", [kind for kind in NAMED if kind not in END_REASONS])
def test_a_caller_on_such_a_line_is_understood_and_answered(calls: dict[str, Lived | Exception], kind: str) -> None:
    turns = lived(calls, kind).record["turns"]

    assert next(turn["text"] for turn in turns if turn["role"] == "user") == "Здравствуйте, вы меня слышите?"
    assert len([turn for turn in turns if turn["role"] == "assistant"]) > 1


def test_a_key_that_bounces_is_one(calls: dict[str, Lived | Exception]) -> None:
    said = [turn["text"] for turn in lived(calls, "key_bounce").record["turns"] if turn["role"] == "user"]

    assert said[1] == "[keypad] 5"


def test_a_caller_who_is_held_was_not_gone(calls: dict[str, Lived | Exception]) -> None:
    held, gone = lived(calls, "hold").record["holds"], lived(calls, "gone").record["holds"]

    assert len(held) == len(gone) == 1
    assert held[0]["ended_at"] - held[0]["started_at"] == pytest.approx(20, abs=1)
    assert gone[0]["ended_at"] is None
