"""No call lasts for ever."""

from tests.conversation.script import LINES, Call, greeted_call


def test_a_call_that_has_lasted_long_enough_is_ended_politely() -> None:
    call = greeted_call(max_duration_seconds=60.0, idle_end_seconds=1000.0, idle_prompts=0).wait(59)
    assert call.lines[-1] == LINES.limit_goodbye

    assert call.agent_says_the_line().ended == ("max_duration", "policy")


def test_the_time_counts_from_the_answer() -> None:
    call = Call(max_duration_seconds=60.0, idle_prompts=0, idle_end_seconds=1000.0).wait(30).is_greeted().wait(58.9)

    assert call.lines == [LINES.greeting]


def test_the_limit_cuts_the_agent_short() -> None:
    call = greeted_call(max_duration_seconds=5.0).caller_says("I want to pay").agent_begins("Gladly. ").wait(4)

    assert call.replies[0].fate == "stopped"
    assert call.lines[-1] == LINES.limit_goodbye


def test_a_caller_cannot_avert_it() -> None:
    call = greeted_call(max_duration_seconds=5.0).wait(4).agent_begins()

    call.caller_says("no, wait, one more question")

    assert call.last("goodbye").fate == "speaking"
    assert call.agent_falls_silent().ended == ("max_duration", "policy")


def test_a_sound_does_not_hold_that_goodbye_back() -> None:
    call = greeted_call(max_duration_seconds=5.0).wait(4).agent_begins().caller_makes_a_sound()

    assert call.asked == []


def test_a_call_that_is_being_ended_anyway_keeps_its_reason() -> None:
    call = greeted_call(max_duration_seconds=5.0).wait(3).service_stops().agent_begins().wait(10).agent_falls_silent()

    assert call.ended == ("shutdown", "ours")


def test_a_caller_who_never_stops_talking_reaches_the_limit() -> None:
    call = greeted_call(max_duration_seconds=300.0)
    words = 0
    while call.ended is None:
        words += 1
        call.caller_begins("and then " * words).wait(1)
        if call.waiting:
            call.agent_says_the_line()

    assert call.ended == ("max_duration", "policy")
    assert call.now < 320


def test_a_caller_who_presses_keys_for_ever_reaches_it_too() -> None:
    call = greeted_call(max_duration_seconds=300.0)
    while call.ended is None:
        call.caller_presses("1").wait(1)
        if any(speech.kind != "reply" for speech in call.waiting):
            call.agent_says_the_line()

    assert call.ended == ("max_duration", "policy")


def test_a_call_that_has_cost_enough_is_ended_politely() -> None:
    call = greeted_call(max_cost_usd=0.5).caller_says("I want to pay").agent_begins("Gladly. ").costs(0.51, 0.5)

    assert call.replies[0].fate == "stopped"
    assert call.lines[-1] == LINES.limit_goodbye
    assert call.agent_says_the_line().ended == ("spending_limit", "policy")


def test_a_call_that_is_near_its_limit_goes_on() -> None:
    call = greeted_call(max_cost_usd=0.5).caller_says("I want to pay").agent_begins("Gladly. ").costs(0.4, 0.5)

    assert call.replies[0].fate == "speaking"
    assert call.lines == [LINES.greeting]


def test_a_goodbye_is_said_once_whatever_limits_are_reached_during_it() -> None:
    call = greeted_call(max_duration_seconds=60.0, idle_end_seconds=1000.0, idle_prompts=0).wait(59).costs(9.0, 0.5)

    assert call.lines == [LINES.greeting, LINES.limit_goodbye]
    assert call.agent_says_the_line().ended == ("max_duration", "policy")


def test_a_telephone_that_rings_for_too_much_money_is_let_go() -> None:
    assert Call(max_cost_usd=0.5).costs(0.6, 0.5).ended == ("spending_limit", "policy")


def test_nobody_is_called_to_a_caller_for_whom_there_is_no_money_left() -> None:
    call = greeted_call(max_cost_usd=0.5).operator_hands_over().agent_says_the_line().costs(0.5, 0.5)

    assert call.agent_says_the_line().ended == ("spending_limit", "policy")
