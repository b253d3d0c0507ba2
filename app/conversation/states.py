"""The states of a conversation and the only place that changes them."""

from app.models import ConversationState

_LISTENING, _PROCESSING, _SPEAKING, _ENDED = ConversationState

TRANSITIONS: dict[ConversationState, frozenset[ConversationState]] = {
    _LISTENING: frozenset({_PROCESSING, _SPEAKING, _ENDED}),
    _PROCESSING: frozenset({_SPEAKING, _LISTENING, _ENDED}),
    _SPEAKING: frozenset({_LISTENING, _PROCESSING, _ENDED}),
    _ENDED: frozenset(),
}
"""Where each state may lead. The diagram in ARCHITECTURE.md is held against this table."""


class ConversationStateMachine:
    """Knows the current state and lets it change along the table only. Starts LISTENING, while the phone rings."""

    def __init__(self) -> None:
        self._state = ConversationState.LISTENING

    def __repr__(self) -> str:
        return f"<ConversationStateMachine {self._state}>"

    def transition_to(self, new_state: ConversationState) -> bool:
        """Enter the state; False, and nothing changes, when the table does not allow it."""
        if not self.can_transition(self._state, new_state):
            return False
        self._state = new_state
        return True

    def get_current_state(self) -> ConversationState:
        """The state now."""
        return self._state

    def can_transition(self, from_state: ConversationState, to_state: ConversationState) -> bool:
        """Whether the table leads from the one to the other."""
        return to_state in TRANSITIONS[from_state]
