"""How the whole is doing, from how its parts are."""

from typing import Literal

import pytest

from app.models import ServiceHealth
from app.observability.health import Check, HealthMonitor

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
        {name: component(name, status) for name, status in parts.items()}, vital=frozenset({"storage"})
    )
    health = await monitor.status()
    assert health.status == whole
    assert {part.name: part.status for part in health.components} == parts


async def test_a_service_of_no_parts_is_well() -> None:
    assert (await HealthMonitor({}, vital=frozenset()).status()).status == "ok"
