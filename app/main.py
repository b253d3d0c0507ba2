"""The ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.exceptions import HTTPException

from app.calls.agent.plan import CallPlanner, MakePlanner
from app.errors import VoiceAgentError
from app.observability.metrics import Metrics
from app.settings import Settings
from app.start_checks import check_settings
from app.times import STANDARD_TIMES, ServiceTimes
from app.wiring import VERSION, open_services
from media.dialects.refusals import RefusalLog
from routers import (
    agents,
    call_files,
    calls,
    dashboard,
    deliveries,
    do_not_call,
    docs,
    health,
    listening,
    live_calls,
    media,
    service,
    session,
    simulated_calls,
    stats,
    webhooks,
)
from routers import metrics as figures
from routers.attempts import FailedAttempts
from routers.body_limit import BodyLimit
from routers.description import describe, operation_id
from routers.listening import Listeners
from routers.live_calls import LiveBoard
from routers.pacing import OneAtATime
from routers.problems import handle_error, handle_http, handle_validation
from routers.request_ids import RequestIds
from routers.safe_headers import SafeHeaders
from routers.server_sent import EventStreams
from routers.unstarted import Unstarted
from routers.views import reported_call

_OF_CALLS = (live_calls, simulated_calls, calls, call_files, listening)  # in this order: "live" is no call's id
_ROUTES = (
    agents, *_OF_CALLS, stats, do_not_call, media, deliveries, service, webhooks, health, figures, session, dashboard,
)  # fmt: skip


def create_app(
    settings: Settings, owner: str | None = None, times: ServiceTimes = STANDARD_TIMES, make: MakePlanner = CallPlanner
) -> FastAPI:
    """Build the application. Its services live from startup to shutdown. Raises SettingsError.

    ``owner`` is the name that the supervisor gave this worker, None for a single process; ``make`` makes the planner.
    """
    if owner is None:  # else the supervisor has checked them; a file that is wrong now must not keep a worker away
        check_settings(settings)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        show_call = partial(reported_call, settings.recordings_dir)
        async with open_services(settings, metrics, show_call, owner, times, make) as services:
            app.state.services = services
            yield

    is_described = settings.environment == "development"
    app = FastAPI(
        title="Voice agent",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own page loads its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy the redirect would go to http and expose the key
        openapi_url="/openapi.json" if is_described else None,
        generate_unique_id_function=operation_id,
    )
    for error, handler in (
        (VoiceAgentError, handle_error),
        (HTTPException, handle_http),
        (RequestValidationError, handle_validation),
        (Exception, handle_error),
    ):
        app.add_exception_handler(error, handler)
    app.state.failed_attempts = FailedAttempts()
    app.state.unstarted = Unstarted()
    app.state.event_streams, app.state.listeners = EventStreams(), Listeners()
    app.state.live_board = LiveBoard()
    app.state.exposition = OneAtATime(partial(asyncio.to_thread, metrics.exposition))
    app.state.refusals = RefusalLog()
    _instrument(app, metrics)
    for module in _ROUTES:
        app.include_router(module.router)
    if is_described:
        app.include_router(docs.router)
    app.mount("/static", dashboard.Static())
    describe(app)
    return app


def _instrument(app: FastAPI, metrics: Metrics) -> None:
    Instrumentator(registry=metrics.registry).instrument(app)
    app.add_middleware(BodyLimit)  # outside the metrics: a claimed length is not a measured one
    app.add_middleware(SafeHeaders)
    app.add_middleware(RequestIds)
