"""From the first ring to the end of the greeting."""

from dataclasses import replace

import pytest

from app.conversation import events as ev
from app.conversation.commands import Say, StopUtterance
from tests.conversation.script import LINES, Call


def test_an_answered_call_is_greeted() -> None:
    call = Call().is_answered()

    assert call.asked == [Say(turn=1, utterance=1, kind="greeting", language="en", text=LINES.greeting)]
    assert call.state == "listening"


def test_the_agent_speaks_from_the_first_sound_of_the_greeting_to_its_last() -> None:
    call = Call().is_answered()

    assert call.agent_begins().state == "speaking"
    assert call.agent_falls_silent().state == "listening"
    assert call.remembers == [("assistant", LINES.greeting)]


def test_nothing_is_said_while_the_phone_rings() -> None:
    call = Call()

    call.caller_says("Hello? Is anybody there?").caller_presses("1#").operator_says("Good news.").hearing_fails()
    call.wait(20)

    assert call.utterances == []
    assert call.state == "listening"


def test_what_an_operator_wants_said_while_the_phone_rings_follows_the_greeting() -> None:
    call = Call().operator_says("Your table is ready.").is_greeted()

    assert call.lines == [LINES.greeting, "Your table is ready."]


def test_a_call_that_nobody_answers_ends() -> None:
    call = Call(ring_seconds=45.0).wait(44.9)
    assert call.ended is None

    call.wait(0.1)

    assert call.ended == ("no_answer", "none")


def test_answering_twice_greets_once() -> None:
    call = Call().is_greeted().is_answered()

    assert call.lines == [LINES.greeting]


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("busy", "none"),
        ("declined", "none"),
        ("no_answer", "none"),
        ("invalid_number", "none"),
        ("carrier_error", "carrier"),
    ],
)
def test_a_telephone_that_is_called_and_does_not_answer_says_why(reason: str, fault: str) -> None:
    call = Call()
    call.tell(ev.CallerLeft(reason, "sip 486"))

    assert call.ended == (reason, fault)


def test_the_caller_may_hang_up_while_the_phone_rings() -> None:
    assert Call().caller_hangs_up().ended == ("caller_hangup", "none")


def test_a_service_that_stops_while_the_phone_rings_says_nothing() -> None:
    call = Call().service_stops()

    assert call.ended == ("shutdown", "ours")
    assert call.lines == []


def test_a_short_hello_before_the_greeting_does_not_cost_the_greeting() -> None:
    call = Call().is_answered().caller_says("Hello?")

    assert call.last("greeting").fate == "waiting"
    assert call.ignored == ["not_interruptible"]
    assert call.agent_says_the_line().wait(7).remembers == [("assistant", LINES.greeting)]
    assert call.turns == []


def test_what_was_prepared_for_a_short_hello_is_dropped() -> None:
    call = Call().is_answered().caller_seems_to_end("Hello there!").caller_ends("Hello there!")

    assert call.replies[0].fate == "stopped"
    assert call.last("greeting").fate == "waiting"


def test_a_caller_who_says_what_he_wants_before_the_greeting_is_answered_at_once() -> None:
    call = Call().is_answered().caller_says("I want to move my appointment")

    assert call.last("greeting").fate == "stopped"
    assert call.replies[0].text == "I want to move my appointment"
    assert call.state == "processing"


def test_a_caller_may_interrupt_the_greeting() -> None:
    call = Call().is_answered().agent_begins().caller_has_heard("Hello! I am")

    call.caller_says("I want to move my appointment")

    assert call.last("greeting").fate == "stopped"
    assert call.remembers == [("assistant", "Hello! I am"), ("user", "I want to move my appointment")]


def test_words_stop_a_greeting_that_has_begun() -> None:
    assert Call().is_answered().agent_begins().caller_begins("I want to").asked == [StopUtterance(1)]


@pytest.mark.parametrize(
    "hello", ["Алло?", "алло алло", "Да, здравствуйте.", "Hello?", "Hi, good morning", "Yes?", "Слушаю вас", "мм"]
)
def test_a_hello_over_the_greeting_is_passed_over_and_the_greeting_goes_on(hello: str) -> None:
    call = Call().is_answered().agent_begins().wait(0.2).caller_says(hello)

    assert call.last("greeting").fate == "speaking"
    assert call.replies == []
    assert len(call.ignored) == 1
    assert call.wait(2).agent_falls_silent().remembers == [("assistant", LINES.greeting)]


@pytest.mark.parametrize(
    "words", ["Hello, I want to move", "Алло, это кто", "Стоп", "Оператора", "Move my appointment"]
)
def test_more_than_a_hello_over_the_greeting_is_heard(words: str) -> None:
    call = Call().is_answered().agent_begins().wait(0.2).caller_says(words)

    assert call.turns == [(words, "speech")]


@pytest.mark.parametrize("hello", ["Добрый день", "good morning", "Да, добрый вечер", "Слушаю вас"])
def test_a_hello_that_comes_word_by_word_is_passed_over(hello: str) -> None:
    call = Call().is_answered().agent_begins().wait(0.2).caller_makes_a_sound()
    parts = hello.split()
    for count in range(1, len(parts) + 1):
        call.wait(0.2).caller_begins(" ".join(parts[:count]))
    call.caller_falls_silent().wait(0.3).caller_ends(hello)

    assert call.last("greeting").fate == "speaking"
    assert call.turns == []


def test_a_hello_over_the_last_word_of_the_greeting_is_passed_over_as_well() -> None:
    call = Call().is_answered().agent_begins().wait(4).caller_makes_a_sound().caller_begins("Hello?")
    call.caller_falls_silent().wait(0.6).agent_falls_silent()

    assert call.caller_ends("Hello?").ignored == ["not_interruptible"]


def test_a_greeting_that_begins_while_the_caller_makes_a_sound_waits_for_his_words() -> None:
    call = Call().is_answered().caller_makes_a_sound().wait(0.2).agent_begins()

    assert call.last("greeting").fate == "held back"
    assert call.wait(2).last("greeting").fate == "speaking"


def test_a_line_that_is_noisy_from_the_beginning_does_not_hold_the_greeting_back() -> None:
    call = Call().is_answered().caller_makes_a_sound().wait(1.9).agent_begins()

    assert call.last("greeting").fate == "speaking"


def test_a_greeting_that_cannot_be_said_leaves_a_call_that_listens() -> None:
    call = Call().is_answered().speaking_fails()

    assert call.state == "listening"
    assert call.ended is None
    assert call.caller_says("I want to move my appointment").state == "processing"


def test_a_greeting_that_does_not_begin_is_given_up() -> None:
    call = Call(line_start_seconds=3.0).is_answered().wait(3.0)

    assert call.last("greeting").fate == "stopped"
    assert call.caller_hangs_up().ended == ("caller_hangup", "ours")


def test_a_caller_whom_nobody_can_hear_is_told_so_as_soon_as_the_call_is_answered() -> None:
    call = Call().hearing_fails(final=True)
    assert call.ended is None

    call.is_answered()

    assert call.lines == [LINES.failure_goodbye]
    assert call.agent_says_the_line().ended == ("provider_failure", "provider:deepgram")


def test_speech_to_text_that_is_late_while_the_phone_rings_is_given_its_time_after_the_answer() -> None:
    call = Call(stt_outage_seconds=3.0).hearing_fails().wait(10).is_greeted()

    assert call.lines == [LINES.greeting]
    assert call.wait(3).lines[-1] == LINES.deaf


def test_row_one_holds_the_policy_that_the_call_was_run_with() -> None:
    first = Call(ring_seconds=12.0).rows[0]

    assert (first.type, first.seq, first.data["language"]) == (ev.CallCreated.type, 1, "en")
    assert first.data["policy"]["ring_seconds"] == 12.0


# --- what must be heard of it ----------------------------------------------------------------------------------------

GREETING = "Hello! I'm a voice assistant of the clinic. This call is recorded. How can I help you?"
RECORDED = "This call is recorded."


def greeting_call() -> Call:
    lines = {"en": replace(LINES, greeting=GREETING)}
    return Call(lines=lines).is_answered()


@pytest.mark.parametrize(
    ("heard_seconds", "unheard"),
    [
        (0.0, "I'm a voice assistant of the clinic. This call is recorded."),
        (1.5, "I'm a voice assistant of the clinic. This call is recorded."),
        (3.2, RECORDED),
        (5.0, None),
    ],
)
def test_a_caller_who_cuts_in_hears_the_rest_of_the_notice_before_the_answer(
    heard_seconds: float, unheard: str | None
) -> None:
    call = greeting_call().agent_begins().wait(heard_seconds).caller_says("I want to move my appointment")

    assert call.lines[1:] == ([] if unheard is None else [unheard])
    if unheard is not None:
        assert call.agent_begins().state == "speaking"
        assert call.wait(2).agent_falls_silent().state == "processing"
        assert call.remembers[-2:] == [("user", "I want to move my appointment"), ("assistant", unheard)]
    assert call.agent_says("Of course.").remembers[-1] == ("assistant", "Of course.")
    assert call.caller_says("To Tuesday please").agent_says("Done.").lines[1:] == ([] if unheard is None else [unheard])


def test_a_caller_who_speaks_before_the_greeting_hears_the_notice_before_the_answer() -> None:
    call = greeting_call().caller_says("I want to move my appointment")

    assert call.last("notice").text == "I'm a voice assistant of the clinic. This call is recorded."


def test_a_notice_that_is_cut_short_is_said_again_until_it_was_heard() -> None:
    call = greeting_call().agent_begins().wait(3.2).caller_says("I want to move my appointment")
    call.agent_begins().wait(0.3).caller_says("No wait, I want to cancel it")

    assert [reply.fate for reply in call.replies] == ["stopped", "waiting"]
    assert [utterance.fate for utterance in call.utterances if utterance.text == RECORDED] == ["stopped", "waiting"]
    assert call.agent_begins().wait(2).agent_falls_silent().agent_says("It is done.").state == "listening"


@pytest.mark.parametrize("words", ["uh-huh", "yes", "hello?", "добрый день"])
def test_small_words_do_not_stop_the_notice_nor_its_answer(words: str) -> None:
    call = greeting_call().agent_begins().wait(3.2).caller_says("I want to move my appointment")
    call.agent_begins().wait(1.2).caller_says(words)

    assert call.last("notice").fate == "speaking"
    assert call.replies[-1].fate == "waiting"
    assert len(call.replies) == 1


def test_a_notice_that_cannot_be_said_does_not_cost_the_answer() -> None:
    call = greeting_call().agent_begins().wait(3.2).caller_says("I want to move my appointment").speaking_fails()

    assert call.agent_says("Of course.").remembers[-1] == ("assistant", "Of course.")
    assert call.state == "listening"


def test_a_long_notice_does_not_make_the_answer_late() -> None:
    call = greeting_call().agent_begins().wait(3.2).caller_says("I want to move my appointment")

    call.agent_begins().wait(14)

    assert call.replies[-1].fate == "waiting"
    assert call.agent_falls_silent().agent_says("Of course.").state == "listening"
