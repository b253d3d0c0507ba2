"""An operator's line is next: after what is being said, and before an answer that is still being made."""

from typing import Any

from app.conversation.commands import HoldReply, ReleaseReply, StartReply
from tests.conversation.script import LINES, Call, greeted_call

READY = "Your table is ready."


def asked(**policy: Any) -> Call:
    """A question is being answered, and nobody speaks."""
    return greeted_call(**policy).caller_says("Is my order ready?")


def heard(call: Call) -> list[str]:
    """What the agent said, in the order in which it was heard."""
    return [data["heard"] for data in call.facts("agent.finished")][1:]


def test_a_line_goes_before_the_answer_that_is_being_made() -> None:
    call = asked().operator_says(READY)
    assert isinstance(call.asked[0], HoldReply)

    call.agent_says_the_line().agent_says("It is.")

    assert heard(call) == [READY, "It is."]
    assert call.state == "listening"
    assert len(call.replies) == 1


def test_the_answer_is_released_when_the_line_has_ended() -> None:
    call = asked().operator_says(READY).agent_says_the_line()

    assert [command for command in call.asked if isinstance(command, ReleaseReply | StartReply)] == [ReleaseReply(2)]
    assert call.state == "processing"


def test_several_lines_keep_their_order_and_all_go_before_the_answer() -> None:
    call = asked().operator_says("One.").operator_says("Two.").operator_says("Three.")

    call.agent_says_the_line().agent_says_the_line().agent_says_the_line().agent_says("It is.")

    assert heard(call) == ["One.", "Two.", "Three.", "It is."]


def test_a_line_during_a_filler_follows_the_filler_and_not_the_answer() -> None:
    call = asked().wait(1.5).agent_begins()
    assert call.audible is not None
    assert call.audible.kind == "filler"

    call.operator_says(READY)
    assert call.live[-1].kind == "filler"
    call.agent_falls_silent().agent_says_the_line().agent_says("It is.")

    assert heard(call)[1:] == [READY, "It is."]


def test_a_line_takes_the_place_of_a_filler_that_has_not_begun() -> None:
    call = asked().wait(1.5).operator_says(READY)

    assert call.last("filler").fate == "stopped"
    assert heard(call.agent_says_the_line().agent_says("It is.")) == [READY, "It is."]


def test_a_line_during_the_callers_turn_goes_before_its_answer() -> None:
    call = greeted_call().caller_begins("Is my").operator_says(READY).caller_ends("Is my order ready?")

    assert heard(call.agent_says_the_line().agent_says("It is.")) == [READY, "It is."]


def test_a_line_during_an_answer_follows_that_answer() -> None:
    call = asked().agent_begins("It is. ").operator_says(READY).agent_falls_silent()

    assert heard(call.agent_says_the_line()) == ["It is. ", READY]


def test_a_caller_who_interrupts_an_answer_hears_the_line_before_the_next_answer() -> None:
    call = asked().agent_begins("It is. ").operator_says(READY).caller_says("And the bill, please?")

    assert heard(call.agent_says_the_line().agent_says("Of course.")) == [READY, "Of course."]


def test_an_answer_that_had_begun_already_is_said_first_and_the_line_next() -> None:
    """The player begins the answer before it learns that it is to wait."""
    call = asked().operator_says(READY)
    reply, line = call.replies[0], call.last("say")
    reply.held = False
    call.begin(reply, "It is.")
    assert (reply.fate, line.fate) == ("speaking", "stopped")

    assert heard(call.agent_falls_silent().agent_says_the_line()) == ["It is.", READY]


def test_an_answer_that_fails_while_it_waits_is_asked_for_again() -> None:
    call = asked().operator_says(READY).agent_begins().thinking_fails().agent_falls_silent()

    assert len(call.replies) == 2
    assert heard(call.agent_says("It is.")) == [READY, "It is."]


def test_an_answer_that_never_comes_after_the_line_is_abandoned() -> None:
    call = asked(reply_seconds=6.0).operator_says(READY).agent_says_the_line().wait(20)

    assert LINES.apology in call.lines


def test_a_line_that_cannot_be_said_lets_the_answer_go_on() -> None:
    call = asked().operator_says(READY).speaking_fails()

    assert heard(call.agent_says("It is.")) == ["It is."]


def test_a_caller_who_talks_over_the_line_gets_an_answer_to_the_new_turn_alone() -> None:
    call = asked().operator_says(READY).agent_begins().wait(0.3).caller_says("And the bill, please?")

    call.agent_says("Of course.")

    assert heard(call) == ["Of course."]
    assert call.wait(2).live == []


def test_a_line_that_had_not_begun_when_the_caller_spoke_is_not_lost() -> None:
    call = greeted_call().operator_says(READY).caller_says("Is my order ready?")

    assert heard(call.agent_says_the_line().agent_says("It is.")) == [READY, "It is."]


def test_a_sign_of_listening_over_the_line_does_not_cost_the_answer_that_waits() -> None:
    call = asked().operator_says(READY).agent_begins().wait(0.2).caller_says("uh-huh").wait(1)

    call.agent_falls_silent().agent_says("It is.")

    assert heard(call) == [READY, "It is."]
    assert len(call.replies) == 1


def test_a_hash_key_over_the_line_lets_the_answer_go_on() -> None:
    call = asked().operator_says(READY).agent_begins().wait(0.2).caller_presses("#").wait(0)

    assert heard(call.agent_says("It is.")) == ["It is."]


def test_a_call_that_ends_while_an_answer_waits_ends() -> None:
    call = asked().operator_says(READY)

    assert call.caller_hangs_up().ended == ("caller_hangup", "none")


def test_the_record_marks_it_as_the_operators() -> None:
    record = asked().operator_says(READY).agent_says_the_line().agent_says("It is.").record

    assert [(turn.kind, turn.text) for turn in record.turns[1:]] == [
        ("speech", "Is my order ready?"), ("reply", "It is."), ("say", READY),
    ]  # fmt: skip
