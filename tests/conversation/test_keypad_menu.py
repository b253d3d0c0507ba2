"""Keys that the agent's file gives a meaning, and callers who cannot be heard."""

from dataclasses import replace

import pytest

from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.opening_events import ConsentAnswered
from app.conversation.policy import ENGLISH, RUSSIAN, CallPolicy, KeyMeaning
from tests.conversation.script import Call, greeted_call

HOURS = "We are open from nine to six."
KEYS = (
    KeyMeaning("1"),
    KeyMeaning("2", tool="order_status", arguments='{"of": "caller"}'),
    KeyMeaning("0", transfers_to="sales"),
)
ENGLISH_KEYS = replace(
    ENGLISH,
    keypad_labels=("hear our opening hours", "hear about your order", "talk to a person"),
    keypad_texts=(HOURS, "", ""),
)
RUSSIAN_KEYS = replace(
    RUSSIAN,
    keypad_labels=("узнать часы работы", "", "поговорить с сотрудником"),
    keypad_texts=("С девяти до шести.", "", ""),
)
LINES = {"en": ENGLISH_KEYS, "ru": RUSSIAN_KEYS}
MENU = "Press 1 to hear our opening hours. Press 2 to hear about your order. Press 0 to talk to a person."


def call_with_keys(**more: object) -> Call:
    return greeted_call(keypad=KEYS, lines=LINES, **more)


def deaf(call: Call) -> Call:
    """Speech to text is gone, and the caller knows."""
    return call.hearing_fails(final=True).agent_says_the_line()


# --- the keys ---------------------------------------------------------------------------------------------------------


def test_a_key_of_the_menu_has_its_line_said_without_the_model() -> None:
    call = call_with_keys().caller_presses("1").wait(2)
    assert call.turns == [("[keypad] 1", "keypad")]
    assert (call.lines[-1], call.replies) == (HOURS, [])
    assert call.agent_says_the_line().remembers[-2:] == [("user", "[keypad] 1"), ("assistant", HOURS)]
    assert call.state == "listening"


def test_a_key_for_a_tool_has_it_run_before_the_model_answers() -> None:
    call = call_with_keys().caller_presses("2").wait(2)
    (started,) = [command for commands in call.answers for command in commands if isinstance(command, cmd.StartReply)]
    assert (started.tool, started.arguments, started.text) == ("order_status", '{"of": "caller"}', "[keypad] 2")
    assert call.agent_says("It is on its way.").state == "listening"


def test_a_key_for_a_human_transfers_the_caller() -> None:
    call = call_with_keys().caller_presses("0").wait(2)
    assert call.lines[-1] == ENGLISH.transfer
    assert call.agent_says_the_line().transfer == "sales"


@pytest.mark.parametrize("keys", ["3", "11", "42#", "*"])
def test_all_other_entries_go_to_the_model(keys: str) -> None:
    call = call_with_keys().caller_presses(keys).wait(2)
    assert call.replies[-1].text == f"[keypad] {keys.rstrip('#')}"


def test_the_number_that_was_asked_for_goes_to_the_model() -> None:
    call = call_with_keys().caller_says("Where is my order?").agent_says("What is your order number?")
    assert call.caller_presses("1#").wait(0).replies[-1].text == "[keypad] 1"


def test_a_key_that_answers_the_question_for_consent_is_no_key_of_the_menu() -> None:
    call = Call(keypad=KEYS, lines=LINES, asks_consent=True).is_answered()
    while call.waiting:
        call.agent_says_the_line()
    assert ENGLISH.consent in call.lines
    call.caller_presses("1").wait(2)
    assert HOURS not in call.lines
    assert [row.data["agreed"] for row in call.rows if row.type == ConsentAnswered.type] == [True]


def test_without_a_menu_keys_go_to_the_model() -> None:
    assert greeted_call().caller_presses("1").wait(2).replies[-1].text == "[keypad] 1"


def test_who_was_not_understood_hears_the_menu() -> None:
    call = call_with_keys()
    for _ in range(3):
        call.caller_says("mumble", confidence=0.1)
        call.agent_says_the_line()
    assert call.lines[-1] == f"{ENGLISH.keypad} {MENU}"


def test_who_makes_sounds_of_which_no_words_come_is_offered_the_keys() -> None:
    call = call_with_keys(idle_prompt_seconds=8.0)
    for _ in range(2):
        call.wait(1).caller_makes_a_sound().wait(1).caller_falls_silent()
    assert call.wait(9).lines[-1] == f"{ENGLISH.keypad} {MENU}"


def test_the_menu_is_in_the_language_of_the_call() -> None:
    call = Call("ru", keypad=KEYS, lines=LINES).is_greeted()
    deaf(call)
    assert call.lines[-1] == (
        f"{RUSSIAN.deaf} Чтобы узнать часы работы, нажмите 1. Чтобы поговорить с сотрудником, нажмите 0."
    )
    assert call.caller_presses("1").wait(0).lines[-1] == "С девяти до шести."


def test_a_policy_is_the_same_when_it_is_read_from_its_row() -> None:
    policy = CallPolicy(keypad=KEYS, lines=LINES)
    assert CallPolicy.from_dict(policy.to_dict()) == policy


# --- a caller who cannot be heard -------------------------------------------------------------------------------------


def test_the_caller_is_told_at_once_and_offered_the_keys() -> None:
    call = call_with_keys().hearing_fails(final=True)
    assert call.lines[-1] == f"{ENGLISH.deaf} {MENU}"
    assert call.ended is None


def test_without_a_menu_they_are_offered_the_keypad_too() -> None:
    call = greeted_call().hearing_fails(final=True)
    assert call.lines[-1] == ENGLISH.deaf
    assert "keypad" in ENGLISH.deaf


def test_they_are_told_at_the_first_gap_in_the_agents_speech() -> None:
    call = call_with_keys().caller_says("When do you open?").agent_begins("At nine. ").hearing_fails(final=True)
    assert call.replies[0].fate == "speaking"
    assert call.wait(1).agent_falls_silent().lines[-1] == f"{ENGLISH.deaf} {MENU}"


def test_a_key_acts_at_once_because_nothing_else_can_be_meant() -> None:
    assert deaf(call_with_keys()).caller_presses("1").wait(0).lines[-1] == HOURS


def test_keys_hold_off_the_end_and_silence_brings_it() -> None:
    call = deaf(call_with_keys(stt_give_up_seconds=10.0))
    for _ in range(4):
        call.wait(8).caller_presses("1").wait(0).agent_says_the_line()
        assert call.ended is None
    call.wait(11)
    assert call.lines[-1] == ENGLISH.failure_goodbye
    assert call.agent_says_the_line().ended == ("provider_failure", "provider:deepgram")


def test_an_entry_for_the_model_and_its_answer_hold_off_the_end_too() -> None:
    call = deaf(greeted_call(stt_give_up_seconds=10.0)).wait(8).caller_presses("4155").wait(2)
    assert call.agent_begins("Your order is ").wait(12).lines[-1] == ENGLISH.deaf
    assert call.agent_falls_silent().wait(5).caller_presses("1#").wait(1).ended is None


def test_nobody_asks_a_caller_who_cannot_be_heard_whether_they_are_there() -> None:
    call = deaf(call_with_keys(idle_prompt_seconds=2.0, stt_give_up_seconds=10.0)).wait(8)
    assert call.lines[-1] == f"{ENGLISH.deaf} {MENU}"


def test_who_is_heard_again_goes_on_talking() -> None:
    call = deaf(call_with_keys()).wait(3).hearing_works_again().wait(5)
    assert call.ended is None
    assert call.caller_says("Hello?").state == "processing"


def test_a_second_loss_of_another_vendor_changes_nothing() -> None:
    call = deaf(call_with_keys(stt_give_up_seconds=10.0))
    call.tell(ev.ProviderFailed("cartesia", "listen", "stt_lost", True))
    assert len([line for line in call.lines if line.startswith(ENGLISH.deaf)]) == 1
