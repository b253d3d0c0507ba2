"""Builds what works after the calls: their analysis, the webhooks, the retention, and the figures."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from app.calls.after.analysis import Analyst
from app.calls.after.compression import Compressor
from app.calls.after.retention import EVERY, RetentionSweep
from app.calls.after.traces import CallTraces
from app.calls.after.webhooks import ShowCall, Webhooks, endpoints_of
from app.calls.agent.directory import AgentDirectory
from app.calls.dispatch.erasure import CallEraser
from app.clients.registry import VendorRegistry
from app.clients.traces import TraceExporter, trace_headers
from app.clients.webhook_sender import WebhookEndpoint, WebhookSender
from app.observability.metrics import Metrics
from app.service_loops import ServiceLoops
from app.settings import Settings
from app.settings_checks import split_secrets
from app.storage.analyses import AnalysisStore
from app.storage.compressions import CompressionStore
from app.storage.database import Database
from app.storage.figures import FigureStore
from app.storage.journal_reader import JournalReader
from app.storage.outbox import Outbox
from app.storage.retention import RetentionStore
from app.storage.service_jobs import ServiceJob


@dataclass(frozen=True, slots=True)
class AfterCalls:
    """What the routes need of it."""

    analyses: AnalysisStore
    outbox: Outbox
    webhooks: Webhooks
    figures: FigureStore


@asynccontextmanager
async def after_calls(
    settings: Settings,
    agents: AgentDirectory,
    vendors: VendorRegistry,
    database: Database,
    eraser: CallEraser,
    reader: JournalReader,
    show_call: ShowCall,
    loops: ServiceLoops,
    metrics: Metrics,
    exporter: TraceExporter | None,
) -> AsyncIterator[AfterCalls]:
    """Set the endpoints up and send what waits for them. Enter it before the first call. Raises StorageError.

    Traces of the calls that this process ends go to the ``exporter``.
    """
    is_production = settings.environment == "production"
    sender = WebhookSender(allow_private=settings.webhook_allow_private, https_only=is_production)
    outbox, analyses = Outbox(database), AnalysisStore(database)
    analyst = Analyst(analyses, reader, vendors, metrics.analyses)
    traced = trace_headers(exporter)
    webhooks = Webhooks(outbox, sender, eraser.calls, reader, show_call, loops, metrics.webhooks, traced=traced)
    of_settings = _endpoint(settings)
    agents.on_changed.add(lambda changed: webhooks.change(endpoints_of(of_settings, changed)))
    try:
        await webhooks.start(endpoints_of(of_settings, agents.current))
        sweep = _retention(settings, database, eraser, metrics)
        kept = [loops.keep("analysis", analyst.look), loops.keep("retention", sweep.look)]
        if settings.recording_compression == "opus":
            compressor = Compressor(CompressionStore(database), settings.recordings_dir, metrics.compressions)
            kept.append(loops.keep("compression", compressor.look))
        try:
            async with _traces(reader, exporter, loops, metrics):
                yield AfterCalls(analyses, outbox, webhooks, FigureStore(database))
        finally:
            for loop in kept:
                await loop.stop()
    finally:
        await webhooks.stop()
        await sender.aclose()


@asynccontextmanager
async def _traces(
    reader: JournalReader, exporter: TraceExporter | None, loops: ServiceLoops, metrics: Metrics
) -> AsyncIterator[None]:
    if exporter is None:
        yield
        return
    traces = CallTraces(reader, exporter, metrics.traces)
    reader.on_ended.add(traces.ended)
    loop = loops.keep("traces", traces.look)
    try:
        yield
    finally:
        await loop.stop()
        await traces.stop()


def _retention(settings: Settings, database: Database, eraser: CallEraser, metrics: Metrics) -> RetentionSweep:
    job = ServiceJob(database, "retention", every=EVERY)
    return RetentionSweep(job, RetentionStore(database), eraser.calls, eraser, settings.retention, metrics.retention)


def _endpoint(settings: Settings) -> WebhookEndpoint | None:
    """The endpoint of the settings, which hears of all calls."""
    if settings.webhook_url is None or settings.webhook_secret is None:
        return None
    secrets = tuple(map(SecretStr, split_secrets(settings.webhook_secret)))
    return WebhookEndpoint(settings.webhook_url, secrets, has_transcript=settings.webhook_transcript)
