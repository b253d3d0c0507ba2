"""Transfers to a human, from the request to the outcome."""

from app.conversation import events as ev
from app.conversation.commands import CancelTransfer
from app.conversation.deadlines import Deadline
from app.conversation.phases import CallPhase
from app.conversation.state import CallState
from app.conversation.turns import UtteranceKind
from app.conversation.unserved import after_transfer, give_up

_OUTCOME_SECONDS = 2.0
"""How long after the caller has left the outcome of a transfer by REFER may still arrive."""


class Transfers:
    """Handles transfers. Once one runs, only its outcome, its deadline or the end of the call ends it."""

    def __init__(self, state_of_call: CallState) -> None:
        self._call = state_of_call
        self._left: str | None = None
        """The end reason of a caller who left during the transfer."""

    def requested(self, event: ev.TransferRequested) -> None:
        """An operator wants a transfer: announce it after the current utterance."""
        call = self._call
        call.transfer_request = event.to
        if call.phase is CallPhase.TALKING:
            call.transfer_on_request()

    def dialled(self, _event: ev.TransferDialled) -> None:
        """A caller who leaves from now on has hung up, and so has one who has left already."""
        if not self._call.transfer_runs:
            return
        self._call.human_is_dialled = True
        if self._left is not None:
            self._call.end(self._left)

    def completed(self, _event: ev.TransferCompleted) -> None:
        """The caller is with the human, even if the core no longer waited for that."""
        self._call.end("transferred")

    def failed(self, event: ev.TransferFailed) -> None:
        """Tell the caller, and go on with the conversation."""
        call = self._call
        if not call.transfer_runs:
            return
        call.deadlines.clear(Deadline.TRANSFER)
        if event.reason == "unavailable":
            call.blame("carrier")
        self._is_still_here()

    def overdue(self) -> None:
        """The transfer has had no outcome in time."""
        self._call.commands.append(CancelTransfer())
        self._is_still_here()

    def left(self, reason: str) -> bool:
        """The caller is gone. Whether they may be with the human; the call ends soon either way."""
        call = self._call
        if not call.transfer_runs or call.human_is_dialled:
            return False
        if self._left is None:
            self._left = reason
            call.due_in(Deadline.TRANSFER, _OUTCOME_SECONDS)
        return True

    def _is_still_here(self) -> None:
        call = self._call
        call.enter_phase(CallPhase.TALKING)
        call.human_is_dialled = False
        if self._left is not None:
            call.end(self._left)
        elif call.stt_failed:
            give_up(call)
        elif not after_transfer(call):
            call.say(UtteranceKind.APOLOGY, call.lines.transfer_failed)
