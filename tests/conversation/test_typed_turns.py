"""What the caller types instead of saying it."""

from app.conversation.commands import StopUtterance
from tests.conversation.script import greeted_call

OPEN = "When are you open?"


def test_a_typed_text_is_a_turn_at_once() -> None:
    call = greeted_call().caller_types(OPEN)

    assert call.turns == [(OPEN, "typed")]
    assert call.replies[0].text == OPEN
    assert call.state == "processing"


def test_it_interrupts_the_agent() -> None:
    call = greeted_call().caller_says("Book a table").agent_begins("For how many? ").caller_types("four")

    assert call.asked[0] == StopUtterance(2)
    assert call.replies[-1].text == "four"


def test_it_voids_an_answer_that_is_owed() -> None:
    call = greeted_call().caller_says("Book a table").caller_types("for four")

    assert call.replies[0].fate == "stopped"
    assert call.remembers[-2:] == [("user", "Book a table"), ("user", "for four")]


def test_words_that_were_spoken_before_it_are_a_turn_of_their_own() -> None:
    call = greeted_call().caller_begins("my name is").caller_types("Anna Kern")

    assert call.turns == [("my name is", "speech"), ("Anna Kern", "typed")]


def test_a_yes_is_no_backchannel_when_it_is_typed() -> None:
    call = greeted_call().caller_says("Book a table").agent_begins("We are open ").caller_types("yes")

    assert call.turns[-1] == ("yes", "typed")


def test_it_does_nothing_against_a_forced_goodbye() -> None:
    call = greeted_call().service_stops().agent_begins().caller_types(OPEN)

    assert call.turns == []
    assert call.last("goodbye").fate == "speaking"
