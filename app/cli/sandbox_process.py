"""Runs the sandbox as a child process. It shares nothing with the service but the network."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import structlog

from app.settings import Settings, environment_without_settings
from app.settings_checks import VENDOR_KEYS
from sandbox.child_server import stop_child

log = structlog.get_logger(__name__)

Profile = Literal["instant", "typical", "slow"]
_STOP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class SandboxAddresses:
    """The addresses of the stand-ins."""

    url: str
    deepgram_base_url: str
    openai_base_url: str
    cartesia_base_url: str

    def settings(self) -> dict[str, str]:
        """The settings that point a service at them, by environment name."""
        return {
            "DEEPGRAM_BASE_URL": self.deepgram_base_url,
            "OPENAI_BASE_URL": self.openai_base_url,
            "CARTESIA_BASE_URL": self.cartesia_base_url,
        }


@contextmanager
def sandbox_process(profile: Profile, *, port: int = 0) -> Iterator[SandboxAddresses]:
    """Run the sandbox beside this process. It also ends when this process dies."""
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--profile", profile, "--with-parent"]
    child = subprocess.Popen(  # noqa: S603 - ours
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment_without_settings()
    )
    try:
        first_line = child.stdout.readline() if child.stdout else ""
        if not first_line:
            raise RuntimeError("the sandbox did not start; what it said is above")
        yield SandboxAddresses(**json.loads(first_line))
    finally:
        stop_child(child, _STOP_SECONDS)
        for stream in (child.stdin, child.stdout):
            if stream:
                stream.close()


@contextmanager
def vendors(settings: Settings) -> Iterator[Settings]:
    """The settings with the vendors' addresses: the real ones, or those of a sandbox that runs meanwhile."""
    with vendors_or_sandbox(settings) as (reachable, _):
        yield reachable


@contextmanager
def vendors_or_sandbox(settings: Settings) -> Iterator[tuple[Settings, SandboxAddresses | None]]:
    """As :func:`vendors`, with the addresses of the sandbox, if there is one."""
    if settings.uses_live_vendors:
        log.info("service.live", note="calls are heard, thought and spoken by Deepgram, OpenAI and Cartesia")
        yield settings, None
        return
    with sandbox_process(settings.sandbox_profile) as sandbox:
        log.warning(
            "service.sandbox",
            note="no vendor is asked: voices and words are made up on this machine",
            faults=f"{sandbox.url}/control/faults takes what shall go wrong: docs/faults.md",
        )
        addresses = {name.lower(): url for name, url in sandbox.settings().items()}
        yield settings.model_copy(update={**addresses, **dict.fromkeys(VENDOR_KEYS)}), sandbox


def print_sandbox(port: int, profile: Profile) -> int:
    """Run the sandbox until Ctrl-C, and print the settings for it."""
    with sandbox_process(profile, port=port) as addresses:
        keys = ("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY")
        values = {**addresses.settings(), **dict.fromkeys(keys, "sandbox")}
        sys.stdout.write("# Settings for a service that uses this sandbox:\n")
        sys.stdout.writelines(f"{name}={value}\n" for name, value in values.items())
        sys.stdout.write(f"# Scripts, faults and timings: {addresses.url}/control\n")
        sys.stdout.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0
