"""Decides whether the service takes a new call, and what the call runs with."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import structlog

from app.calls.agent.plan import CallPlan, CallPlanner
from app.calls.agent.profile import AgentProfile
from app.calls.agent.variables import check_variables
from app.clock import utc_now
from app.errors import AdmissionError, AtCapacity, Draining, InvalidRequest, ServicePaused, SpendingLimitReached
from app.models import CallContext, Direction
from app.observability.listeners import Listeners
from app.storage.calls import CallStore
from app.storage.service_orders import ServiceOrders
from app.storage.spending import Reservation
from media.formats import AudioFormat

log = structlog.get_logger(__name__)


class Admission:
    """Every new call passes through here. The limits hold for the calls of all processes on the database."""

    def __init__(
        self,
        planner: CallPlanner,
        calls: CallStore,
        *,
        max_live: int,
        max_day_cost_usd: float | None = None,
        require_storage: Callable[[], None],
        on_rejected: Callable[[str], None],
    ) -> None:
        """``on_rejected`` is called with the code of each refusal."""
        self.planner = planner
        self.max_live = max_live
        self.require_storage = require_storage
        """Raises StorageError while the storage could not keep a new call."""
        self._calls = calls
        self._max_day_cost_usd = max_day_cost_usd
        self.orders = ServiceOrders()
        """What operators have ordered, as this process knows it; the transaction that stores a call knows for sure."""
        self._draining = False
        self._on_rejected = Listeners("call.rejected", on_rejected)

    def __repr__(self) -> str:
        return f"<Admission of {self.max_live}{', draining' if self._draining else ''}>"

    @property
    def is_draining(self) -> bool:
        """Whether new calls are refused because the service is stopping."""
        return self._draining

    @property
    def takes_calls(self) -> bool:
        """Whether it takes calls, as far as this process knows."""
        return not self._draining and self.orders.paused_since is None

    def drain(self) -> None:
        """Take no more calls."""
        self._draining = True

    def check_not_draining(self) -> None:
        """Raises Draining when the service is stopping."""
        if self._draining:
            self.refuse(Draining("the service is stopping and takes no new calls"))

    def check_at_once(self) -> None:
        """Check what is known without the database. Raises Draining, ServicePaused, StorageError."""
        self.check_not_draining()
        self.check_paused()
        self.require_storage()

    def check_paused(self) -> None:
        """Raises ServicePaused when an operator has paused the service."""
        try:
            self.orders.check_new_call()
        except ServicePaused as error:
            self.refuse(error)

    async def check(self) -> None:
        """Check whether a call would be accepted now. Raises as check_at_once, AtCapacity."""
        self.check_at_once()
        if await self._calls.count_live() >= self.max_live:
            self.refuse(AtCapacity("all places for calls are taken"))

    async def check_spending(self, agent: AgentProfile) -> None:
        """Check whether a call of that agent may cost what it may cost. Raises SpendingLimitReached, StorageError.

        Its lookup may give the call to another agent, whose limits then count when the call begins.
        """
        reservation = self.reservation(agent)
        if agent.lookup is not None:
            reservation = replace(reservation, usd=0.0, agent_day_limit=None)
        try:
            await self._calls.check_spending(reservation, utc_now())
        except SpendingLimitReached as error:
            self.refuse(error)

    def reservation(self, agent: AgentProfile) -> Reservation:
        """What a call of that agent reserves."""
        call_usd = agent.policy.max_cost_usd or 0.0
        return Reservation(agent.name, call_usd, self._max_day_cost_usd, agent.max_day_cost_usd)

    def plan(
        self, call: CallContext, audio_format: AudioFormat, direction: Direction, *, listens_only: bool = False
    ) -> CallPlan:
        """The plan of that call. Raises SettingsError when the vendors cannot do what its agent needs."""
        return self.planner.plan(
            audio_format,
            agent=self.agent_of(call, direction),
            call=call,
            direction=direction,
            language_hint=call.metadata.get("language_hint"),
            listens_only=listens_only,
        )

    def agent_of(self, call: CallContext, direction: Direction) -> AgentProfile:
        """The agent that answers: the one that the request names, else the one that claims the called number."""
        called = call.metadata.get("called_number") if direction == "inbound" else None
        agent = self.planner.agents().find(call.agent, called if isinstance(called, str) else None)
        if call.agent is not None and agent.name != call.agent:
            log.warning("agent.gone", call_id=call.call_id, agent=call.agent, instead=agent.name)
        return agent

    def wanted_agent(self, name: str | None, variables: Mapping[str, Any]) -> AgentProfile:
        """The agent that a request names, or the default. Raises InvalidRequest, also for its variables."""
        agents = self.planner.agents()
        if name is not None and name not in agents.by_name:
            raise InvalidRequest(f"agent: is not known; there are {', '.join(sorted(agents.by_name))}")
        agent = agents.find(name, None)
        check_variables(agent.variables, variables)
        return agent

    def refuse(self, error: AdmissionError) -> NoReturn:
        """Count the refusal and raise the error."""
        self._on_rejected(error.code)
        raise error
