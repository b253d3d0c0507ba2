"""Checks this machine: data folder, disk, database, clock."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from app.cli.checks.findings import Check, Finding
from app.clients.tls import tls_context
from app.clock import utc_now
from app.errors import StorageError
from app.settings import Settings
from app.storage.database import Database, NotPrepared

_SECONDS = 5.0
_GIB = 2**30
_RECORDING_BYTES_AN_HOUR = 2 * 2 * 16000 * 3600
"""Two channels of 16 bits at the sample rate of telephone calls."""
_COMPRESSED_SHARE = 0.1
_FREE_GIB_WISE, _FREE_GIB_LEAST = 2.0, 0.2
_SKEW_WISE, _SKEW_MOST = 5.0, 60.0
"""In seconds. Beyond the second one, LiveKit's tokens and webhooks are refused."""


def machine_checks(settings: Settings) -> list[Check]:
    """Folder and disk, database, clock."""

    async def folder() -> Sequence[Finding]:
        is_compressed = settings.recording_compression != "none"
        return await asyncio.to_thread(look_at_folder, settings.data_dir, is_compressed=is_compressed)

    async def database() -> Sequence[Finding]:
        return [await open_database(settings.database)]

    async def clock() -> Sequence[Finding]:
        return [await compare_clocks(clocks(settings))]

    return [Check("DATA_DIR", folder), Check("database", database), Check("clock", clock, 3 * _SECONDS + 1)]


def look_at_folder(folder: Path, *, is_compressed: bool = True) -> list[Finding]:
    """Check that the folder can be written, and how much space is left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
    except OSError as error:
        advice = "Give the folder to the user that the service runs as, or set DATA_DIR to another."
        return [Finding("DATA_DIR", "wrong", f"{folder} cannot be written: {error.strerror}", advice)]
    room = judge_room(shutil.disk_usage(folder).free, is_compressed=is_compressed)
    return [Finding("DATA_DIR", "ok", f"{folder} can be written"), room]


def judge_room(free_bytes: int, *, is_compressed: bool = True) -> Finding:
    """How many hours of recordings fit into the free space."""
    free, share = free_bytes / _GIB, _COMPRESSED_SHARE if is_compressed else 1.0
    said = f"{free:.1f} GiB free, about {free_bytes / _RECORDING_BYTES_AN_HOUR / share:.0f} hours of recordings"
    if free < _FREE_GIB_LEAST:
        return Finding("disk", "wrong", said, "Make room: on a full disk no call can be recorded or even kept.")
    if free < _FREE_GIB_WISE:
        return Finding("disk", "warning", said, "Free some space, or turn recordings off: RECORDING=false")
    return Finding("disk", "ok", said)


async def open_database(url: str) -> Finding:
    """Open the database and query it. A database that does not exist yet is fine."""
    scheme, _, path = url.partition(":///")
    if scheme.startswith("sqlite") and not await asyncio.to_thread(Path(path).exists):
        return Finding("database", "ok", "does not exist yet; the first start creates it")
    try:
        opened = await Database.open(url)
        try:
            await opened.ping()
        finally:
            await opened.close()
    except NotPrepared:
        return Finding("database", "ok", "has no tables yet; the first start creates them")
    except StorageError as error:
        advice = "Is it a database of this service, may its user write it, is the disk full?"
        return Finding("database", "wrong", str(error), advice)
    return Finding("database", "ok", "opens and answers")


def clocks(settings: Settings) -> list[str]:
    """Servers that send the time with every response. LiveKit comes first, because its tokens depend on the time."""
    addresses = [settings.livekit_api_url or settings.livekit_url or ""]
    if settings.uses_live_vendors:
        addresses += [settings.deepgram_base_url, settings.openai_base_url]
    return [f"http{address.removeprefix('ws').removeprefix('http')}" for address in addresses if address]


async def compare_clocks(addresses: Sequence[str]) -> Finding:
    """Compare our clock with that of the first server that answers."""
    async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False, verify=tls_context()) as http:
        for address in addresses:
            try:
                date = (await http.head(address)).headers.get("date")
            except httpx.HTTPError:
                continue
            if date:
                return judge_clock(date, utc_now())
    return Finding("clock", "not checked", "no server sent the time")


def judge_clock(date: str, now: datetime) -> Finding:
    """Compare a ``Date`` header, which has whole seconds, with our time."""
    try:
        ahead = (now - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError):
        return Finding("clock", "not checked", "the time that a server sent cannot be read")
    off = max(0.0, abs(ahead) - 1)
    said = f"{off:.0f} seconds {'ahead' if ahead > 0 else 'behind'}" if off >= 1 else "is right"
    if off > _SKEW_MOST:
        return Finding("clock", "wrong", said, "Set it by NTP: LiveKit refuses tokens and its webhooks are refused.")
    return Finding(
        "clock", "warning" if off > _SKEW_WISE else "ok", said, "Set the clock by NTP." if off > _SKEW_WISE else ""
    )
