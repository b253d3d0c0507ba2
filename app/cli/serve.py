"""Runs the service under uvicorn; SIGTERM lets live calls end before anything is closed."""

import asyncio
import gc
import signal
from contextlib import ExitStack
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from app.cli.sandbox_process import sandbox_process
from app.main import create_app
from app.observability.logs import configure_logging
from app.settings import Settings, load_settings
from app.settings_checks import VENDOR_KEYS
from media.stream_protocol import MAX_MESSAGE_BYTES

log = structlog.get_logger(__name__)


class DrainingServer(uvicorn.Server):
    """uvicorn closes every websocket at once when it is told to stop; this one drains the calls first.

    A second signal stops at once.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drain: asyncio.Task[None] | None = None

    async def serve(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]  # sockets are passed on
        """Serve until the calls have ended after a signal."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)  # type: ignore[arg-type]  # as above

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT."""
        if self._drain is not None or self._loop is None or not self.started:
            super().handle_exit(sig, frame)
            return
        self._drain = self._loop.create_task(self._drain_then_stop(), name="drain")

    async def _drain_then_stop(self) -> None:
        try:
            await self._app.state.services.dispatcher.drain(self._drain_seconds)
        finally:
            self.should_exit = True


def uvicorn_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Websocket pings are off: LiveKit's egress answers them wrongly, and the audio itself tells who is alive."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
        server_header=False,
    )


def serve_command() -> None:
    """``voice-agent serve``. Raises SettingsError."""
    settings = load_settings()
    configure_logging(settings.log_level)
    with ExitStack() as stack:
        if not settings.uses_live_vendors:
            addresses = stack.enter_context(sandbox_process(settings.sandbox_profile))
            settings = settings.model_copy(update={**_lower(addresses.settings()), **dict.fromkeys(VENDOR_KEYS)})
            log.warning("service.sandbox", note="no vendor is asked: voices and words are made up on this machine")
        else:
            log.info("service.live", note="calls are heard, thought and spoken by Deepgram, OpenAI and Cartesia")
        app = create_app(settings)
        # A full garbage collection would look at the 200,000 objects of the vendors' libraries, and every call would
        # fall silent for 100 ms; frozen, they are never looked at again.
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        DrainingServer(uvicorn_config(app, settings), app, settings.drain_seconds).run()


def _lower(environment: dict[str, str]) -> dict[str, str]:
    """Environment names as the settings' own."""
    return {name.lower(): value for name, value in environment.items()}
