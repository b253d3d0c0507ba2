"""The table of states, and the machine that obeys it."""

from itertools import product

import pytest

from app.conversation.states import TRANSITIONS, ConversationStateMachine
from app.models import ConversationState

LISTENING, PROCESSING, SPEAKING, ENDED = ConversationState
ALLOWED = {
    (LISTENING, PROCESSING), (LISTENING, SPEAKING), (LISTENING, ENDED),
    (PROCESSING, SPEAKING), (PROCESSING, LISTENING), (PROCESSING, ENDED),
    (SPEAKING, LISTENING), (SPEAKING, PROCESSING), (SPEAKING, ENDED),
}  # fmt: skip
WAYS = {LISTENING: [], PROCESSING: [PROCESSING], SPEAKING: [SPEAKING], ENDED: [ENDED]}


def machine_in(state: ConversationState) -> ConversationStateMachine:
    machine = ConversationStateMachine()
    for step in WAYS[state]:
        assert machine.transition_to(step)
    return machine


def test_a_conversation_begins_listening() -> None:
    assert ConversationStateMachine().get_current_state() is LISTENING


@pytest.mark.parametrize(("before", "after"), list(product(ConversationState, repeat=2)))
def test_the_machine_changes_along_the_table_only(before: ConversationState, after: ConversationState) -> None:
    machine = machine_in(before)
    allowed = (before, after) in ALLOWED

    assert machine.can_transition(before, after) is allowed
    assert machine.transition_to(after) is allowed
    assert machine.get_current_state() is (after if allowed else before)


def test_asking_what_is_possible_changes_nothing() -> None:
    machine = ConversationStateMachine()

    assert machine.can_transition(SPEAKING, PROCESSING)
    assert machine.get_current_state() is LISTENING


def test_the_table_names_every_state_and_ended_leads_nowhere() -> None:
    assert set(TRANSITIONS) == set(ConversationState)
    assert TRANSITIONS[ENDED] == frozenset()


def test_a_machine_shows_its_state() -> None:
    assert repr(machine_in(SPEAKING)) == "<ConversationStateMachine speaking>"
