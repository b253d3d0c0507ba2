"""How the whole is doing, from how its parts are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal

import pytest
from structlog.testing import capture_logs

from app.models import HealthStatus, ServiceHealth
from app.observability.health import Check, HealthMonitor
from app.service_loops import ServiceLoops

VIRTUAL_TIME = True

SUCCEEDED = datetime(2026, 11, 22, tzinfo=UTC)
Status = Literal["ok", "degraded", "failed"]


def component(name: str, status: Status) -> Check:
    async def check() -> ServiceHealth:
        return ServiceHealth(name, status)

    return check


@pytest.mark.parametrize(
    ("storage", "openai", "cartesia", "whole"),
    [
        ("ok", "ok", "ok", "ok"),
        ("ok", "degraded", "ok", "degraded"),
        ("ok", "failed", "ok", "degraded"),
        ("ok", "failed", "failed", "degraded"),
        ("degraded", "ok", "ok", "degraded"),
        ("failed", "ok", "ok", "failed"),
        ("failed", "failed", "failed", "failed"),
    ],
)
async def test_only_a_vital_part_fails_the_whole(
    storage: Status, openai: Status, cartesia: Status, whole: Status
) -> None:
    parts = {"storage": storage, "openai": openai, "cartesia": cartesia}
    monitor = HealthMonitor(
        lambda: {name: component(name, status) for name, status in parts.items()}, vital=frozenset({"storage"})
    )
    health = await monitor.check()
    assert health.status == whole
    assert {part.name: part.status for part in health.components} == parts


async def test_a_service_without_components_is_ok() -> None:
    assert (await HealthMonitor(dict, vital=frozenset()).check()).status == "ok"


async def test_a_component_that_is_added_later_is_asked_too() -> None:
    parts = {"deepgram": component("deepgram", "ok")}
    monitor = HealthMonitor(lambda: parts, vital=frozenset())
    assert [part.name for part in (await monitor.check()).components] == ["deepgram"]

    parts["cartesia"] = component("cartesia", "degraded")
    health = await monitor.check()
    assert (health.status, [part.name for part in health.components]) == ("degraded", ["deepgram", "cartesia"])


async def test_components_of_one_kind_are_shown_separately() -> None:
    monitor = HealthMonitor(
        lambda: {f"tool:{name}": component("tools", "ok") for name in ("a", "b")}, vital=frozenset()
    )
    assert [part.name for part in (await monitor.check()).components] == ["tool:a", "tool:b"]


class Storage:
    """A part that fails on demand, and keeps how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.hangs = False
        self.error: Exception | None = None

    async def check(self) -> ServiceHealth:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return ServiceHealth("storage", "ok", last_success=SUCCEEDED)


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[Storage, HealthMonitor]]:
    """A storage, vital, and the monitor that begins to ask it with the first wait."""
    storage = Storage()
    monitor = HealthMonitor(lambda: {"storage": storage.check}, vital=frozenset({"storage"}))
    async with ServiceLoops() as loops:
        loops.keep("health", monitor.run)
        yield storage, monitor


async def test_the_health_is_unknown_until_the_first_round_is_through() -> None:
    checked = list[HealthStatus]()
    async with watched() as (storage, monitor):
        storage.hangs = True
        monitor.on_checked.add(checked.append)
        await asyncio.sleep(1.9)
        assert monitor.latest is None
        await asyncio.sleep(0.2)
        assert checked == [monitor.latest]
        assert checked[0].components == (ServiceHealth("storage", "failed", detail="no answer within 2 s"),)


@pytest.mark.parametrize("failure", ["hangs", "raises"])
async def test_a_part_that_says_nothing_is_shown_with_its_last_success(failure: str) -> None:
    async with watched() as (storage, monitor):
        await asyncio.sleep(0.5)
        storage.hangs, storage.error = failure == "hangs", ZeroDivisionError() if failure == "raises" else None
        await asyncio.sleep(8)
        assert monitor.latest is not None
        [shown] = monitor.latest.components
        assert (shown.status, shown.last_success) == ("failed", SUCCEEDED)


@pytest.mark.parametrize("failure", ["hangs", "raises"])
async def test_a_part_that_fails_is_noticed_within_three_seconds_and_so_is_its_return(failure: str) -> None:
    async with watched() as (storage, monitor):
        await asyncio.sleep(10.5)
        assert monitor.latest is not None
        assert (monitor.latest.status, storage.asked) == ("ok", 11)
        storage.hangs, storage.error = failure == "hangs", ZeroDivisionError() if failure == "raises" else None
        await asyncio.sleep(3.0)
        assert monitor.latest.status == "failed"
        storage.hangs, storage.error = False, None
        await asyncio.sleep(3.0)
        assert monitor.latest.status == "ok"


async def test_only_what_got_worse_is_a_warning() -> None:
    with capture_logs() as lines:
        async with watched() as (storage, _):
            for error in (None, ZeroDivisionError(), None):
                storage.error = error
                await asyncio.sleep(2.0)
    assert [(line["status"], line["log_level"]) for line in lines] == [("failed", "warning"), ("ok", "info")]
