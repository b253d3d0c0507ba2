"""Who has the floor: the states of a conversation, and the machine that changes them.

Theory of operation. Two machines that do not know each other describe a call. This one says who has the floor;
:mod:`app.conversation.phases` says how far the call is. The caller may have the floor while the call is still ringing,
while it goes on, or while the agent waits to say goodbye, and the agent's goodbye is SPEAKING like any answer::

    phases, how far     RINGING ──> TALKING <──> TRANSFERRING     CLOSING ──> ENDED
                                      │               │              ▲
                                      └───────────────┴──────────────┘   (and from each of them to ENDED)

    states, the floor   LISTENING ──> PROCESSING ──> SPEAKING ──> LISTENING ...
                        the caller    an answer      the agent's
                        may speak     is being made  voice is heard

Only ENDED is the same in both: a call that is over has nobody on the floor.
"""

from app.models import ConversationState

_LISTENING, _PROCESSING, _SPEAKING, _ENDED = ConversationState

TRANSITIONS: dict[ConversationState, frozenset[ConversationState]] = {
    _LISTENING: frozenset({_PROCESSING, _SPEAKING, _ENDED}),
    _PROCESSING: frozenset({_SPEAKING, _LISTENING, _ENDED}),
    _SPEAKING: frozenset({_LISTENING, _PROCESSING, _ENDED}),
    _ENDED: frozenset(),
}
"""The states that may follow each state. A test compares the diagram in ARCHITECTURE.md with this table."""


class RefusedTransition(RuntimeError):
    """The core wanted a change that a table does not allow. This is a bug of the core; the call ends with it."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__(f"no transition leads from {before} to {after}")


class ConversationStateMachine:
    """Holds the current state and changes it along the table only. Starts LISTENING, while the call rings."""

    def __init__(self) -> None:
        self._state = ConversationState.LISTENING

    def __repr__(self) -> str:
        return f"<ConversationStateMachine {self._state}>"

    def transition_to(self, new_state: ConversationState) -> bool:
        """Enter the state. If the table does not allow it, returns False and changes nothing."""
        if not self.can_transition(self._state, new_state):
            return False
        self._state = new_state
        return True

    def get_current_state(self) -> ConversationState:
        """The state now."""
        return self._state

    def can_transition(self, from_state: ConversationState, to_state: ConversationState) -> bool:
        """Whether the table allows the change from one state to the other."""
        return to_state in TRANSITIONS[from_state]
