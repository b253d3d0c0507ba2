"""The health of the service, from what its components report; a check makes no request to a vendor.

Task ledger.

``health``  asks every component, again and again. Ends by cancellation.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Literal

import structlog

from app.models import HealthStatus, ServiceHealth
from app.observability.listeners import Listeners

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[ServiceHealth]]

_PERIOD_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
"""A component that does not answer within this time has failed."""
_STALE_SECONDS = 5.0
"""Longer than the longest round and the wait after it."""


class HealthMonitor:
    """Asks every component in the background, so that a request for the health waits for none of them.

    A failing vendor only degrades the service: it stays up for the calls that are live.
    """

    def __init__(self, checks: Callable[[], Mapping[str, Check]], *, vital: frozenset[str]) -> None:
        """``checks`` returns the check of each component by its displayed name; it is called in each round."""
        self._checks = checks
        self._vital = vital
        self.on_checked = Listeners[[HealthStatus]]("health.checked")
        """Called with the result of each round."""
        self.latest: HealthStatus | None = None
        """The result of the last round; None before the first is complete."""
        self._checked_at = 0.0

    @property
    def age_seconds(self) -> float:
        """How many seconds ago the latest round was complete."""
        return asyncio.get_running_loop().time() - self._checked_at

    @property
    def is_stale(self) -> bool:
        """Whether the latest round is too old to mean anything: the monitor is stuck."""
        return self.latest is not None and self.age_seconds > _STALE_SECONDS

    async def run(self) -> None:
        """One round of the loop: check, then wait a second. A failure is known within three seconds."""
        status = await self.check()
        before, self.latest = self.latest, status
        self._checked_at = asyncio.get_running_loop().time()
        if before is not None and before.status != status.status:
            _tell(status)
        self.on_checked(status)
        await asyncio.sleep(_PERIOD_SECONDS)

    async def check(self) -> HealthStatus:
        """Check everything: ``failed`` when a vital component has failed, ``degraded`` when any is not ok."""
        checks = self._checks()
        components = tuple(await asyncio.gather(*(self._ask(name, check) for name, check in checks.items())))
        worst: Literal["ok", "degraded", "failed"] = "ok"
        for component in components:
            if component.status == "failed" and component.name in self._vital:
                return HealthStatus("failed", components)
            worst = worst if component.status == "ok" else "degraded"
        return HealthStatus(worst, components)

    async def _ask(self, name: str, check: Check) -> ServiceHealth:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return replace(await check(), name=name)
        except TimeoutError:
            return self._failed(name, f"no answer within {_PATIENCE_SECONDS:g} s")
        except Exception as error:  # noqa: BLE001 - a bug in a check must not end the service
            return self._failed(name, type(error).__name__)

    def _failed(self, name: str, detail: str) -> ServiceHealth:
        """The health of a component that gives none now; its last success is taken from earlier rounds."""
        before = self.latest.components if self.latest is not None else ()
        last_success = next((component.last_success for component in before if component.name == name), None)
        return ServiceHealth(name, "failed", last_success=last_success, detail=detail)


def _tell(changed: HealthStatus) -> None:
    bad = {part.name: part.detail for part in changed.components if part.status != "ok"}
    if bad:
        log.warning("health.changed", status=changed.status, components=bad)
    else:
        log.info("health.changed", status=changed.status)
