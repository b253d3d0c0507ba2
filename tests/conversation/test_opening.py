"""The disclosure, the question for consent, and the greeting after them."""

from dataclasses import replace
from typing import Any

import pytest

from app.conversation.commands import Say, StartRecording
from app.journal.replay import differences
from tests.conversation.script import LINES, Call

DISCLOSURE = "You are speaking with a machine."
NOTICE = "We record this call."
GREETING = "Hello, this is the clinic. How can I help you?"
DISCLOSES = replace(LINES, greeting=GREETING, disclosure=DISCLOSURE, notice=NOTICE)
ASKS = replace(LINES, greeting=GREETING)


def a_call(lines: Any = DISCLOSES, **manners: Any) -> Call:
    return Call(lines={"en": lines}, **manners).is_answered()


def asks() -> Call:
    """The caller has heard the question."""
    return a_call(ASKS, asks_consent=True).agent_says_the_line()


def consents(call: Call) -> list[tuple[bool, str]]:
    return [(data["agreed"], data["how"]) for data in call.facts("consent.answered")]


def test_the_disclosure_is_said_first_and_the_greeting_follows() -> None:
    call = a_call()

    assert call.asked == [Say(1, 1, "disclosure", "en", f"{DISCLOSURE} {NOTICE}")]
    assert call.agent_says_the_line().lines == [f"{DISCLOSURE} {NOTICE}", GREETING]


@pytest.mark.parametrize("said", ["Hello?", "I want to book a table for tomorrow", "stop", "Wait, wait", "Goodbye!"])
@pytest.mark.parametrize("has_begun", [True, False])
def test_nothing_that_the_caller_says_cuts_the_disclosure(said: str, has_begun: bool) -> None:
    call = a_call()
    if has_begun:
        call.agent_begins()
    call.caller_seems_to_end(said).caller_says(said).caller_presses("1#").wait(0.5)

    assert [utterance.fate for utterance in call.utterances] == ["speaking" if has_begun else "waiting"]
    assert call.replies == []
    assert set(call.ignored) == {"not_interruptible"}


@pytest.mark.parametrize("has_begun", [True, False])
def test_what_the_caller_asks_for_during_the_disclosure_is_answered_after_it(has_begun: bool) -> None:
    call = a_call()
    if has_begun:
        call.agent_begins()
    call.caller_says("I want to book a table").wait(1)
    assert (call.turns, call.replies) == ([("I want to book a table", "speech")], [])
    if not has_begun:
        call.agent_begins()
    call.agent_falls_silent()

    assert [reply.text for reply in call.replies] == ["I want to book a table"]
    assert call.lines == [f"{DISCLOSURE} {NOTICE}", "Hello, this is the clinic."]
    assert call.state == "processing"
    assert call.record.disclosure_heard_at is not None


def test_all_that_the_caller_says_during_the_disclosure_is_answered_at_once() -> None:
    call = a_call().agent_begins()
    call.caller_says("I want to book a table").wait(0.5).caller_says("For two, please").wait(0.5)
    call.agent_falls_silent()

    assert [text for text, _ in call.turns] == ["I want to book a table", "For two, please"]
    assert [reply.text for reply in call.replies] == ["I want to book a table For two, please"]
    assert list(call.agent_says("Gladly.").caller_hangs_up().record.unanswered) == []


@pytest.mark.parametrize("said", ["Hello?", "uh-huh", "You are speaking with a machine"])
def test_a_hello_or_an_echo_during_the_disclosure_is_no_request(said: str) -> None:
    call = a_call().agent_begins()
    call.agent_goes_on(NOTICE).caller_says(said).wait(0.5)
    call.agent_falls_silent()

    assert (call.turns, call.replies) == ([], [])
    assert call.lines[-1] == GREETING


def test_a_disclosure_that_breaks_comes_again_before_the_answer() -> None:
    call = a_call().agent_begins()
    call.caller_says("I want to book a table").speaking_fails()
    call.agent_falls_silent()
    assert call.replies == []
    call.agent_says_the_line()

    assert [reply.text for reply in call.replies] == ["I want to book a table"]


def test_the_question_for_consent_comes_before_that_answer() -> None:
    call = a_call(DISCLOSES, asks_consent=True).agent_begins()
    call.caller_says("I want to book a table").agent_falls_silent()
    assert (call.lines[-1], call.replies) == (LINES.consent, [])
    call.agent_says_the_line().caller_says("Yes, sure")

    assert consents(call) == [(True, "speech")]
    assert [reply.text for reply in call.replies] == ["I want to book a table"]
    assert call.lines[-1] == "Hello, this is the clinic."


def test_an_answer_to_the_question_that_asks_for_something_answers_both() -> None:
    call = a_call(DISCLOSES, asks_consent=True).agent_begins()
    call.caller_says("I want to book a table").agent_falls_silent()
    call.agent_says_the_line().caller_says("Yes, and I need a parking place").agent_says_the_line()

    assert [reply.text for reply in call.replies] == ["Yes, and I need a parking place"]
    assert [text for text, _ in call.turns] == ["I want to book a table", "Yes, and I need a parking place"]


def test_an_operators_line_does_not_cut_the_disclosure() -> None:
    call = a_call().operator_says("One moment.").agent_says_the_line().agent_says_the_line().agent_says_the_line()

    assert call.lines == [f"{DISCLOSURE} {NOTICE}", GREETING, "One moment."]


def test_words_that_go_on_after_the_disclosure_are_a_turn() -> None:
    call = a_call().agent_begins()
    call.caller_makes_a_sound().caller_begins("I want")
    call.agent_falls_silent().agent_begins()
    call.caller_says("I want to book a table")

    assert call.turns == [("I want to book a table", "speech")]


def test_a_disclosure_that_breaks_comes_again() -> None:
    call = a_call().agent_begins()
    call.speaking_fails()
    call.agent_falls_silent()

    assert call.lines == [f"{DISCLOSURE} {NOTICE}"] * 2
    assert call.record.disclosure_heard_at is None
    assert call.agent_says_the_line().record.disclosure_heard_at is not None


def test_the_record_says_when_the_disclosure_was_heard() -> None:
    before = a_call().agent_begins()
    unheard = before.record.disclosure_heard_at
    after = before.wait(1).agent_falls_silent()

    assert unheard is None
    assert after.record.disclosure_heard_at == next(row.at for row in after.rows if row.type == "agent.finished")
    assert a_call().agent_begins().caller_hangs_up().record.disclosure_heard_at is None
    assert a_call(ASKS).agent_says_the_line().record.disclosure_heard_at is None


def test_a_disclosure_comes_before_the_question() -> None:
    call = a_call(DISCLOSES, asks_consent=True).agent_says_the_line().agent_says_the_line()

    assert call.lines == [f"{DISCLOSURE} {NOTICE}", LINES.consent]
    assert call.state == "listening"


def test_the_call_is_recorded_from_a_yes_on() -> None:
    call = asks().caller_says("Yes, sure")

    assert StartRecording() in call.asked
    assert consents(call) == [(True, "speech")]
    assert call.lines[-1] == GREETING
    assert call.record.consent == "given"
    assert call.replies == []


@pytest.mark.parametrize(("keys", "agreed"), [("1", True), ("2#", False)])
def test_keys_answer_too(keys: str, agreed: bool) -> None:
    call = asks().caller_presses(keys).wait(3)

    assert consents(call) == [(agreed, "keypad")]


def test_a_no_is_confirmed_and_nothing_is_recorded() -> None:
    call = asks().caller_says("No, I don't want that")
    assert StartRecording() not in call.asked
    call.agent_says_the_line()

    assert call.lines[-2:] == [LINES.not_recorded, GREETING]
    assert consents(call) == [(False, "speech")]
    assert call.record.consent == "refused"


def test_a_caller_who_cuts_the_confirmation_still_hears_who_speaks() -> None:
    call = asks().caller_says("No").agent_begins().caller_says("I want to book a table for two")

    assert call.lines[-1] == "Hello, this is the clinic."
    assert [reply.text for reply in call.replies] == ["I want to book a table for two"]


def test_an_unclear_answer_is_asked_again_once() -> None:
    call = asks().caller_says("What for?").agent_says_the_line()
    assert call.lines[-2:] == [LINES.consent, LINES.consent]
    call.caller_says("I want to book a table")

    assert consents(call) == [(False, "unclear")]
    assert [reply.text for reply in call.replies] == ["I want to book a table"]


def test_an_answer_that_asks_for_something_gets_its_answer() -> None:
    call = asks().caller_says("Yes, I want to book a table")

    assert consents(call) == [(True, "speech")]
    assert [reply.text for reply in call.replies] == ["Yes, I want to book a table"]


def test_silence_is_asked_again_once_and_then_is_no_consent() -> None:
    call = asks().wait(9).agent_says_the_line().wait(9)

    assert call.lines[-3:] == [LINES.consent, LINES.consent, GREETING]
    assert consents(call) == [(False, "silence")]


def test_no_model_is_asked_before_the_question_is_settled() -> None:
    call = asks().caller_seems_to_end("Yes")

    assert call.replies == []


def test_a_question_that_could_not_be_said_comes_again() -> None:
    call = a_call(ASKS, asks_consent=True).speaking_fails()

    assert call.lines == [LINES.consent] * 2
    assert call.agent_says_the_line().caller_says("Yes").record.consent == "given"


def test_a_caller_who_hangs_up_has_not_answered() -> None:
    assert asks().caller_hangs_up().record.consent == "unanswered"


def test_a_goodbye_in_place_of_an_answer_is_answered() -> None:
    call = asks().caller_says("Goodbye")

    assert consents(call) == [(False, "unclear")]
    assert [reply.text for reply in call.replies] == ["Goodbye"]


@pytest.mark.parametrize("said", ["Yes", "No", "What for?", "Yes, I want to book a table"])
def test_a_replay_decides_the_same(said: str) -> None:
    call = a_call(DISCLOSES, asks_consent=True).agent_says_the_line().agent_says_the_line().caller_says(said)
    call.agent_says_the_line() if not call.replies else call.agent_says("Which day?")

    assert differences(call.caller_hangs_up().rows) == []
