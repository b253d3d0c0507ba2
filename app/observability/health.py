"""How the service is doing, from what its parts say of themselves; asking costs no request to a vendor."""

from collections.abc import Awaitable, Callable
from typing import Literal

from app.models import HealthStatus, ServiceHealth

Check = Callable[[], Awaitable[ServiceHealth]]


class HealthMonitor:
    """Asks every component. A failing vendor only degrades: doors stay open for the calls that are alive."""

    def __init__(self, checks: dict[str, Check], *, vital: frozenset[str]) -> None:
        self._checks = checks
        self._vital = vital

    async def status(self) -> HealthStatus:
        """The whole: ``failed`` when a vital component has failed, ``degraded`` when anything is not ok."""
        components = tuple([await check() for check in self._checks.values()])
        worst: Literal["ok", "degraded", "failed"] = "ok"
        for component in components:
            if component.status == "failed" and component.name in self._vital:
                return HealthStatus("failed", components)
            worst = worst if component.status == "ok" else "degraded"
        return HealthStatus(worst, components)
