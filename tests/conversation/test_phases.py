"""How far a call is, and what counts there; laws about any order of events are in test_laws.py."""

from itertools import product
from typing import get_args

import pytest

from app.conversation import events as ev
from app.conversation.commands import EndCall, Say, StopUtterance
from app.conversation.knowledge_events import KnowledgeSearched
from app.conversation.opening_events import ConsentAnswered, LookupFinished
from app.conversation.phases import ALLOWED, CALLER_TURN, HANDLED, PHASE_TRANSITIONS, CallPhase, is_allowed
from app.conversation.policy import CallPolicy
from app.conversation.state import CallState
from app.conversation.states import RefusedTransition
from app.models import ConversationState
from tests.conversation.script import LINES, Call, greeted_call

RINGING, TALKING, TRANSFERRING, CLOSING, ENDED = CallPhase
ALONG = {
    (RINGING, TALKING), (RINGING, ENDED),
    (TALKING, TRANSFERRING), (TALKING, CLOSING), (TALKING, ENDED),
    (TRANSFERRING, TALKING), (TRANSFERRING, CLOSING), (TRANSFERRING, ENDED),
    (CLOSING, ENDED),
}  # fmt: skip
WAYS = {
    RINGING: [], TALKING: [TALKING], TRANSFERRING: [TALKING, TRANSFERRING], CLOSING: [TALKING, CLOSING], ENDED: [ENDED],
}  # fmt: skip
NEVER_HANDLED = {
    ev.CallCreated, ev.StateChanged, ev.CallerIgnored, ev.TurnTaken, ev.TransferStarted, ev.AgentResumed,
    ev.ProviderUsed, ev.MessageRequested, ev.MessageTranscribed, ConsentAnswered, LookupFinished,
    KnowledgeSearched,
}  # fmt: skip


def call_in(phase: CallPhase) -> Call:
    match phase:
        case CallPhase.RINGING:
            return Call()
        case CallPhase.TALKING:
            return greeted_call()
        case CallPhase.TRANSFERRING:
            return greeted_call().operator_hands_over()
        case CallPhase.CLOSING:
            return greeted_call().service_stops()
        case CallPhase.ENDED:
            return greeted_call().caller_hangs_up()


# --- the tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), list(product(CallPhase, repeat=2)))
def test_the_phase_changes_along_the_table_only(before: CallPhase, after: CallPhase) -> None:
    call = CallState(CallPolicy(), "en")
    for step in WAYS[before]:
        call.enter_phase(step)

    if (before, after) in ALONG or before is after:
        call.enter_phase(after)
        assert call.phase is after
    else:
        with pytest.raises(RefusedTransition, match=f"no transition leads from {before} to {after}"):
            call.enter_phase(after)
        assert call.phase is before
    assert (after in PHASE_TRANSITIONS[before]) is ((before, after) in ALONG)


def test_a_state_that_the_table_refuses_is_an_error_and_not_swallowed() -> None:
    call = CallState(CallPolicy(), "en")
    call.enter_phase(ENDED)
    call.enter(ConversationState.ENDED)

    with pytest.raises(RefusedTransition, match="no transition leads from ended to listening"):
        call.enter(ConversationState.LISTENING)


def test_every_event_is_handled_somewhere_or_only_recorded() -> None:
    assert set(get_args(ev.Event)) - HANDLED == NEVER_HANDLED


def test_every_phase_occurs_and_only_ended_is_in_the_state_of_that_name() -> None:
    assert {phase for phase, _ in ALLOWED} == set(CallPhase)
    assert {(phase is ENDED, state is ConversationState.ENDED) for phase, state in ALLOWED} == {
        (True, True), (False, False),
    }  # fmt: skip


def test_what_the_caller_says_counts_only_while_the_call_is_talking() -> None:
    assert {phase for phase, state in ALLOWED if CALLER_TURN & ALLOWED[phase, state]} == {TALKING}


def test_a_pair_that_never_occurs_is_an_error() -> None:
    with pytest.raises(KeyError):
        is_allowed(RINGING, ConversationState.SPEAKING, ev.CallAnswered)


# --- calls -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", CallPhase)
def test_a_call_comes_into_every_phase(phase: CallPhase) -> None:
    assert call_in(phase).core.phase is phase


def test_an_announcement_is_on_the_way_to_the_human_from_its_first_sound_on() -> None:
    call = greeted_call().caller_says("A human, please").model_hands_over()
    assert call.core.phase is TALKING  # the caller may still change their mind

    call.agent_begins("I will put you through. ")
    assert call.core.phase is TRANSFERRING

    call.caller_says("Wait, no").agent_falls_silent()
    assert (call.core.phase, call.transfer) == (TRANSFERRING, "sales")


def test_a_transfer_that_fails_leads_back_into_the_conversation() -> None:
    call = greeted_call().operator_hands_over().agent_says_the_line().transfer_fails()

    assert call.core.phase is TALKING
    assert call.caller_says("Then tell me the price").turns[-1] == ("Then tell me the price", "speech")


def test_the_outcome_of_a_transfer_that_is_only_announced_counts_for_nothing() -> None:
    call = greeted_call().operator_hands_over()

    assert (call.transfer_fails().asked, call.core.phase) == ([], TRANSFERRING)
    assert call.agent_says_the_line().transfer == "sales"


def test_an_announcement_that_is_written_again_leads_back_into_the_conversation() -> None:
    call = greeted_call().caller_says("A human, please").model_hands_over().agent_begins("I will")

    assert call.thinking_fails(final=False).core.phase is TALKING
    assert call.agent_falls_silent().transfer is None


def test_a_tool_that_is_called_beside_a_fixed_line_does_nothing() -> None:
    call = Call().is_answered()

    call.model_hands_over()

    assert (call.core.phase, call.agent_says_the_line().transfer) == (TALKING, None)


def test_a_goodbye_that_the_caller_may_avert_does_not_close_the_call() -> None:
    call = greeted_call(idle_prompts=0).wait(30)
    assert (call.lines[-1], call.core.phase) == (LINES.silence_goodbye, TALKING)

    call.agent_begins().caller_says("No, no, I am here")
    assert (call.core.phase, call.state) == (TALKING, "processing")


def test_a_closing_call_hears_nobody_and_ends_when_its_time_is_up() -> None:
    call = greeted_call().service_stops()

    for event in (ev.CallerWords("Wait!"), ev.CallerTurnEnded("Wait!"), ev.CallerDtmf("1"), ev.SayRequested("Sale!")):
        assert call.tell(event) == []
    assert call.wait(CallPolicy().goodbye_seconds).ended == ("shutdown", "ours")


def test_a_closing_call_stays_silent_when_speech_to_text_is_lost() -> None:
    call = greeted_call(goodbye_seconds=60.0, stall_seconds=60.0).service_stops().agent_begins()

    call.hearing_fails().wait(20)

    assert [command for command in call.asked if isinstance(command, Say | StopUtterance)] == []
    assert call.agent_falls_silent().asked == [EndCall("shutdown", "ours")]
