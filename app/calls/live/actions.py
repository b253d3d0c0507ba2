"""What the agent does in a call besides talking: it hands the caller over to a human, and presses keys.

When it is done is the core's to decide.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from app.calls.agent.tools import built_in_tools
from app.calls.live.background import BackgroundWork
from app.conversation import events as ev
from app.errors import NotATelephone, TransferFailed, TransferNotAllowed
from app.ports.services import CallLeg, Handover, Telephony
from app.ports.streams import ToolSpec
from app.storage.calls import CallRow

log = structlog.get_logger(__name__)


def address_of(to: str, targets: Mapping[str, str]) -> str:
    """Where a name, or an address, of the list is called. Raises TransferNotAllowed for anything else."""
    address = targets.get(to, to)
    if address not in targets.values():
        raise TransferNotAllowed("not one of TRANSFER_TARGETS, neither a name nor an address")
    return address


def check_transfer(call: CallRow, to: str, targets: Mapping[str, str]) -> None:
    """Whether a transfer may be asked for. Raises TransferNotAllowed, NotATelephone."""
    address_of(to, targets)
    if call.kind != "room":
        raise NotATelephone("the caller did not come by telephone, and cannot be handed over")


class CallActions:
    """The acts of one call; none waits. The task ``<call>:transfer`` ends with the outcome, or is cancelled."""

    def __init__(
        self,
        *,
        call_id: str,
        leg: CallLeg,
        telephony: Telephony | None,
        targets: Mapping[str, str],
        background: BackgroundWork,
        commit: Callable[[], Awaitable[None]],
        emit: Callable[[ev.Event], None],
        fail: Callable[[Exception], None],
    ) -> None:
        """``targets`` are the addresses of those who may take callers over, by their names.

        ``commit`` keeps the rows so far safe, or as safe as can be had in time, before anybody is called. ``fail``
        ends the call for a bug.
        """
        self._call_id = call_id
        self._leg = leg
        self._telephony = telephony
        self._targets = targets
        self._background = background
        self._commit = commit
        self._emit = emit
        self._fail = fail
        self._transfer: asyncio.Task[None] | None = None

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The built-in ones that work in this call."""
        humans = self._targets if self._telephony is not None else ()
        return built_in_tools(humans, presses_keys=self._leg.can_send_digits)

    def transfer(self, to: str) -> None:
        """Hand the caller over to a name or an address on the list; the outcome is told as a fact."""
        name = f"{self._call_id}:transfer"
        self._transfer = self._background.start(self._hand_over(to), name=name, on_bug=self._fail)

    def cancel_transfer(self) -> None:
        """Call it off; whoever rings is called off beside the call."""
        if self._transfer is not None:
            self._transfer.cancel()

    def send_digits(self, digits: str) -> None:
        """Press keys, where there is a line for it."""
        if self._leg.can_send_digits:
            self._leg.send_digits(digits)
        else:
            log.warning("call.keys_not_pressed", call_id=self._call_id, keys=len(digits))

    async def _hand_over(self, to: str) -> None:
        await self._commit()
        try:
            self._emit(ev.TransferCompleted(await self._handed_over(to)))
        except TransferFailed as error:
            log.warning("call.not_handed_over", call_id=self._call_id, reason=error.reason)
            self._emit(ev.TransferFailed(error.reason))

    async def _handed_over(self, to: str) -> Handover:
        if self._telephony is None:
            raise TransferFailed("not_a_telephone")
        try:
            address = address_of(to, self._targets)
        except TransferNotAllowed as error:
            raise TransferFailed("refused") from error
        return await self._telephony.transfer(address, lambda: self._emit(ev.TransferDialled()))
