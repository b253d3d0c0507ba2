"""How far a call is: its phases, and which events count in each of them.

Theory of operation. :mod:`app.conversation.states` says who has the floor. A phase says how far the call is:

    RINGING        nobody has answered yet; what is asked for is remembered
    TALKING        the conversation
    TRANSFERRING   the caller is on the way to a human: first the agent announces it, then the human is called;
                   nothing that the caller says averts it, and a failure leads back to TALKING
    CLOSING        the agent says the goodbye that nothing averts any more; all that is left is the end
    ENDED          over; no event counts

Events come from outside and may come at any time, so an event that the phase does not allow is dropped and changes
nothing. A change of phase is the core's own doing, so one that the table does not allow is a bug and raises
:class:`~app.conversation.states.RefusedTransition`.

A goodbye that the caller may still avert (they say something after all) is said while TALKING.

Phases have no rows in the journal. The other rows lead to them: a replay reads the phase off
the core (``ConversationCore.phase``), and journals that are older than the phases replay to the same decisions.
"""

from enum import StrEnum
from itertools import chain

from app.conversation import events as ev
from app.models import ConversationState


class CallPhase(StrEnum):
    """How far a call is. ``ENDED`` is terminal."""

    RINGING = "ringing"
    TALKING = "talking"
    TRANSFERRING = "transferring"
    CLOSING = "closing"
    ENDED = "ended"


PHASE_TRANSITIONS: dict[CallPhase, frozenset[CallPhase]] = {
    CallPhase.RINGING: frozenset({CallPhase.TALKING, CallPhase.ENDED}),
    CallPhase.TALKING: frozenset({CallPhase.TRANSFERRING, CallPhase.CLOSING, CallPhase.ENDED}),
    CallPhase.TRANSFERRING: frozenset({CallPhase.TALKING, CallPhase.CLOSING, CallPhase.ENDED}),
    CallPhase.CLOSING: frozenset({CallPhase.ENDED}),
    CallPhase.ENDED: frozenset(),
}
"""The phases that may follow each phase. A test compares the diagram in ARCHITECTURE.md with this table."""

_Types = frozenset[type[ev.Event]]

_END: _Types = frozenset({ev.CallEnded, ev.CallerLeft, ev.HangupRequested, ev.DeadlinePassed, ev.SpendingReached})
_VENDORS: _Types = frozenset({ev.ProviderFailed, ev.ProviderRestored, ev.CallTakenOver})
"""What becomes of those that serve the call: vendors, and the process itself."""
_LINE: _Types = frozenset(
    {
        ev.CallerSoundStarted, ev.CallerSoundStopped, ev.CallerHeld, ev.CallerReturned, ev.LegLost, ev.LegRejoined,
    }
)  # fmt: skip
CALLER_TURN: _Types = frozenset(
    {
        ev.CallerWords, ev.CallerTurnEndedEagerly, ev.CallerTurnResumed, ev.CallerTurnEnded, ev.CallerDtmf,
        ev.CallerTyped,
    }
)  # fmt: skip
"""What the caller says, word by word or key by key, or types."""
_VOICE: _Types = frozenset(
    {
        ev.AgentReplyStarted, ev.AgentReplyGenerated, ev.AgentClauseStarted, ev.AgentPaused, ev.AgentInterrupted,
        ev.AgentFinished, ev.AgentToolFinished,
    }
)  # fmt: skip

_RINGING = _END | _VENDORS | _LINE | {ev.CallAnswered, ev.SayRequested, ev.TransferRequested}
_TALKING = (
    _END | _VENDORS | _LINE | CALLER_TURN | _VOICE
    | {ev.AgentToolCalled, ev.SayRequested, ev.TransferRequested, ev.TransferCompleted}
)  # fmt: skip
_ANNOUNCING = _END | _VENDORS | _LINE | _VOICE | {ev.AgentToolCalled, ev.SayRequested, ev.TransferCompleted}
_CALLING_A_HUMAN = _ANNOUNCING | {ev.TransferDialled, ev.TransferFailed}
_CLOSING = _END | _VENDORS | _VOICE | {ev.TransferCompleted}

ALLOWED: dict[tuple[CallPhase, ConversationState], _Types] = {
    (CallPhase.RINGING, ConversationState.LISTENING): _RINGING,
    (CallPhase.TALKING, ConversationState.LISTENING): _TALKING,
    (CallPhase.TALKING, ConversationState.PROCESSING): _TALKING,
    (CallPhase.TALKING, ConversationState.SPEAKING): _TALKING,
    (CallPhase.TRANSFERRING, ConversationState.LISTENING): _ANNOUNCING,
    (CallPhase.TRANSFERRING, ConversationState.PROCESSING): _CALLING_A_HUMAN,
    (CallPhase.TRANSFERRING, ConversationState.SPEAKING): _ANNOUNCING,
    (CallPhase.CLOSING, ConversationState.LISTENING): _CLOSING,
    (CallPhase.CLOSING, ConversationState.PROCESSING): _CLOSING,
    (CallPhase.CLOSING, ConversationState.SPEAKING): _CLOSING,
    (CallPhase.ENDED, ConversationState.ENDED): frozenset(),
}
"""Every pair of phase and state that occurs, with the events that count there. A test compares ARCHITECTURE.md."""

HANDLED: _Types = frozenset(chain.from_iterable(ALLOWED.values()))
"""The events that count anywhere; the core only records the others."""


def is_allowed(phase: CallPhase, state: ConversationState, event: type[ev.Event]) -> bool:
    """Whether an event of that type counts now. Raises KeyError for a pair that never occurs."""
    return event in ALLOWED[phase, state]
