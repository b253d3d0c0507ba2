"""How the service is doing, from what its parts say of themselves; asking costs no request to a vendor.

Task ledger.

``health``  asks every part, again and again. Ends by cancellation.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

import structlog

from app.models import HealthStatus, ServiceHealth
from app.observability.listeners import Listeners

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[ServiceHealth]]

_PERIOD_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
"""A part that does not answer within this time has failed."""
_STALE_SECONDS = 5.0
"""Longer than the longest round with the wait after it."""


class HealthMonitor:
    """Asks every component in the background, so that who asks for the health waits for none of them.

    A failing vendor only degrades: doors stay open for the calls that are alive.
    """

    def __init__(self, checks: dict[str, Check], *, vital: frozenset[str]) -> None:
        """``checks`` by the name that the component is shown with."""
        self._checks = checks
        self._vital = vital
        self.on_checked = Listeners[[HealthStatus]]("health.checked")
        """Told what came of each round."""
        self.latest: HealthStatus | None = None
        """What came of the last round; None before the first is through."""
        self._checked_at = 0.0

    @property
    def age_seconds(self) -> float:
        """How old the latest round is."""
        return asyncio.get_running_loop().time() - self._checked_at

    @property
    def is_stale(self) -> bool:
        """Whether the latest round is so old that it says nothing of the present: the monitor is stuck."""
        return self.latest is not None and self.age_seconds > _STALE_SECONDS

    async def run(self) -> None:
        """A round, to be repeated: ask, then wait a second. What has failed is known within three."""
        status = await self.check()
        before, self.latest = self.latest, status
        self._checked_at = asyncio.get_running_loop().time()
        if before is not None and before.status != status.status:
            _tell(status)
        self.on_checked(status)
        await asyncio.sleep(_PERIOD_SECONDS)

    async def check(self) -> HealthStatus:
        """The whole now: ``failed`` when a vital component has failed, ``degraded`` when anything is not ok."""
        components = tuple(await asyncio.gather(*(self._ask(name) for name in self._checks)))
        worst: Literal["ok", "degraded", "failed"] = "ok"
        for component in components:
            if component.status == "failed" and component.name in self._vital:
                return HealthStatus("failed", components)
            worst = worst if component.status == "ok" else "degraded"
        return HealthStatus(worst, components)

    async def _ask(self, name: str) -> ServiceHealth:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return replace(await self._checks[name](), name=name)
        except TimeoutError:
            return self._failed(name, f"no answer within {_PATIENCE_SECONDS:g} s")
        except Exception as error:  # noqa: BLE001 - a bug in a check must not end the service
            return self._failed(name, type(error).__name__)

    def _failed(self, name: str, detail: str) -> ServiceHealth:
        """It says nothing now; when it last worked it said before."""
        before = self.latest.components if self.latest is not None else ()
        last_success = next((component.last_success for component in before if component.name == name), None)
        return ServiceHealth(name, "failed", last_success=last_success, detail=detail)


def _tell(changed: HealthStatus) -> None:
    bad = {part.name: part.detail for part in changed.components if part.status != "ok"}
    if bad:
        log.warning("health.changed", status=changed.status, components=bad)
    else:
        log.info("health.changed", status=changed.status)
