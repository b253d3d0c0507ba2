"""Builds what serves operators: their orders, their requests, their keys, their lists."""

from dataclasses import dataclass

from app.calls.dispatch.dispatcher import CallDispatcher
from app.calls.dispatch.operator_requests import CallRequests
from app.calls.dispatch.service_orders import OrdersWatch
from app.calls.live.session import CallServices
from app.calls.telephone.do_not_call import DoNotCallList
from app.clock import utc_now
from app.service_loops import ServiceLoops
from app.storage.api_keys import ApiKeyStore
from app.storage.audit import AuditLog
from app.storage.database import Database
from app.storage.requests import CallRequestStore
from app.storage.service_orders import ServiceOrderStore


@dataclass(frozen=True, slots=True)
class Operators:
    """Who may ask for what, and what they have asked for."""

    orders: OrdersWatch
    requests: CallRequests
    keys: ApiKeyStore
    audit: AuditLog
    do_not_call: DoNotCallList


async def open_operators(
    database: Database,
    services: CallServices,
    dispatcher: CallDispatcher,
    do_not_call: DoNotCallList,
    loops: ServiceLoops,
) -> Operators:
    """What they have ordered is known before the first call comes. Raises StorageError."""
    store, metrics = ServiceOrderStore(database), services.metrics.service
    orders = OrdersWatch(store, services.calls, dispatcher.admission, metrics, started=utc_now())
    await orders.read()
    loops.keep("orders", orders.look)
    requests = CallRequests(CallRequestStore(database), dispatcher, owner=services.owner, loops=loops)
    return Operators(orders, requests, ApiKeyStore(database), AuditLog(database), do_not_call)
