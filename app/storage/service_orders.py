"""What operators have ordered the whole service: to take no calls, to end, to place none. A restart undoes nothing."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal

from sqlalchemy import Connection, insert, select, update

from app.clock import iso_utc
from app.errors import OutboundStopped, ServicePaused
from app.storage.database import Database
from app.storage.dialects.statements import Lock, hold
from app.storage.ringing import hang_up_what_rings
from app.storage.schema import service_orders

Order = Literal["pause", "resume", "drain", "stop-outbound"]
_THE_ROW: Final = 1


@dataclass(frozen=True, slots=True)
class ServiceOrders:
    """What holds now. Times are ISO UTC; None: it does not hold."""

    paused_since: str | None = None
    """No new calls."""
    draining_since: str | None = None
    """Processes that were running then end when no call is live."""
    outbound_stopped_since: str | None = None
    """No outbound call is placed, or kept ringing."""
    ordered_by: str | None = None
    """The name of the key that gave the last order."""

    def is_to_end(self, started: datetime) -> bool:
        """Whether a process that started then ends when no call is live: not by an order that is older."""
        return self.draining_since is not None and self.draining_since >= iso_utc(started)

    def check_new_call(self) -> None:
        """Raises ServicePaused."""
        if self.paused_since is not None:
            raise ServicePaused("an operator has paused the service: it takes no new calls")

    def check_outbound(self) -> None:
        """Raises ServicePaused, OutboundStopped."""
        self.check_new_call()
        if self.outbound_stopped_since is not None:
            raise OutboundStopped("an operator has stopped outbound calls")


class ServiceOrderStore:
    """The orders. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self) -> ServiceOrders:
        """What holds now."""
        return await self._database.read(orders_now)

    async def give(self, order: Order, by: str, now: datetime) -> ServiceOrders:
        """Carry out an order, in the same transaction for all processes; returns what holds then.

        ``resume`` undoes all others. A thing that holds already keeps its time. ``stop-outbound`` asks for the end of
        every call that has been placed and not answered; the calls' owners take these requests like any other hang-up.
        """
        return await self._database.write(partial(_give, order, by, iso_utc(now)))


def orders_now(connection: Connection) -> ServiceOrders:
    """What holds now, as part of a larger transaction."""
    row = connection.execute(select(service_orders).where(service_orders.c.order_id == _THE_ROW)).one_or_none()
    if row is None:
        return ServiceOrders()
    return ServiceOrders(row.paused_since, row.draining_since, row.outbound_stopped_since, row.ordered_by)


def _give(order: Order, by: str, now: str, connection: Connection) -> ServiceOrders:
    hold(connection, Lock.ADMISSION)  # a call that is just being placed is placed before or not at all
    before = orders_now(connection)
    paused, draining, stopped = before.paused_since, before.draining_since, before.outbound_stopped_since
    match order:
        case "pause":
            paused = paused or now
        case "drain":
            paused, draining = paused or now, now
        case "stop-outbound":
            stopped = stopped or now
        case "resume":
            paused = draining = stopped = None
    orders = ServiceOrders(paused, draining, stopped, by)
    _keep(orders, connection)
    if order == "stop-outbound":
        hang_up_what_rings(now, connection)
    return orders


def _keep(orders: ServiceOrders, connection: Connection) -> None:
    values: dict[str, Any] = {
        "paused_since": orders.paused_since,
        "draining_since": orders.draining_since,
        "outbound_stopped_since": orders.outbound_stopped_since,
        "ordered_by": orders.ordered_by,
    }
    kept = update(service_orders).where(service_orders.c.order_id == _THE_ROW).values(**values)
    if not connection.execute(kept).rowcount:
        connection.execute(insert(service_orders), {"order_id": _THE_ROW, **values})
