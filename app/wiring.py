"""Builds every object of the service, in order, and takes it apart in reverse."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from app.calls.after.webhooks import ShowCall
from app.calls.agent.directory import AgentDirectory, AgentSet
from app.calls.agent.kept_files import KeptFiles
from app.calls.agent.mcp import McpTools
from app.calls.agent.plan import CallPlanner, MakePlanner
from app.calls.agent.profile import AgentProfile
from app.calls.agent.tools import ToolEndpoint
from app.calls.dispatch.admission import Admission
from app.calls.dispatch.dispatcher import CallDispatcher
from app.calls.dispatch.erasure import CallEraser
from app.calls.dispatch.lookups import CallLookups
from app.calls.dispatch.media_sessions import MediaSessions
from app.calls.dispatch.operator_requests import CallRequests
from app.calls.dispatch.resumptions import Resumptions
from app.calls.dispatch.simulated_calls import SimulatedCalls
from app.calls.dispatch.spending_watch import SpendingWatch
from app.calls.dispatch.synthetic_calls import SyntheticCalls
from app.calls.live.phrase_cache import PhraseCache
from app.calls.live.recordings import Recordings
from app.calls.live.session import CallServices
from app.calls.telephone.do_not_call import DoNotCallList
from app.clients.entry import ClientSetup, key_of
from app.clients.http_tools import HttpToolClients
from app.clients.limiter import Limiters
from app.clients.mcp_tools import McpServers
from app.clients.own_door import call_own_door
from app.clients.phrases.archive import sound
from app.clients.registry import VendorRegistry
from app.clients.resilient import RetryPolicy
from app.clients.traces import TraceExporter, trace_exporter, trace_headers
from app.contained_tasks import ContainedTasks
from app.conversation.policy import CallPolicy
from app.models import HealthStatus, ServiceHealth
from app.observability.health import Check, HealthMonitor
from app.observability.metrics import Metrics
from app.service_loops import Part, ServiceLoops
from app.settings import Settings
from app.storage.calls import CallStore
from app.storage.data_folder import DataFolder
from app.storage.database import Database, database_file, migrate
from app.storage.do_not_call import DoNotCallStore
from app.storage.health import StorageHealth
from app.storage.journal import JournalWriter
from app.storage.journal_reader import JournalReader
from app.storage.owner_locks import OwnerLock
from app.storage.requests import CallRequestStore
from app.storage.resumptions import ResumptionStore
from app.storage.schema import REVISION
from app.storage.sessions import SessionStore
from app.storage.spending import DaySpending, SpendingStore
from app.storage.spool import Spool
from app.storage.unsaved import UnsavedEnds
from app.times import ServiceTimes
from app.wiring_after import AfterCalls, after_calls
from app.wiring_loops import run_helpers, watch
from app.wiring_operators import Operators, open_operators
from media.formats import AudioFormat

if TYPE_CHECKING:  # these import LiveKit's libraries, see _livekit
    from app.clients.livekit.api import LiveKitClient
    from app.wiring_telephone import Telephone

log = structlog.get_logger(__name__)

VERSION = version("voice-agent")
_TELEPHONE = AudioFormat("pcm_s16le", 16000)
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - where the service reaches itself then
_BACKGROUND_TASKS_MAX = 1000
"""Of tools, transfers and rooms to be ended. If one that is cancelled was to end a room, the reconciler does it."""
_RECORDINGS_SECONDS = 5.0
"""How long a stopping process waits for its last recordings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the routes need."""

    settings: Settings
    version: str = VERSION
    journal_reader: JournalReader
    calls: CallStore
    eraser: CallEraser
    sessions: MediaSessions
    simulated: SimulatedCalls
    dispatcher: CallDispatcher
    agents: AgentDirectory
    operators: Operators
    resumptions: Resumptions
    after: AfterCalls
    mcp: McpTools
    telephone: "Telephone | None"
    """None without LiveKit."""
    metrics: Metrics
    health: HealthMonitor
    spending: SpendingWatch
    limits: Limiters
    """Those of the vendors."""
    loops: ServiceLoops
    times: ServiceTimes


@asynccontextmanager
async def open_services(
    settings: Settings, metrics: Metrics, show_call: ShowCall, owner: str | None, times: ServiceTimes, make: MakePlanner
) -> AsyncIterator[Services]:
    """Open and run everything the service needs. Raises SettingsError or StorageError.

    ``owner`` is the name of this worker, from the supervisor, which has prepared the database; None without one.
    ``show_call`` makes what webhooks say, and ``make`` the planner of the calls.
    """
    agents = AgentDirectory(settings, kept=KeptFiles(settings.kept_agents_dir), is_checked=owner is not None)
    owner = owner or await _alone(settings)
    async with AsyncExitStack() as stack:
        database, reader, journal, unsaved, storage, recordings = await _open_storage(settings, metrics, stack, owner)
        vendors, livekit, tools, mcp, exporter = await _open_clients(settings, agents, metrics, stack)
        do_not_call = DoNotCallList(DoNotCallStore(database), lambda: agents.current.numbers.home)
        planner = _planner(make, settings, agents, vendors, tools, do_not_call, mcp)
        enter = stack.enter_async_context
        background = await enter(ContainedTasks(tasks_max=_BACKGROUND_TASKS_MAX))
        loops = watch(await enter(ServiceLoops()), (database.loop, journal.loop, reader.loop), background, metrics)
        services = _call_services(settings, metrics, database, journal, background, recordings, owner)
        dispatcher = _dispatcher(settings, services, planner, reader, loops, storage, unsaved, journal, tools, stack)
        eraser = CallEraser(services.calls, SessionStore(database), settings.recordings_dir, unsaved)
        about = after_calls(settings, agents, vendors, database, eraser, reader, show_call, loops, metrics, exporter)
        after = await enter(about)
        health = _health(storage, vendors, tools, mcp, livekit, recordings, loops, after)
        _show_figures(metrics, database, journal, dispatcher, settings.places, health)
        run_helpers(loops, services, agents, vendors, mcp, dispatcher, eraser, health)
        operators = await open_operators(database, services, dispatcher, do_not_call, loops)
        telephone, sessions = _ways_in(settings, livekit, database, services, dispatcher, loops, times)
        yield Services(
            settings=settings,
            journal_reader=reader,
            calls=services.calls,
            eraser=eraser,
            sessions=sessions,
            simulated=SimulatedCalls(sessions, background),
            dispatcher=dispatcher,
            agents=agents,
            operators=operators,
            resumptions=_resumptions(database, dispatcher, reader, owner),
            after=after,
            mcp=mcp,
            telephone=telephone,
            metrics=metrics,
            health=health,
            spending=_spending(settings, database, metrics, loops),
            limits=vendors.limits,
            loops=loops,
            times=times,
        )
        _stop(telephone, operators.requests, dispatcher)


def _ways_in(
    settings: Settings,
    livekit: "LiveKitClient | None",
    database: Database,
    services: CallServices,
    dispatcher: CallDispatcher,
    loops: ServiceLoops,
    times: ServiceTimes,
) -> "tuple[Telephone | None, MediaSessions]":
    """Where calls come from."""
    telephone = _telephone(settings, livekit, database, services, dispatcher, loops, times)
    return telephone, _sessions(settings, database, services, dispatcher, loops)


def _resumptions(database: Database, dispatcher: CallDispatcher, reader: JournalReader, owner: str) -> Resumptions:
    store, requests = ResumptionStore(database), CallRequestStore(database)
    return Resumptions(store, requests, dispatcher, reader, owner=owner)


def _stop(telephone: "Telephone | None", requests: CallRequests, dispatcher: CallDispatcher) -> None:
    if telephone is not None:
        telephone.stop()
    requests.stop()
    dispatcher.stop()


async def _open_clients(
    settings: Settings, agents: AgentDirectory, metrics: Metrics, stack: AsyncExitStack
) -> tuple[VendorRegistry, "LiveKitClient | None", HttpToolClients, McpTools, TraceExporter | None]:
    """The clients. Those of MCP servers have listed their tools, or failed."""
    vendors = _vendors(settings, metrics)
    livekit = _livekit(settings, metrics)
    exporter = trace_exporter(settings, VERSION)
    tools = HttpToolClients(retry=_retry(settings), observer=metrics.providers, traced=trace_headers(exporter))
    servers = McpServers(version=VERSION, retry=_retry(settings), observer=metrics.providers)
    for close in (vendors.aclose, *([livekit.aclose] if livekit else []), tools.aclose, servers.aclose):
        stack.push_async_callback(close)
    agents.on_changed.add(lambda _agents: servers.list_soon())
    mcp = McpTools(servers, lambda: list(agents.current.by_name.values()))
    await mcp.refresh()
    return vendors, livekit, tools, mcp, exporter


async def _open_storage(
    settings: Settings, metrics: Metrics, stack: AsyncExitStack, owner: str
) -> tuple[Database, JournalReader, JournalWriter, UnsavedEnds, StorageHealth, Recordings]:
    database = await Database.open(settings.database)
    stack.push_async_callback(database.close)
    reader = JournalReader(database)
    stack.push_async_callback(reader.close)
    unsaved = UnsavedEnds(settings.unsaved_dir)
    stack.callback(unsaved.close)
    spool = Spool(settings.data_dir / "spool", owner)
    stack.callback(spool.close)
    journal = JournalWriter(database, on_committed=reader.committed, unsaved=unsaved, spool=spool)
    journal.on_ended.add(reader.on_ended)
    stack.push_async_callback(journal.close)
    folder = DataFolder(settings.data_dir, database_file(settings.database), metrics.process.note)
    stack.callback(folder.close)
    recordings = await stack.enter_async_context(_recordings(settings, owner, metrics))
    return database, reader, journal, unsaved, StorageHealth(database, journal, folder), recordings


def _dispatcher(
    settings: Settings,
    services: CallServices,
    planner: CallPlanner,
    reader: JournalReader,
    loops: ServiceLoops,
    storage: StorageHealth,
    unsaved: UnsavedEnds,
    journal: JournalWriter,
    tools: HttpToolClients,
    stack: AsyncExitStack,
) -> CallDispatcher:
    lock = OwnerLock(settings.data_dir / "owners", services.owner)
    stack.callback(lock.close)
    admission = Admission(
        planner,
        services.calls,
        max_live=settings.places,
        max_day_cost_usd=settings.max_day_cost_usd,
        require_storage=storage.require,
        on_rejected=services.metrics.call_rejected,
    )
    look_up = CallLookups(admission, tools.client).ask
    dispatcher = CallDispatcher(
        services, admission, reader=reader, loops=loops, unsaved=unsaved, look_up=look_up, lock=lock
    )
    journal.on_lost.add(dispatcher.ownership_lost)
    return dispatcher


def _planner(
    make: MakePlanner,
    settings: Settings,
    agents: AgentDirectory,
    vendors: VendorRegistry,
    tools: HttpToolClients,
    do_not_call: DoNotCallList,
    mcp: McpTools,
) -> CallPlanner:
    """Raises SettingsError when the vendors cannot do what an agent needs."""

    def endpoints(of: AgentProfile) -> Mapping[str, ToolEndpoint]:
        return {tool.spec.name: tools.client(tool.endpoint) for tool in of.tools}

    planner = make(
        lambda: agents.current,
        vendors,
        endpoints=endpoints,
        do_not_call=do_not_call.tool_for if settings.dial_prefixes else lambda _number: None,
        mcp_tools=mcp.tools_of,
        transfer_targets=settings.transfer_targets,
        playout_lead_seconds=settings.playout_lead_ms / 1000,
        version=VERSION,
        telephony_usd_per_minute=settings.telephony_usd_per_minute,
    )

    def forget_others(now: AgentSet) -> None:
        agents = now.by_name.values()
        lookups = [agent.lookup.endpoint for agent in agents if agent.lookup is not None]
        tools.keep_only([*lookups, *(tool.endpoint for agent in agents for tool in agent.tools)])

    # The clients, and whether they can do what the agents need, before the first call.
    agents.approve(lambda agent: planner.plan(_TELEPHONE, agent=agent))
    agents.on_changed.add(forget_others)
    return planner


def _retry(settings: Settings) -> RetryPolicy:
    return RetryPolicy(attempts=settings.retry_attempts)


def _vendors(settings: Settings, metrics: Metrics) -> VendorRegistry:
    limiters = Limiters(metrics.providers, workers=settings.workers)
    return VendorRegistry(ClientSetup(settings, _retry(settings), metrics.providers, limiters=limiters))


def _spending(settings: Settings, database: Database, metrics: Metrics, loops: ServiceLoops) -> SpendingWatch:
    def show(today: DaySpending) -> None:
        metrics.service.note_spending(spent_usd=today.spent_usd, reserved_usd=today.reserved_usd)

    watch = SpendingWatch(SpendingStore(database), day_limit=settings.max_day_cost_usd, on_read=show)
    for on_spent in (metrics.providers.on_spent, metrics.analyses.on_spent):
        on_spent.add(watch.note)
    loops.keep("spending", watch.look)
    return watch


async def _alone(settings: Settings) -> str:
    """Prepare the database as a supervisor would, and name this process."""
    await asyncio.to_thread(migrate, settings.database)
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def _sessions(
    settings: Settings, database: Database, services: CallServices, dispatcher: CallDispatcher, loops: ServiceLoops
) -> MediaSessions:
    """The sessions, with which the service calls itself every few minutes if the settings say so."""
    sessions = MediaSessions(SessionStore(database))
    if not settings.synthetic_call_minutes:
        return sessions
    language = "ru" if settings.language.startswith("ru") else "en"
    line = sound(language, CallPolicy().lines[language].idle[0]) or b""
    door = f"ws://{_ANYWHERE.get(settings.host, settings.host)}:{settings.port}/media"

    async def hold(call_id: str, token: str) -> None:
        await call_own_door(f"{door}/{call_id}?token={token}", line)

    calls = SyntheticCalls(
        sessions,
        services.calls,
        minutes=settings.synthetic_call_minutes,
        hold=hold,
        may_call=lambda: dispatcher.admission.takes_calls,
        metrics=services.metrics.synthetic,
    )
    loops.keep("synthetic", calls.look)
    return sessions


@asynccontextmanager
async def _recordings(settings: Settings, owner: str, metrics: Metrics) -> AsyncIterator[Recordings]:
    recordings = Recordings(settings.recordings_dir, owner, on_incomplete=metrics.sound.recording_failed)
    try:
        yield recordings
    finally:
        await asyncio.to_thread(recordings.close, _RECORDINGS_SECONDS)


def _call_services(
    settings: Settings,
    metrics: Metrics,
    database: Database,
    journal: JournalWriter,
    background: ContainedTasks,
    recordings: Recordings,
    owner: str,
) -> CallServices:
    return CallServices(
        phrases=PhraseCache(settings.phrases_dir, on_spent=metrics.providers.phrase_voiced),
        journal=journal,
        calls=CallStore(database),
        background=background,
        metrics=metrics,
        recordings=recordings,
        owner=owner,
    )


def _livekit(settings: Settings, metrics: Metrics) -> "LiveKitClient | None":
    if settings.livekit_url is None:
        return None
    from app.clients.livekit.api import LiveKitClient  # a service without telephone need not load LiveKit's libraries

    return LiveKitClient(
        url=settings.livekit_api_url or settings.livekit_url,
        api_key=settings.livekit_api_key or "",
        api_secret=key_of(settings.livekit_api_secret),
        retry=_retry(settings),
        observer=metrics.providers,
    )


def _telephone(
    settings: Settings,
    livekit: "LiveKitClient | None",
    database: Database,
    services: CallServices,
    dispatcher: CallDispatcher,
    loops: ServiceLoops,
    times: ServiceTimes,
) -> "Telephone | None":
    if livekit is None:
        return None
    from app.wiring_telephone import open_telephone  # as in _livekit

    dispatcher.prepare_phrases(_TELEPHONE)
    return open_telephone(settings, livekit, database, services, dispatcher, loops, times)


def _health(
    storage: StorageHealth,
    vendors: VendorRegistry,
    tools: HttpToolClients,
    mcp: McpTools,
    livekit: "LiveKitClient | None",
    recordings: Recordings,
    loops: ServiceLoops,
    after: AfterCalls,
) -> HealthMonitor:
    async def service() -> ServiceHealth:
        return ServiceHealth("service", "ok")

    def with_loops(part: Part, check: Check) -> Check:
        async def checked() -> ServiceHealth:
            return loops.shown_in(part, await check())

        return checked

    def of_vendor(provider: str) -> Check:
        async def checked() -> ServiceHealth:
            health = await vendors.health_check(provider)
            for part in vendors.kinds(provider):
                health = loops.shown_in(part, health)
            return health

        return checked

    def parts() -> dict[str, Check]:
        return {
            "service": with_loops("service", service),
            "storage": with_loops("storage", storage.check),
            "recordings": recordings.health_check,
            **{provider: of_vendor(provider) for provider in vendors.providers},
            **{f"tool:{name}": partial(tools.health_check, name) for name in tools.names},
            **{f"mcp:{name}": partial(mcp.health_check, name) for name in mcp.servers.names},
            **({"webhooks": after.webhooks.health_check} if after.webhooks.endpoints else {}),
            **({"livekit": with_loops("livekit", livekit.health_check)} if livekit is not None else {}),
        }

    return HealthMonitor(parts, vital=frozenset({"service", "storage"}))


def _show_figures(
    metrics: Metrics,
    database: Database,
    journal: JournalWriter,
    dispatcher: CallDispatcher,
    places: int,
    health: HealthMonitor,
) -> None:
    """Feed the metrics: from callbacks, and from what is read after each health check."""

    def note(status: HealthStatus) -> None:
        metrics.service.note_health(status)
        metrics.service.note_draining(dispatcher.admission.is_draining)
        metrics.service.note_capacity(dispatcher.live_calls, places)
        metrics.service.note_tasks(len(asyncio.all_tasks()))
        metrics.storage.note_journal(
            waiting=journal.waiting_rows, lost=journal.lost_rows, is_failing=journal.is_failing
        )

    metrics.service.started(VERSION, REVISION)
    database.on_written.add(metrics.storage.written)
    journal.on_written.add(metrics.storage.committed)
    health.on_checked.add(note)
