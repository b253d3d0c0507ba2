"""Works out what came of each call, once it has ended.

A call's end never waits for it. A job that fails is tried again after growing waits, by any worker.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from app.clock import lease_now, utc_now
from app.errors import ContentRejected, ProviderError, StorageError, VoiceAgentError
from app.journal.analysis import (
    AnalysisRequest,
    Findings,
    UnreadableAnswer,
    analysis_request,
    nothing_said,
    read_answer,
)
from app.models import JournalRow
from app.observability.analysis_metrics import AnalysisMetrics
from app.ports.priority import Priority, requests_at
from app.ports.services import JournalReader
from app.ports.vendors import LlmOptions, TextGenerator
from app.storage.analyses import Analysis, AnalysisJob, AnalysisStore
from app.storage.disk_threads import on_disk

log = structlog.get_logger(__name__)

WAIT_SECONDS = (10.0, 60.0, 600.0, 3600.0, 6 * 3600.0)
"""The wait after each failed attempt. After the next one the analysis has failed."""
_CHECKED_FORMATS = ("date", "email", "ipv4", "ipv6", "uuid")
"""A ``time`` without seconds and zone is what callers say, though the standard wants both: it is not checked."""
_AT_ONCE = 2
"""Calls that one worker analyses at the same time."""
_LOOK_SECONDS = 1.0
_ATTEMPT_SECONDS = 200.0
_LEASE_SECONDS = 240.0


class Generators(Protocol):
    """Where the language models are; implemented by :class:`app.clients.registry.VendorRegistry`."""

    def generator(self, options: LlmOptions) -> TextGenerator:
        """A client of the model. Raises SettingsError when there is none."""


class Analyst:
    """Analyses the calls that have ended."""

    def __init__(
        self,
        store: AnalysisStore,
        reader: JournalReader,
        generators: Generators,
        metrics: AnalysisMetrics,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._reader = reader
        self._generators = generators
        self._metrics = metrics
        self._clock = clock

    async def look(self) -> None:
        """One round: analyse what is due, or wait."""
        if not await self.analyse_due():
            await asyncio.sleep(_LOOK_SECONDS)

    async def analyse_due(self) -> int:
        """Analyse calls that are due now; returns how many these were. Raises StorageError."""
        now = lease_now()
        jobs = await self._store.claim(self._clock(), lease_now=now, until=now + _LEASE_SECONDS, limit=_AT_ONCE)
        self._metrics.note_waiting(await self._store.waiting())
        failed = await asyncio.gather(*(self._analyse(job) for job in jobs), return_exceptions=True)
        for error in failed:
            if error is not None:
                raise error
        return len(jobs)

    async def _analyse(self, job: AnalysisJob) -> None:
        """One attempt. Raises StorageError."""
        if job.attempts > len(WAIT_SECONDS) + 1:
            await self._give_up(job, "interrupted: no worker came to the end of it", job.cost)
            return
        spent = _Spent(job.cost)
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                findings, model = await self._findings(job, spent)
        except StorageError:
            raise
        except (VoiceAgentError, UnreadableAnswer, TimeoutError) as error:
            await self._failed(job, error, spent.cost)
        except Exception as error:
            log.error("analysis.broken", call_id=job.call_id, error=type(error).__name__, exc_info=True)
            await self._give_up(job, "internal_error", spent.cost)
        else:
            fields = {name: asdict(finding) for name, finding in findings.fields.items()}
            analysis = Analysis(
                status="done",
                summary=findings.summary,
                fields=fields,
                success=findings.success,
                reason=findings.reason,
                model=model,
                cost=spent.cost,
            )
            if await self._store.finish(job, analysis, self._clock()):
                self._metrics.ended("done")

    async def _findings(self, job: AnalysisJob, spent: "_Spent") -> tuple[Findings, str | None]:
        """What was found, and the model that found it."""
        rows = await self._reader.rows(job.call_id)
        request: AnalysisRequest | None = await on_disk(analysis_request, rows)
        if request is None:
            return nothing_said(rows), None
        generator = self._generators.generator(LlmOptions(request.model))
        with requests_at(Priority.BACKGROUND):
            generated = await generator.generate(request.messages, schema=request.schema, call_id=job.call_id)
        spent.add(generated.usage.cost)
        self._metrics.spent(generated.usage.cost)
        findings = await on_disk(_read, generated.text, rows)
        return findings, generated.model

    async def _failed(self, job: AnalysisJob, error: Exception, cost: float | None) -> None:
        reason = _reason(error)
        if isinstance(error, ContentRejected) or job.attempts > len(WAIT_SECONDS):
            await self._give_up(job, reason, cost)
            return
        wait = WAIT_SECONDS[job.attempts - 1]
        await self._store.again(job, self._clock() + timedelta(seconds=wait), cost)
        log.warning("analysis.delayed", call_id=job.call_id, error=reason, retry_seconds=wait)

    async def _give_up(self, job: AnalysisJob, reason: str, cost: float | None) -> None:
        if await self._store.finish(job, Analysis(status="failed", reason=reason, cost=cost), self._clock()):
            log.error("analysis.failed", call_id=job.call_id, error=reason)
            self._metrics.ended("failed")


class _Spent:
    """What the attempts at one call cost; None as soon as one of them has no known price."""

    def __init__(self, cost: float | None) -> None:
        self.cost = cost

    def add(self, cost: float | None) -> None:
        self.cost = None if self.cost is None or cost is None else self.cost + cost


def _reason(error: Exception) -> str:
    """What went wrong; says nothing of what was said."""
    if isinstance(error, ProviderError):
        return f"{error.code}: {error.reason}"
    if isinstance(error, VoiceAgentError):
        return error.code
    return f"unreadable_answer: {error}" if isinstance(error, UnreadableAnswer) else "provider_timeout"


def _read(text: str, rows: list[JournalRow]) -> Findings:
    """In a thread: the library is slow to load, and agents without tools have not loaded it."""
    from jsonschema import Draft202012Validator, FormatChecker

    formats = FormatChecker(_CHECKED_FORMATS)

    def is_valid(schema: Any, value: Any) -> bool:
        return bool(Draft202012Validator(schema, format_checker=formats).is_valid(value))

    return read_answer(text, rows, is_valid)
