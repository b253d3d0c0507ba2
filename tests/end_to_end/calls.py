"""Simulated callers who hold whole calls, as many at once as wanted."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from sandbox.caller.caller import Caller
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score, Step
from sandbox.carrier.telephone import Telephone
from sandbox.vendors.voice import synthesize
from tests.end_to_end.lines import ended_record_of
from tests.end_to_end.service import API_KEY, RunningService

SPEED = 1.5
"""Of both voices: nobody listens, and every second is a second of the test."""
GREETING = "Слушаю вас."
QUIET = 0.3
END_CALL: list[dict[str, Any]] = [{"name": "end_call", "arguments": {}}]


@dataclass(frozen=True, slots=True)
class Held:
    """A call as its caller lived it, and what the service says of it."""

    report: CallReport
    record: dict[str, Any]
    journal: list[dict[str, Any]]

    @property
    def call_id(self) -> str:
        return self.report.call_id

    def said(self, role: str) -> list[str]:
        """The texts of the turns of ``user`` or ``assistant``."""
        return [turn["text"] for turn in self.record["turns"] if turn["role"] == role]

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """The journal's rows of a type."""
        return [row for row in self.journal if row["type"] == kind]


def score(*steps: Step, replies: tuple[dict[str, Any], ...] = (), language: str = "ru", patience: float = 8) -> Score:
    return Score("end-to-end", language, steps, replies, patience)


def speak(text: str, language: str, sample_rate: int) -> bytes:
    """The caller's voice."""
    return synthesize(text, language, sample_rate, SPEED).pcm


async def hold(service: RunningService, wanted: Score, telephone: Telephone | None = None, **session: Any) -> Held:
    """One call. Raises CallFailed when it does not go as the score says."""
    caller = Caller(
        service.url,
        speak,
        sandbox_url=service.sandbox.url,
        api_key=API_KEY,
        telephone=telephone,
        longest_call_seconds=120,
    )
    async with caller:
        report = await caller.call(wanted, **session)
    return await held(service, report)


async def hold_all(
    service: RunningService, wanted: Mapping[str, tuple[Score, Telephone]], **session: Any
) -> dict[str, Held]:
    """Many calls at once, by their names."""
    async with asyncio.TaskGroup() as tasks:
        calls = {
            name: tasks.create_task(hold(service, each, telephone, **session), name=f"call-{name}")
            for name, (each, telephone) in wanted.items()
        }
    return {name: call.result() for name, call in calls.items()}


async def held(service: RunningService, report: CallReport) -> Held:
    """What the service says of a call that is over, which it may notice a moment after the caller."""
    record = await ended_record_of(service, report.call_id)
    async with service.async_client() as http:
        journal = await journal_of(http, report.call_id)
    return Held(report, record, journal)


async def journal_of(http: httpx.AsyncClient, call_id: str) -> list[dict[str, Any]]:
    answer = (await http.get(f"/calls/{call_id}/events")).raise_for_status()
    events: list[dict[str, Any]] = answer.json()["events"]
    return events
