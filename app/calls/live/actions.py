"""What the agent does in a call besides talking: it transfers the caller to a human, and presses keys.

The core decides when.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from app.calls.agent.tools import built_in_tools
from app.contained_tasks import ContainedTasks
from app.conversation import events as ev
from app.errors import NotATelephone, TransferFailed, TransferNotAllowed
from app.ports.services import CallLeg, Telephony, TransferMethod
from app.ports.streams import ToolSpec
from app.storage.calls import CallRow

log = structlog.get_logger(__name__)


def address_of(to: str, targets: Mapping[str, str]) -> str:
    """The address of a transfer target, given by its name or address. Raises TransferNotAllowed for anything else."""
    address = targets.get(to, to)
    if address not in targets.values():
        raise TransferNotAllowed("not one of TRANSFER_TARGETS, neither a name nor an address")
    return address


def check_transfer(call: CallRow, to: str, targets: Mapping[str, str]) -> None:
    """Check that a transfer may be requested. Raises TransferNotAllowed or NotATelephone."""
    address_of(to, targets)
    if call.kind != "room":
        raise NotATelephone("the caller did not come by telephone and cannot be transferred")


class CallActions:
    """The actions of one call. None waits. The task ``<call>:transfer`` ends with its outcome, or is cancelled."""

    def __init__(
        self,
        *,
        call_id: str,
        leg: CallLeg,
        telephony: Telephony | None,
        targets: Mapping[str, str],
        background: ContainedTasks,
        start_recording: Callable[[], None],
        commit: Callable[[], Awaitable[object]],
        emit: Callable[[ev.Event], None],
        fail: Callable[[Exception], None],
    ) -> None:
        """``targets`` are the addresses of the transfer targets, by name.

        ``commit`` commits the rows so far before the service dials anybody, or gives up after a short time. ``fail``
        ends the call because of a bug.
        """
        self._call_id = call_id
        self._leg = leg
        self._telephony = telephony
        self._targets = targets
        self._background = background
        self.start_recording = start_recording
        """Records the call from now on."""
        self._commit = commit
        self._emit = emit
        self._fail = fail
        self._transfer: asyncio.Task[None] | None = None

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The built-in tools that work in this call."""
        humans = self._targets if self._telephony is not None else ()
        return built_in_tools(humans, presses_keys=self._leg.can_send_digits)

    def transfer(self, to: str) -> None:
        """Transfer the caller to a name or an address on the list. The outcome comes as an event."""
        name = f"{self._call_id}:transfer"
        self._transfer = self._background.start(self._run_transfer(to), name=name, kind="transfer", on_error=self._fail)

    def await_transfer(self) -> None:
        """Wait for the human whom a process that has died was calling into the room. The outcome comes as an event."""
        name = f"{self._call_id}:transfer"
        self._transfer = self._background.start(self._follow_dial(), name=name, kind="transfer", on_error=self._fail)

    def cancel_transfer(self) -> None:
        """Cancel the transfer. Background work stops a telephone that rings."""
        if self._transfer is not None:
            self._transfer.cancel()

    def send_digits(self, digits: str) -> None:
        """Press keys, if the line takes them."""
        if self._leg.can_send_digits:
            self._leg.send_digits(digits)
        else:
            log.warning("call.keys_not_pressed", call_id=self._call_id, keys=len(digits))

    async def _run_transfer(self, to: str) -> None:
        await self._commit()
        try:
            self._emit(ev.TransferCompleted(await self._try_transfer(to)))
        except TransferFailed as error:
            log.warning("call.not_handed_over", call_id=self._call_id, reason=error.reason)
            self._emit(ev.TransferFailed(error.reason))

    async def _follow_dial(self) -> None:
        try:
            if self._telephony is None:
                raise TransferFailed("not_a_telephone")
            await self._telephony.follow_dial()
        except TransferFailed as error:
            self._emit(ev.TransferFailed(error.reason))
        else:
            self._emit(ev.TransferCompleted("dialled"))

    async def _try_transfer(self, to: str) -> TransferMethod:
        if self._telephony is None:
            raise TransferFailed("not_a_telephone")
        try:
            address = address_of(to, self._targets)
        except TransferNotAllowed as error:
            raise TransferFailed("refused") from error
        return await self._telephony.transfer(address, lambda: self._emit(ev.TransferDialled()))
