"""When an agent may place calls: hours of the day in the called number's time zone."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, tzinfo

from app.calls.agent.telephone_numbers import time_zones
from app.errors import OutsideHours

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class CallingHours:
    """From ``start`` to before ``end``, on these days."""

    start: time
    end: time
    days: frozenset[str] = frozenset(DAYS)
    zone: tzinfo | None = None
    """The time zone of the hours; None for that of the called number."""

    def allow(self, now: datetime, zones: Collection[tzinfo]) -> bool:
        """Whether it is within the hours in every one of these zones. A number may be in several."""
        local = [now.astimezone(zone) for zone in ([self.zone] if self.zone is not None else zones)]
        return all(DAYS[at.weekday()] in self.days and self.start <= at.time() < self.end for at in local)

    def __str__(self) -> str:
        days = ", ".join(day for day in DAYS if day in self.days)
        zone = "there" if self.zone is None else f"in {self.zone}"
        return f"{self.start:%H:%M} to {self.end:%H:%M} {zone} ({days})"


def outside_hours(hours: CallingHours | None, number: str, now: datetime) -> OutsideHours | None:
    """Why a number in E.164 may not be called at this time of day; None if it may."""
    if hours is None:
        return None
    zones = time_zones(number)
    if hours.zone is None and not zones:
        return OutsideHours("the time of day at this number is not known; set a timezone in the agent's hours")
    return None if hours.allow(now, zones) else OutsideHours(f"this agent calls from {hours} only")
