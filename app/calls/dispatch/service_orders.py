"""Carries out in this process what operators have ordered the whole service to do.

Task ledger.

``orders``  reads what holds, four times a second. Ends by cancellation.
"""

import asyncio
from datetime import datetime

from app.calls.dispatch.admission import Admission
from app.clock import utc_now
from app.observability.service_metrics import ServiceMetrics
from app.storage.calls import CallStore
from app.storage.service_orders import Order, ServiceOrders, ServiceOrderStore

_LOOK_SECONDS = 0.25


class OrdersWatch:
    """What holds for this process. Every method may raise StorageError."""

    def __init__(
        self,
        store: ServiceOrderStore,
        calls: CallStore,
        admission: Admission,
        metrics: ServiceMetrics,
        *,
        started: datetime,
    ) -> None:
        """``started`` is when this process started: it ends by no order that is older."""
        self._store = store
        self._calls = calls
        self._admission = admission
        self._metrics = metrics
        self._started = started
        self.is_to_end = False
        """Whether an operator has drained the service, and no call of any process is live any more."""

    @property
    def current(self) -> ServiceOrders:
        """What holds, as of the last look."""
        return self._admission.orders

    async def give(self, order: Order, by: str) -> ServiceOrders:
        """Order the whole service; other processes follow within 0.25 s, and take no new call from now on."""
        orders = await self._store.give(order, by, utc_now())
        self._take(orders)
        return orders

    async def look(self) -> None:
        """One round: read what holds, and wait."""
        await self.read()
        await asyncio.sleep(_LOOK_SECONDS)

    async def read(self) -> None:
        """Read what holds."""
        self._take(await self._store.current())
        self.is_to_end = self.current.is_to_end(self._started) and not await self._calls.count_live()

    def _take(self, orders: ServiceOrders) -> None:
        self._admission.orders = orders
        self._metrics.note_orders(
            is_paused=orders.paused_since is not None, is_outbound_stopped=orders.outbound_stopped_since is not None
        )
