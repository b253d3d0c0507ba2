"""Both sides say goodbye: when the line closes though the model has not hung up, and when it does not."""

import pytest

from tests.conversation.script import LINES, Call, greeted_call


def russian_call(**manners: float) -> Call:
    return Call("ru", **manners).is_greeted()


# --- mutual farewells ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "agent", "caller"),
    [
        ("ru", ("Всего доброго, до свидания!", "До свидания!"), ("До свидания", "Ага, пока")),
        ("ru", ("Ждём вас. Хорошего дня!", "И вам всего хорошего!"), ("Спасибо, и вам хорошего дня", "До свидания")),
        ("en", ("Thank you for calling. Goodbye!", "Take care, bye!"), ("Thanks, bye", "Bye bye")),
        ("en", ("Have a nice day!", "Goodbye!"), ("You too, have a good one", "Bye")),
    ],
)
def test_after_the_second_mutual_farewell_the_line_closes(
    language: str, agent: tuple[str, str], caller: tuple[str, str]
) -> None:
    """The model never hangs up. Nobody says goodbye a third time."""
    call = Call(language).is_greeted().caller_says("Thank you, that is all I needed to know")
    call.agent_says(agent[0]).caller_says(caller[0])
    assert call.ended is None

    call.agent_says(agent[1]).caller_says(caller[1])

    assert call.ended == ("agent_hangup", "none")
    assert call.live == []
    assert call.lines[1:] == [], "no prepared goodbye on top"


def test_when_the_caller_has_begun_the_line_closes_after_the_agents_second_goodbye() -> None:
    call = russian_call().caller_says("Спасибо, до свидания").agent_says("До свидания!")
    assert call.ended is None

    assert call.caller_says("Пока").agent_says("Всего доброго!").ended == ("agent_hangup", "none")


def test_the_last_goodbye_needs_no_answer() -> None:
    call = greeted_call().caller_says("Thanks for everything you did").agent_says("Goodbye!").caller_says("Bye")
    call.agent_says("Bye!").caller_says("Bye bye")

    assert call.ended == ("agent_hangup", "none")
    assert call.record.unanswered == {}
    assert [turn.text for turn in call.record.turns if turn.role == "user"][-1] == "Bye bye"


def test_the_silence_after_a_mutual_farewell_closes_the_line_and_nobody_is_asked_whether_they_are_there() -> None:
    call = russian_call().caller_says("Спасибо, до свидания").agent_says("До свидания!")

    assert call.wait(4.9).ended is None
    assert call.wait(0.2).ended == ("agent_hangup", "none")
    assert call.lines[1:] == []


def test_the_silence_after_the_agents_goodbye_closes_the_line_too() -> None:
    call = greeted_call().caller_says("No, nothing else").agent_says("Thank you for calling. Goodbye!")

    assert call.wait(5.1).ended == ("agent_hangup", "none")


def test_who_goes_on_after_a_goodbye_is_answered_and_the_count_restarts() -> None:
    call = greeted_call().caller_says("Thanks, bye").agent_says("Goodbye!")
    call.caller_says("Oh, one more thing: where do I park?").agent_says("Behind the house.")
    call.caller_says("Great, bye").agent_says("Bye!")

    assert call.ended is None
    assert call.caller_says("Bye").agent_says("Bye bye!").ended == ("agent_hangup", "none")


def test_a_goodbye_that_is_answered_with_a_question_ends_nothing() -> None:
    call = greeted_call().caller_says("Thanks, bye").agent_says("Goodbye!")
    call.caller_says("Bye").agent_says("Bye! Or shall I book it right now?")

    assert call.ended is None
    assert call.wait(8.1).lines[1:] == [call.policy.lines["en"].idle[0]], "the caller was asked something"


@pytest.mark.parametrize("thanks", ["Thank you so much", "Okay, great, thanks"])
def test_thanks_after_a_mutual_farewell_are_answered_and_then_the_line_closes(thanks: str) -> None:
    call = greeted_call().caller_says("Thanks, bye").agent_says("Goodbye!").caller_says(thanks)
    assert call.ended is None

    assert call.agent_says("You are welcome.").ended == ("agent_hangup", "none")


def test_a_farewell_without_one_of_the_agent_is_answered() -> None:
    call = greeted_call().caller_says("Bye").agent_says("Wait, your appointment is not booked yet.")

    assert call.caller_says("Bye").ended is None


# --- an interrupted goodbye after which the agent meant to hang up ---------------------------------------------------


@pytest.mark.parametrize(
    ("language", "goodbye", "words"),
    [
        ("ru", "Спасибо за звонок, до свидания! ", "ага, спасибо, пока"),
        ("ru", "Хорошего вам дня! ", "И вам, до свидания"),
        ("en", "Thank you for calling. Goodbye! ", "uh-huh, thanks, bye"),
        ("en", "Have a nice day! ", "you too, bye"),
    ],
)
def test_a_goodbye_over_the_goodbye_closes_the_line(language: str, goodbye: str, words: str) -> None:
    call = Call(language).is_greeted().caller_says("That is all I wanted").model_asks_to_hang_up()

    call.agent_begins(goodbye).caller_says(words)

    assert call.ended == ("agent_hangup", "none")


def test_a_caller_who_has_not_heard_a_goodbye_gets_a_prepared_one() -> None:
    call = russian_call().caller_says("Это всё, что я хотела узнать").model_asks_to_hang_up()
    call.agent_begins("Записала вас на вторник, ").caller_says("ага, спасибо, пока")

    assert call.last("goodbye").text == call.policy.lines["ru"].goodbye
    assert call.agent_says_the_line().ended == ("agent_hangup", "none")


def test_a_goodbye_that_was_stopped_before_its_first_sound_is_remembered() -> None:
    call = greeted_call().caller_says("That is all").model_asks_to_hang_up().caller_says("Thanks, bye")

    assert call.agent_says_the_line().ended == ("agent_hangup", "none")


def test_thanks_over_the_goodbye_get_an_answer_and_then_the_line_closes() -> None:
    call = greeted_call().caller_says("That is all I wanted").model_asks_to_hang_up()
    call.agent_begins("Goodbye, then! ").caller_says("Thank you so much")
    assert call.ended is None

    assert call.agent_says("You are welcome.").ended == ("agent_hangup", "none")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Wait, one more thing"),
        ("en", "Thanks, bye, oh wait, I forgot something"),
        ("en", "And what does it cost?"),
        ("ru", "Подождите, ещё вопрос"),
        ("ru", "Спасибо, а сколько это стоит?"),
        ("ru", "Пока не кладите трубку"),
    ],
)
def test_one_more_thing_over_the_goodbye_is_answered(language: str, words: str) -> None:
    call = Call(language).is_greeted().caller_says("That is all I wanted").model_asks_to_hang_up()

    call.agent_begins("Goodbye! ").caller_says(words)
    assert call.ended is None
    assert call.replies[-1].text == words

    call.agent_says("Sure.")
    assert call.ended is None
    assert call.wait(8.1).ended is None, "the wish to hang up is forgotten"
    assert call.lines[1:] == [call.policy.lines[language].idle[0]]


@pytest.mark.parametrize(("words", "end"), [("Wait, one more thing", None), ("Thanks, bye", ("agent_hangup", "none"))])
def test_a_turn_that_is_reported_only_when_it_has_ended_is_understood_as_well(
    words: str, end: tuple[str, str] | None
) -> None:
    call = greeted_call().caller_says("That is all I wanted").model_asks_to_hang_up().agent_begins("Goodbye! ")

    call.caller_makes_a_sound().wait(1.0).caller_falls_silent().caller_ends(words)
    assert call.ended == end

    if end is None:
        assert call.agent_says("Sure.").wait(8.1).ended is None


def test_one_more_thing_over_a_prepared_goodbye_is_answered_too() -> None:
    call = greeted_call().caller_says("That is all").model_asks_to_hang_up().agent_has_nothing_to_say()
    call.agent_begins().caller_says("Wait, one more thing")

    assert call.agent_says("Sure.").ended is None


def test_a_caller_who_starts_to_speak_as_the_goodbye_ends_is_heard() -> None:
    """Two false interruptions: nothing pauses this utterance any more."""
    call = greeted_call().caller_says("That is all I wanted").model_asks_to_hang_up().agent_begins("Goodbye, then! ")
    for _ in range(2):
        call.caller_makes_a_sound().caller_falls_silent().wait(0.7)

    call.caller_makes_a_sound().agent_falls_silent()
    assert call.ended is None

    call.wait(0.3).caller_begins("One more thing").caller_falls_silent().caller_ends("One more thing")
    assert call.replies[-1].text == "One more thing"


@pytest.mark.parametrize(
    ("words", "end"), [("Wait, one more thing", None), ("Bye now", ("agent_hangup", "none")), (None, None)]
)
def test_a_caller_who_starts_to_speak_as_the_second_goodbye_ends_is_heard(
    words: str | None, end: tuple[str, str] | None
) -> None:
    call = greeted_call().caller_says("Thanks, bye").agent_says("Goodbye!").caller_says("Bye").agent_begins("Bye bye! ")

    call.caller_makes_a_sound().agent_falls_silent()
    assert call.ended is None

    call.wait(0.3).caller_falls_silent()
    if words is None:
        assert call.wait(5.0).ended == ("agent_hangup", "none")
    else:
        assert call.caller_ends(words).ended == end


@pytest.mark.parametrize("hangs_up", [True, False])
def test_an_operators_line_is_said_after_the_goodbye_and_then_the_line_closes(hangs_up: bool) -> None:
    call = greeted_call().caller_says("Thanks, bye").agent_says("Goodbye!").caller_says("Bye")
    if hangs_up:
        call.model_asks_to_hang_up()

    call.agent_begins("Bye bye! ").operator_says("Mind your umbrella.").agent_falls_silent()
    assert call.waiting[0].text == "Mind your umbrella."

    assert call.agent_says_the_line().wait(5.0).ended == ("agent_hangup", "none")


def test_a_caller_who_only_coughs_as_the_goodbye_ends_does_not_keep_the_call() -> None:
    call = greeted_call().caller_says("That is all I wanted").model_asks_to_hang_up().agent_begins("Goodbye, then! ")
    for _ in range(2):
        call.caller_makes_a_sound().caller_falls_silent().wait(0.7)

    call.caller_makes_a_sound().agent_falls_silent().wait(0.3).caller_falls_silent()

    assert call.wait(5.0).ended == ("agent_hangup", "none")


def test_nobody_says_goodbye_for_ever() -> None:
    """Both interrupt each other's goodbyes."""
    call = greeted_call().caller_says("That is all I wanted")
    goodbyes = 0
    while call.ended is None and goodbyes < 10:
        goodbyes += 1
        if call.waiting:
            waiting = call.waiting[0]
            call.agent_begins("Goodbye! " if waiting.kind == "reply" else None)
        call.caller_says("Bye")

    assert call.ended == ("agent_hangup", "none")
    assert goodbyes <= 3


# --- without a model -------------------------------------------------------------------------------------------------


def test_who_has_said_goodbye_is_not_asked_to_repeat_it_when_the_answer_is_lost() -> None:
    call = greeted_call().caller_says("Thanks, goodbye").thinking_fails()
    assert call.lines[-1] == LINES.goodbye

    assert call.agent_says_the_line().ended == ("agent_hangup", "provider:openai")
    assert call.lines.count(LINES.apology) == 0


def test_a_goodbye_after_a_lost_answer_ends_the_call_too_and_asks_for_no_message() -> None:
    call = greeted_call(takes_messages=True).caller_says("When are you open?").thinking_fails().agent_says_the_line()
    call.caller_says("Never mind, bye").thinking_fails()

    assert call.lines[-1] == LINES.goodbye
    assert call.agent_says_the_line().ended == ("agent_hangup", "provider:openai")


def test_a_question_after_a_goodbye_is_asked_for_again_when_its_answer_is_lost() -> None:
    call = greeted_call().caller_says("Thanks, bye").agent_says("Goodbye!")
    call.caller_says("Oh, where do I park?").thinking_fails()

    assert call.lines[-1] == LINES.apology


def test_a_goodbye_of_the_model_that_breaks_off_ends_the_call() -> None:
    call = greeted_call().caller_says("Thanks, goodbye").agent_begins("Good").thinking_fails()
    call.finish(call.audible or call.live[0])

    assert call.ended == ("agent_hangup", "provider:openai")
