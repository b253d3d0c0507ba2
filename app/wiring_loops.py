"""The loops of a service that work beside its calls, and what counts their failures."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import get_args

from app.backoff import Backoff
from app.calls.agent.directory import AgentDirectory
from app.calls.agent.mcp import McpTools
from app.calls.dispatch.dispatcher import CallDispatcher
from app.calls.dispatch.erasure import CallEraser
from app.calls.dispatch.unplaced import UnplacedCalls
from app.calls.live.session import CallServices
from app.clients.registry import KEEP_WARM_SECONDS, VendorRegistry
from app.contained_tasks import ContainedTasks, TaskKind
from app.observability.health import HealthMonitor
from app.observability.loop_lag import watch_loop_lag
from app.observability.metrics import Metrics
from app.service_loops import LoopName, ServiceLoop, ServiceLoops

_PROBE_SECONDS = 0.5
"""How often to check whether a probe is due."""
_UNUSED_SECONDS = 1.0
"""How often to look for clients that nothing uses any more."""


def watch(
    loops: ServiceLoops, others: Iterable[ServiceLoop], background: ContainedTasks, metrics: Metrics
) -> ServiceLoops:
    """Count the failures of all loops and tasks, including those that end later than these."""
    metrics.service.loops_are((*get_args(LoopName), *get_args(TaskKind)))
    loops.on_failed.add(metrics.service.loop_failed)
    background.on_failed.add(metrics.service.loop_failed)
    for loop in others:
        loops.watch(loop)
    return loops


def run_helpers(
    loops: ServiceLoops,
    services: CallServices,
    agents: AgentDirectory,
    vendors: VendorRegistry,
    mcp: McpTools,
    dispatcher: CallDispatcher,
    eraser: CallEraser,
    health: HealthMonitor,
) -> None:
    """Run the loops that work beside the calls until the shutdown."""
    loops.keep("agents", agents.watch)
    loops.keep("mcp", mcp.watch)
    loops.keep("warm:llm", partial(_keep_warm, vendors.warm_up_llm), part="llm")
    loops.keep("warm:tts", partial(_keep_warm, vendors.warm_up_tts), part="tts")
    loops.keep("probe", partial(_probe, vendors, services.metrics))
    loops.keep("clients", partial(_close_unused, vendors, agents, dispatcher))
    loops.keep("loop.lag", partial(watch_loop_lag, services.metrics.service.loop_was_late))
    loops.keep("eraser", eraser.run)
    loops.keep("unplaced", UnplacedCalls(services.calls, dispatcher, services.owner).look)
    loops.keep("health", health.run, backoff=Backoff(first_seconds=0.5, max_seconds=2.0))  # else it is stale


async def _probe(vendors: VendorRegistry, metrics: Metrics) -> None:
    """One round: ask vendors that are down whether they work again, so that no caller has to try them."""
    for charge in await vendors.probe():
        metrics.providers.spent(charge.provider, charge.cost)
    await asyncio.sleep(_PROBE_SECONDS)


async def _close_unused(vendors: VendorRegistry, agents: AgentDirectory, dispatcher: CallDispatcher) -> None:
    """One round: close the clients of agents that have changed or gone, when their last call has ended."""
    in_use = [client for plan in dispatcher.live_plans for client in plan.clients]
    await vendors.close_unused(agents.current.vendor_options, in_use)
    await asyncio.sleep(_UNUSED_SECONDS)


async def _keep_warm(warm_up: Callable[[], Awaitable[None]]) -> None:
    """One round: keep a connection open, so that no caller waits for one."""
    await warm_up()
    await asyncio.sleep(KEEP_WARM_SECONDS)
