"""The vendors fail, and the caller is never left alone with it."""

import pytest

from app.conversation import events as ev
from app.conversation.commands import StartReply
from tests.conversation.script import LINES, Call, greeted_call


def call_that_owes_an_answer(**manners: object) -> Call:
    return greeted_call(**manners).caller_says("I want to pay")


# --- thinking --------------------------------------------------------------------------------------------------------


def test_an_answer_that_cannot_be_thought_is_apologised_for() -> None:
    call = call_that_owes_an_answer().thinking_fails()

    assert call.lines[-1] == LINES.apology
    assert call.last("apology").turn == call.replies[0].turn
    assert call.agent_says_the_line().state == "listening"


def test_a_vendor_that_tries_again_is_waited_for() -> None:
    call = call_that_owes_an_answer().thinking_fails(final=False)

    assert call.asked == []
    assert call.agent_says("Gladly.").remembers[-1] == ("assistant", "Gladly.")


def test_the_worst_failure_is_the_fault_of_the_call_even_if_it_was_overcome() -> None:
    call = call_that_owes_an_answer().thinking_fails(final=False).agent_says("Gladly.").caller_hangs_up()

    assert call.ended == ("caller_hangup", "provider:openai")


def test_the_fault_of_the_first_vendor_stays() -> None:
    call = call_that_owes_an_answer().thinking_fails(final=False).speaking_fails(final=False).caller_hangs_up()

    assert call.ended == ("caller_hangup", "provider:openai")


def test_two_answers_in_a_row_that_fail_end_the_call_politely() -> None:
    call = call_that_owes_an_answer().thinking_fails().agent_says_the_line().caller_says("I said I want to pay")

    call.thinking_fails()
    assert call.lines[-1] == LINES.failure_goodbye
    assert call.ended is None

    assert call.agent_says_the_line().ended == ("provider_failure", "provider:openai")


def test_an_answer_between_two_failures_restarts_the_count() -> None:
    call = call_that_owes_an_answer().thinking_fails().agent_says_the_line().caller_says("I want to pay")
    call.agent_says("Gladly.").caller_says("And a receipt").thinking_fails()

    assert call.lines[-1] == LINES.apology


def test_an_answer_that_the_caller_cut_short_counts_as_one() -> None:
    call = call_that_owes_an_answer().thinking_fails().agent_says_the_line().caller_says("I want to pay")
    call.agent_begins("Gladly. ").caller_says("And a receipt").thinking_fails()

    assert call.lines[-1] == LINES.apology


def test_an_apology_that_the_caller_cut_short_does_not() -> None:
    call = call_that_owes_an_answer().thinking_fails().agent_begins().caller_says("I said I want to pay")

    assert call.thinking_fails().lines[-1] == LINES.failure_goodbye


def test_an_answer_of_which_nothing_was_heard_does_not() -> None:
    call = call_that_owes_an_answer().thinking_fails().agent_says_the_line().caller_says("I said I want to pay")
    call.caller_says("Do you hear me?")

    assert call.thinking_fails().lines[-1] == LINES.failure_goodbye


def test_an_answer_that_broke_off_does_not() -> None:
    call = call_that_owes_an_answer().thinking_fails().agent_says_the_line().caller_says("I said I want to pay")
    call.agent_begins("You can ").thinking_fails().caller_says("What can I do?")

    assert call.thinking_fails().lines[-1] == LINES.failure_goodbye


def test_a_prompt_between_two_failures_does_not() -> None:
    call = call_that_owes_an_answer().thinking_fails().agent_says_the_line().wait(8).agent_says_the_line()

    assert call.caller_says("I want to pay").thinking_fails().lines[-1] == LINES.failure_goodbye


def test_how_many_failures_are_borne_is_a_matter_of_policy() -> None:
    assert call_that_owes_an_answer(max_failures=1).thinking_fails().lines[-1] == LINES.failure_goodbye


def test_the_apology_takes_the_place_of_a_filler() -> None:
    call = call_that_owes_an_answer().wait(1.5).agent_begins().thinking_fails()

    assert call.last("filler").fate == "stopped"
    assert call.lines[-1] == LINES.apology


def test_an_answer_that_breaks_off_is_heard_to_its_last_word_and_then_apologised_for() -> None:
    call = call_that_owes_an_answer().agent_begins("Gladly. ").thinking_fails()
    assert call.asked == []
    assert call.state == "speaking"

    call.agent_falls_silent()

    assert call.lines[-1] == LINES.cut_off
    assert call.remembers[-1] == ("assistant", "Gladly. ")
    assert call.last("apology").turn == call.replies[0].turn


def test_two_answers_that_break_off_end_the_call_politely() -> None:
    call = call_that_owes_an_answer().agent_begins("Gladly. ").thinking_fails().agent_falls_silent()
    call.agent_says_the_line().caller_says("Go on").agent_begins("You can ").thinking_fails().agent_falls_silent()

    assert call.agent_says_the_line().ended == ("provider_failure", "provider:openai")


def test_an_answer_that_broke_off_may_still_be_interrupted() -> None:
    call = call_that_owes_an_answer().agent_begins("Gladly. ").thinking_fails().caller_says("And a receipt")

    assert call.replies[0].fate == "stopped"
    assert call.lines == [LINES.greeting]
    assert call.state == "processing"


def test_an_answer_without_a_word_is_apologised_for_and_not_remembered() -> None:
    call = call_that_owes_an_answer().agent_has_nothing_to_say()

    assert call.lines[-1] == LINES.apology
    assert call.remembers[-1] == ("user", "I want to pay")
    assert call.caller_hangs_up().ended == ("caller_hangup", "ours")


def test_a_text_that_made_no_sound_was_not_heard() -> None:
    call = call_that_owes_an_answer()
    call.replies[0].clauses = ["..."]

    assert call.agent_has_nothing_to_say().remembers[-1] == ("user", "I want to pay")


def test_an_answer_that_stalls_is_cut_and_apologised_for() -> None:
    call = call_that_owes_an_answer(stall_seconds=15.0).agent_begins("Gladly.").wait(15.6)
    assert call.asked == []

    call.wait(0.2)

    assert call.replies[0].fate == "stopped"
    assert call.lines[-1] == LINES.cut_off


def test_an_answer_that_stalls_before_its_first_clause_is_cut_as_well() -> None:
    call = call_that_owes_an_answer(stall_seconds=15.0)
    call.tell(ev.AgentReplyStarted(2, 2, "reply"))

    assert call.wait(15).lines[-1] == LINES.cut_off


def test_a_long_clause_is_not_a_stall() -> None:
    call = greeted_call(stall_seconds=15.0).operator_says("Please listen. " * 40).agent_begins().wait(45)

    assert call.last("say").fate == "speaking"


def test_every_clause_has_its_own_time() -> None:
    call = call_that_owes_an_answer(stall_seconds=15.0).agent_begins("Gladly. ")
    for _ in range(4):
        call.wait(10).agent_goes_on("One more thing. ")

    assert call.replies[0].fate == "speaking"


def test_a_voice_that_was_held_back_has_its_time_again() -> None:
    call = call_that_owes_an_answer(stall_seconds=15.0).agent_begins("Gladly.").wait(14).caller_makes_a_sound()

    assert call.wait(14).replies[0].fate == "speaking"


def test_an_answer_is_given_up_although_a_filler_is_being_said() -> None:
    call = call_that_owes_an_answer(reply_seconds=12.0).wait(1.5).agent_begins().wait(10.6)

    assert call.replies[0].fate == "stopped"
    assert call.last("filler").fate == "stopped"
    assert call.lines[-1] == LINES.apology


def given_up_at(call: Call) -> float:
    """Seconds from the caller's last sound to the line for a lost answer."""
    last_sound = next(row.data["ended_t"] for row in reversed(call.rows) if row.type == "turn.taken")
    while call.lines[-1] != LINES.apology:
        call.wait(0.05)
        assert call.now < last_sound + 60
        if call.lines[-1] in LINES.fillers and call.last("filler").fate == "waiting":
            call.agent_says_the_line()
    return call.now - last_sound


def test_an_answer_is_given_up_six_seconds_after_the_callers_last_sound() -> None:
    assert given_up_at(call_that_owes_an_answer()) == pytest.approx(5.9, abs=0.06)


def test_whoever_was_late_is_at_fault_and_not_we() -> None:
    call = call_that_owes_an_answer()
    call._happens(ev.ProviderFailed("slow", "think", "provider_timeout", False, 2, 2, answer="late"))
    given_up_at(call)
    assert call.caller_hangs_up().ended == ("caller_hangup", "provider:slow")


# --- speaking --------------------------------------------------------------------------------------------------------


def test_an_answer_that_cannot_be_said_is_apologised_for() -> None:
    call = call_that_owes_an_answer().speaking_fails()

    assert call.lines[-1] == LINES.apology
    assert call.agent_says_the_line().ended is None


def test_when_the_apology_cannot_be_said_either_the_call_ends() -> None:
    call = call_that_owes_an_answer().speaking_fails().speaking_fails()

    assert call.ended == ("provider_failure", "provider:cartesia")


def test_two_lines_in_a_row_that_cannot_be_said_end_the_call() -> None:
    call = Call().is_answered().speaking_fails().wait(8).speaking_fails()

    assert call.ended == ("provider_failure", "provider:cartesia")


def test_a_line_that_is_heard_between_them_restarts_the_count() -> None:
    call = Call().is_answered().speaking_fails().wait(8).agent_says_the_line().wait(8).speaking_fails()
    assert call.ended is None

    assert call.wait(8).agent_says_the_line().ended == ("silence", "provider:cartesia")


def test_a_line_that_could_be_heard_forgives_the_greeting_that_could_not() -> None:
    call = Call().is_answered().speaking_fails().wait(8).agent_says_the_line().caller_says("I want to pay")

    assert call.thinking_fails().lines[-1] == LINES.apology


def test_a_greeting_that_was_not_heard_and_an_answer_that_fails_are_two_in_a_row() -> None:
    call = Call().is_answered().speaking_fails().caller_says("I want to pay").thinking_fails()

    assert call.lines[-1] == LINES.failure_goodbye


def test_a_line_without_a_sound_is_passed_over() -> None:
    call = Call().is_answered().agent_has_nothing_to_say()
    assert call.state == "listening"

    call.operator_says("...").agent_has_nothing_to_say()

    assert call.ended is None
    assert call.remembers == []


def test_a_line_that_breaks_off_is_waited_for_to_its_last_word() -> None:
    call = Call().is_answered().agent_begins().speaking_fails()
    assert call.state == "speaking"

    call.caller_has_heard("Hello!").agent_falls_silent()

    assert call.state == "listening"
    assert call.remembers == [("assistant", LINES.greeting)]


def test_a_line_that_stalls_is_cut() -> None:
    call = greeted_call(stall_seconds=15.0).operator_says("Your table is ready.").agent_begins().wait(18)

    assert call.last("say").fate == "stopped"
    assert call.state == "listening"
    assert call.caller_hangs_up().ended == ("caller_hangup", "ours")


@pytest.mark.parametrize("begun", [False, True])
def test_a_filler_that_fails_does_not_touch_the_answer(begun: bool) -> None:
    call = call_that_owes_an_answer().wait(1.5)
    if begun:
        call.agent_begins().speaking_fails().agent_falls_silent()
    else:
        call.speaking_fails()

    assert call.replies[0].fate == "waiting"
    assert call.state == "processing"
    assert call.agent_says("Gladly.").state == "listening"


def test_a_filler_that_stalls_does_not_touch_it_either() -> None:
    call = call_that_owes_an_answer(reply_seconds=60.0, stall_seconds=5.0).wait(1.5).agent_begins().wait(8)

    assert call.last("filler").fate == "stopped"
    assert call.state == "processing"
    assert call.wait(4).lines[-1] == LINES.fillers[1]


def test_a_filler_that_does_not_begin_is_dropped_and_the_next_may_come() -> None:
    call = call_that_owes_an_answer(reply_seconds=60.0, line_start_seconds=3.0).wait(1.5).wait(3)
    assert call.last("filler").fate == "stopped"

    assert call.wait(4).lines[-1] == LINES.fillers[1]


def test_a_goodbye_that_cannot_be_said_ends_the_call() -> None:
    assert greeted_call(max_duration_seconds=10.0).wait(10).speaking_fails().ended == (
        "max_duration",
        "provider:cartesia",
    )


def test_a_text_of_the_operator_that_cannot_be_said_leaves_the_call_alive() -> None:
    call = greeted_call().operator_says("Your table is ready.").speaking_fails()

    assert call.ended is None
    assert call.state == "listening"


# --- what is over is over --------------------------------------------------------------------------------------------


def test_the_failure_of_a_stopped_answer_touches_nothing() -> None:
    call = call_that_owes_an_answer().caller_says("No, cancel it")

    call._provider_fails("openai", "think", call.replies[0], final=True)

    assert call.asked == []
    assert call.replies[1].fate == "waiting"


def test_a_stopped_answer_cannot_begin_go_on_or_end() -> None:
    call = call_that_owes_an_answer().caller_says("No, cancel it")
    asked = StartReply(turn=3, utterance=3, language="en", text="No, cancel it")
    assert call.asked[-1] == asked

    call.begin(call.replies[0], "Gladly. ")
    call.replies[0].fate = "stopped"

    assert call.asked[-1] == asked
    assert call.state == "processing"
