"""The whole service as ``voice-agent serve`` runs it, on a free port of this machine, and a sandbox beside it."""

import asyncio
import gc
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI

from app.cli.serve import DrainingServer, uvicorn_config
from app.clients.tls import tls_context
from app.main import create_app
from app.settings import Settings
from app.times import STANDARD_TIMES, ServiceTimes
from app.wiring import Services
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.faults import Fault
from tests.support.databases import databases, url_of
from tests.support.leaping_time import LeapingTimeLoop
from tests.support.ready_server import ReadyServer
from tests.support.steady_time import SteadyTimeLoop

API_KEY = "key-of-the-tests"

_WAITS_SECONDS = 200

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RunningService:
    """Where the service listens, and what is behind it."""

    url: str
    settings: Settings
    app: FastAPI
    server: DrainingServer
    sandbox: RunningSandbox
    loop: asyncio.AbstractEventLoop

    @property
    def services(self) -> Services:
        """The objects of the running application."""
        services: Services = self.app.state.services
        return services

    @property
    def media_url(self) -> str:
        """The beginning of every media address."""
        return self.url.replace("http:", "ws:") + "/media"

    def client(self, api_key: str | None = API_KEY) -> httpx.Client:
        """For tests that are not coroutines."""
        return httpx.Client(**self._options(api_key))

    def async_client(self, api_key: str | None = API_KEY) -> httpx.AsyncClient:
        """For tests on an event loop."""
        return httpx.AsyncClient(**self._options(api_key))

    def _options(self, api_key: str | None) -> dict[str, Any]:
        headers = _authorization(api_key)
        if isinstance(self.loop, LeapingTimeLoop):
            headers["Connection"] = "close"  # a kept one may be closed as it is used: the client's clock does not leap
        return {
            "base_url": self.url,
            "headers": headers,
            "trust_env": False,
            "verify": tls_context(),
        }

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do it on the service's own event loop, from another thread; a leaping clock moves meanwhile only."""
        with _moving(self.loop):
            return asyncio.run_coroutine_threadsafe(work, self.loop).result(_WAITS_SECONDS)


def settings_for(data_dir: Path, sandbox: RunningSandbox | None = None, **overrides: Any) -> Settings:
    """Settings of a service that asks the sandbox as if it were the vendors."""
    vendors = {} if sandbox is None else {name: url for name, url in sandbox.addresses().items() if name != "url"}
    keys = dict.fromkeys(("deepgram_api_key", "openai_api_key", "cartesia_api_key"), "sandbox")
    values = {
        "providers": "live",
        "host": "127.0.0.1",
        "port": 0,
        "language": "ru",
        "data_dir": data_dir,
        "database_url": url_of(data_dir / "calls.db") if databases.are_on_postgres else None,
        "api_key": API_KEY,
        "tts_speed": 1.5,
        **keys,
        **vendors,
        **overrides,
    }
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]  # pydantic-settings takes it, its stub does not


@asynccontextmanager
async def running_service(
    data_dir: Path,
    *,
    profile: str = "instant",
    times: ServiceTimes = STANDARD_TIMES,
    faults: Iterable[Fault] = (),
    **overrides: Any,
) -> AsyncIterator[RunningService]:
    """Serve until the context is left; ``overrides`` are settings by their names in the code.

    ``faults`` strike from the first second, when the service has not started yet. A setting may be a function of the
    sandbox, for an address of it.

    The sandbox has a thread of its own, so that its work is no delay of the service; in leaping time, where work
    takes no time, both share the loop.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_as_alone())
        if isinstance(asyncio.get_running_loop(), LeapingTimeLoop):
            sandbox = await stack.enter_async_context(running_sandbox(profile=profile))
        else:
            sandbox = stack.enter_context(in_thread("sandbox", lambda: running_sandbox(profile=profile)))
        for fault in faults:
            sandbox.stage.faults.add(fault)
        yield await stack.enter_async_context(service_beside(sandbox, data_dir, times=times, **overrides))


@asynccontextmanager
async def service_beside(
    sandbox: RunningSandbox, data_dir: Path, *, times: ServiceTimes = STANDARD_TIMES, **overrides: Any
) -> AsyncIterator[RunningService]:
    """As :func:`running_service`, with a sandbox that runs already."""
    values = {name: value(sandbox) if callable(value) else value for name, value in overrides.items()}
    settings = settings_for(data_dir, sandbox, **values)
    app = create_app(settings, times=times)
    server = _Server(uvicorn_config(app, settings), app, settings.drain_seconds)
    listener = socket.create_server(("127.0.0.1", settings.port), backlog=512)
    loop = asyncio.get_running_loop()
    serving = loop.create_task(server.serve([listener]), name="service")
    waiting = loop.create_task(server.ready.wait(), name="service.ready")
    try:
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            raise RuntimeError("the service did not start") from serving.exception()
        while app.state.services.health.latest is None:
            await asyncio.sleep(0.001)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield RunningService(url, settings, app, server, sandbox, loop)
    finally:
        waiting.cancel()
        server.should_exit = True
        await asyncio.wait([serving, waiting])


@contextmanager
def service_in_thread(data_dir: Path, *, leaping: bool = False, **options: Any) -> Iterator[RunningService]:
    """As :func:`running_service`, on an event loop in a thread of its own, so that many tests can share it."""
    loops = LeapingTimeLoop if leaping else SteadyTimeLoop
    with in_thread("service", lambda: running_service(data_dir, **options), loops) as service:
        yield service


@contextmanager
def in_thread(
    name: str,
    make: Callable[[], AbstractAsyncContextManager[_T]],
    loops: type[asyncio.AbstractEventLoop] = SteadyTimeLoop,
) -> Iterator[_T]:
    """Enter and leave the context on an event loop of its own, which must not be left with a task."""
    entered: Future[tuple[_T, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def stay() -> None:
        async with make() as value:
            leave = asyncio.Event()
            entered.set_result((value, asyncio.get_running_loop(), leave))
            await leave.wait()
        left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, f"tasks left behind: {left}"

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=loops) as runner:
                runner.run(stay())
        except BaseException as error:
            if entered.done():
                raise
            entered.set_exception(error)

    thread = threading.Thread(target=run, name=name)
    thread.start()
    try:
        value, loop, leave = entered.result(_WAITS_SECONDS)
        _let_move(loop, False)
        try:
            yield value
        finally:
            _let_move(loop, True)
            loop.call_soon_threadsafe(leave.set)
    finally:
        thread.join(_WAITS_SECONDS)
        assert not thread.is_alive(), f"{name} did not stop"


@contextmanager
def _moving(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    _let_move(loop, True)
    try:
        yield
    finally:
        _let_move(loop, False)


def _let_move(loop: asyncio.AbstractEventLoop, moves: bool) -> None:
    """Between what the tests ask for, a leaping clock would run away over all that the service does by the hour."""
    if isinstance(loop, LeapingTimeLoop):
        loop.stands_still = not moves


@contextmanager
def _as_alone() -> Iterator[None]:
    """As in a process of its own: what the tests left is not searched for garbage, which stops everything for 200 ms,
    and a thread, such as the driver of the database, does not wait 5 ms for that of the sandbox."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(usual)


class _Server(ReadyServer, DrainingServer):
    """The server of the command."""


def _authorization(api_key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}
