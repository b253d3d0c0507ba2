"""A service inside this process for tests of agents over sound. It keeps nothing, and nobody but the tests calls it."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from app.calls.agent.plan import MakePlanner
from app.cli.serve import DrainingServer, uvicorn_config
from app.errors import SettingsError
from app.main import create_app
from app.settings import Settings

_STARTS_SECONDS = 60.0
_LOOK_SECONDS = 0.02
_PHRASES = "test-phrases"
"""The folder in DATA_DIR with the sound of fixed lines, which costs something."""
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class TrialService:
    """Where it listens."""

    url: str
    api_key: str


class _Server(DrainingServer):
    """Leaves the signals of the process alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def listen_for_reload(self) -> None:
        """There is no agent's file to read anew."""


@asynccontextmanager
async def trial_service(settings: Settings, make_planner: MakePlanner, *, calls: int) -> AsyncIterator[TrialService]:
    """Serve until the context is left, with the vendors of the settings and room for so many calls at once.

    It has its own database and recordings, in a folder that is deleted, answers no telephone, and sends no webhooks.
    Raises SettingsError.
    """
    with TemporaryDirectory(prefix="voice-agent-test-") as folder:
        own = _own_settings(settings, Path(folder), calls)
        listener = socket.create_server((own.host, 0), backlog=_BACKLOG)
        app = create_app(own, make=make_planner)
        server = _Server(uvicorn_config(app, own), app, 0.0)
        serving = asyncio.get_running_loop().create_task(server.serve([listener]), name="trial.service")
        try:
            await _until_started(server, serving)
            key = own.api_key.get_secret_value() if own.api_key is not None else ""
            yield TrialService(f"http://{own.host}:{listener.getsockname()[1]}", key)
        finally:
            server.should_exit = True
            await asyncio.wait([serving])
            listener.close()


def _own_settings(settings: Settings, folder: Path, calls: int) -> Settings:
    (folder / "agents").mkdir()
    phrases = settings.data_dir.absolute() / _PHRASES
    phrases.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "phrases").symlink_to(phrases)
    own = {
        "host": "127.0.0.1", "domain": None, "workers": 1, "api_key": SecretStr(secrets.token_hex(16)),
        "data_dir": folder, "database_url": None, "agents_dir": folder / "agents", "agent_prompt_file": None,
        "livekit_url": None, "webhook_url": None, "synthetic_call_minutes": 0, "analysis": False,
        "max_concurrent_calls": calls, "max_day_cost_usd": None,
    }  # fmt: skip
    return settings.model_copy(update=own)


async def _until_started(server: _Server, serving: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(_STARTS_SECONDS):
        while not server.started:
            if serving.done():
                await serving
                raise SettingsError(["the service for the tests did not start"])
            await asyncio.sleep(_LOOK_SECONDS)
