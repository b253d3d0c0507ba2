"""The caller makes himself heard while the agent speaks."""

import pytest

from app.conversation import events as ev
from app.conversation.commands import PauseUtterance, RaiseThreshold, ResumeUtterance, StopUtterance
from tests.conversation.script import agent_is_answering, greeted_call

# --- sound, then words -----------------------------------------------------------------------------------------------


def test_a_sound_of_the_caller_holds_the_voice_back_at_once() -> None:
    call = agent_is_answering().caller_makes_a_sound()

    assert call.asked == [PauseUtterance(2)]
    assert call.state == "speaking"


def test_words_stop_the_voice_and_what_was_heard_is_remembered() -> None:
    call = agent_is_answering().caller_has_heard("We are open").caller_makes_a_sound().wait(0.4)

    call.caller_begins("and on Sunday")

    assert call.asked == [StopUtterance(2)]
    assert call.state == "listening"
    assert call.remembers[-1] == ("assistant", "We are open")


def test_a_caller_who_interrupts_is_answered_with_both_in_mind() -> None:
    call = agent_is_answering().caller_has_heard("We are open").caller_says("and on Sunday?")

    assert call.replies[-1].text == "and on Sunday?"
    assert call.remembers[-3:] == [
        ("user", "When are you open?"),
        ("assistant", "We are open"),
        ("user", "and on Sunday?"),
    ]


def test_words_stop_the_voice_even_when_no_sound_was_noticed() -> None:
    assert agent_is_answering().caller_begins("and on Sunday").asked == [StopUtterance(2)]


def test_an_end_of_turn_over_the_voice_is_a_turn_even_when_no_words_came_before() -> None:
    call = agent_is_answering().caller_ends("and on Sunday?")

    assert [reply.fate for reply in call.replies] == ["stopped", "waiting"]


def test_what_the_agent_had_no_time_to_say_is_not_remembered() -> None:
    call = agent_is_answering().caller_has_heard("").caller_begins("and on Sunday")

    assert call.remembers[-1] == ("user", "When are you open?")


def test_an_utterance_that_ended_in_the_moment_of_its_stop_is_remembered_as_heard() -> None:
    call = agent_is_answering()
    speech = call.replies[0]
    speech.fate = "finished"

    call.caller_begins("and on Sunday")
    call.finish(speech)

    assert call.remembers[-1] == ("assistant", "We are open from nine to six. ")


def test_an_utterance_that_was_cut_in_its_first_moment_is_remembered_as_heard() -> None:
    call = greeted_call().caller_says("When are you open?")
    call.replies[0].fate, call.replies[0].clauses = "speaking", ["We are open."]

    call.caller_has_heard("We").caller_begins("on Sunday I mean")

    assert call.remembers[-1] == ("assistant", "We")


# --- sound, and nothing more -----------------------------------------------------------------------------------------


def test_noise_without_words_holds_the_voice_back_for_a_moment_only() -> None:
    call = agent_is_answering(false_interruption_timeout=1.5).caller_makes_a_sound().wait(1.4)
    assert call.asked == []

    call.wait(0.1)

    assert call.asked == [ResumeUtterance(2)]
    assert call.replies[0].fate == "speaking"


@pytest.mark.parametrize("reported_late", [0.0, 0.2, 0.4])
def test_a_cough_holds_the_voice_back_for_half_a_second_after_its_last_sound(reported_late: float) -> None:
    call = agent_is_answering().caller_makes_a_sound().wait(0.3)
    ended = call.now

    call.wait(reported_late).tell(ev.CallerSoundStopped(ended))
    call.wait(1)

    assert next(row.t for row in call.rows if row.type == "agent.resumed") - ended == pytest.approx(0.5)


def test_a_caller_who_clears_his_throat_before_he_speaks_is_waited_for() -> None:
    call = agent_is_answering().caller_makes_a_sound().wait(0.2).caller_falls_silent().wait(0.4)

    call.caller_makes_a_sound().wait(0.8)
    assert call.replies[0].fate == "held back"

    assert call.caller_begins("and on Sunday").replies[0].fate == "stopped"


def test_noise_that_comes_and_goes_cannot_hold_the_voice_back_for_long() -> None:
    call = agent_is_answering(false_interruption_timeout=1.5).caller_makes_a_sound()
    began = call.now
    while not call.facts("agent.resumed"):
        call.wait(0.2).caller_falls_silent().wait(0.2).caller_makes_a_sound()

    assert call.now - began <= 2 * 1.5 + 0.4


def test_two_false_pauses_make_the_detector_less_sensitive() -> None:
    call = agent_is_answering()

    call.caller_makes_a_sound().caller_falls_silent().wait(1)
    assert call.threshold_raised == 0
    call.caller_makes_a_sound().caller_falls_silent().wait(1)

    assert call.asked == [RaiseThreshold(), ResumeUtterance(2)]


def test_after_two_false_pauses_only_words_hold_the_same_utterance_back() -> None:
    call = agent_is_answering()
    for _ in range(2):
        call.caller_makes_a_sound().caller_falls_silent().wait(1)

    assert call.caller_makes_a_sound().asked == []
    assert call.caller_begins("and on Sunday").asked == [StopUtterance(2)]


def test_the_next_utterance_may_be_held_back_again() -> None:
    call = agent_is_answering()
    for _ in range(2):
        call.caller_makes_a_sound().caller_falls_silent().wait(1)
    call.agent_falls_silent().caller_says("And on Sunday?").agent_begins("No. ")

    assert call.caller_makes_a_sound().asked == [PauseUtterance(3)]


def test_a_voice_that_is_held_back_is_not_held_back_twice() -> None:
    call = agent_is_answering().caller_makes_a_sound().caller_falls_silent()

    assert call.caller_makes_a_sound().asked == []


def test_an_answer_that_begins_while_the_caller_makes_a_sound_gives_him_the_right_of_way() -> None:
    call = greeted_call().caller_says("When are you open?").caller_makes_a_sound().wait(0.2)

    assert call.agent_begins("We are open. ").asked == [PauseUtterance(2)]


def test_the_last_breath_of_a_turn_does_not_hold_its_answer_back() -> None:
    call = greeted_call().caller_makes_a_sound().wait(0.6).caller_ends("When are you open?").wait(0.3)

    assert call.agent_begins("We are open. ").asked == []


def test_noise_that_has_gone_on_for_a_while_has_no_right_of_way() -> None:
    call = greeted_call().caller_says("When are you open?").caller_makes_a_sound().wait(1.9)

    assert call.agent_begins("We are open. ").asked == []


# --- "uh-huh" --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["uh-huh", "Yes.", "угу", "да-да", "ok, got it"])
def test_a_listener_who_says_that_he_listens_does_not_stop_the_voice(word: str) -> None:
    call = agent_is_answering().caller_makes_a_sound().caller_begins(word).caller_falls_silent()

    assert call.wait(0.6).asked == [ResumeUtterance(2)]
    assert call.replies[0].fate == "speaking"


def test_such_a_word_shortens_the_pause_although_the_sound_goes_on() -> None:
    call = agent_is_answering(resume_seconds=0.6, false_interruption_timeout=1.5)
    for _ in range(2):
        call.caller_makes_a_sound().caller_begins("uh-huh").wait(0.6)
        assert call.asked == [ResumeUtterance(2)]

    assert call.threshold_raised == 0


def test_such_a_turn_is_not_noise_even_when_only_its_end_is_reported() -> None:
    call = agent_is_answering()
    for _ in range(2):
        call.caller_makes_a_sound().caller_falls_silent().caller_ends("uh-huh")

    assert call.threshold_raised == 0


def test_the_end_of_such_a_turn_lets_the_voice_go_on_at_once() -> None:
    call = agent_is_answering().caller_says("uh-huh")

    assert call.asked[-1] == ResumeUtterance(2)
    assert call.ignored == ["acknowledgement"]
    assert call.turns == [("When are you open?", "speech")]


def test_a_turn_that_is_ignored_leaves_the_agent_the_floor() -> None:
    call = agent_is_answering().caller_makes_a_sound().caller_ends("uh-huh")

    assert call.state == "speaking"
    assert call.replies[0].fate == "held back"


def test_a_listeners_words_are_not_noise() -> None:
    call = agent_is_answering()
    for _ in range(4):
        call.caller_says("uh-huh").wait(1)

    assert call.threshold_raised == 0
    assert call.caller_makes_a_sound().asked == [PauseUtterance(2)]


def test_such_words_do_not_pause_a_voice_that_was_not_held_back() -> None:
    assert agent_is_answering().caller_begins("uh-huh").asked == []


@pytest.mark.parametrize("words", ["got it", "I see", "of course", "makes sense", "ok I understand", "всё понятно"])
def test_such_words_that_come_one_by_one_do_not_stop_the_voice(words: str) -> None:
    call = agent_is_answering("We are open from nine to six on every day of the week. ").caller_makes_a_sound()
    parts = words.split()
    for count in range(1, len(parts) + 1):
        call.wait(0.2).caller_begins(" ".join(parts[:count]))

    assert call.caller_falls_silent().wait(0.3).caller_ends(words).ignored == ["acknowledgement"]
    assert call.replies[0].fate == "speaking"


@pytest.mark.parametrize("words", ["I want Sunday", "got to go", "of what", "makes no sense", "all", "I"])
def test_words_that_only_begin_like_them_stop_the_voice(words: str) -> None:
    call = agent_is_answering().caller_makes_a_sound()
    parts = words.split()
    for count in range(1, len(parts) + 1):
        call.wait(0.2).caller_begins(" ".join(parts[:count]))

    assert call.caller_falls_silent().wait(0.3).caller_ends(words).turns[-1] == (words, "speech")


def test_such_words_that_come_one_by_one_do_not_stop_an_answer_that_is_being_made() -> None:
    call = greeted_call().caller_says("When are you open?").caller_begins("got").caller_begins("got it")

    assert call.caller_ends("got it").ignored == ["acknowledgement"]
    assert call.replies[0].fate == "waiting"


def test_a_listener_who_goes_on_to_ask_stops_the_voice() -> None:
    call = agent_is_answering().caller_makes_a_sound().caller_begins("yes").caller_begins("yes but on Sunday")

    assert call.asked == [StopUtterance(2)]


def test_after_a_question_such_a_word_is_the_answer() -> None:
    call = agent_is_answering("Shall I book nine o'clock?").caller_says("yes")

    assert call.turns[-1] == ("yes", "speech")
    assert call.replies[0].fate == "stopped"


@pytest.mark.parametrize("word", ["yes", "uh-huh"])
@pytest.mark.parametrize("clauses", [(), ("I have looked it up. ",), ("I have looked it up. ", "It is free. ")])
def test_inside_a_statement_such_a_word_never_stops_the_voice_wherever_its_clause_stands(
    clauses: tuple[str, ...], word: str
) -> None:
    last = "Your appointment with the doctor is on Tuesday at nine o'clock in the morning."
    call = agent_is_answering((*clauses, last)[0])
    for clause in (*clauses, last)[1:]:
        call.wait(1).agent_goes_on(clause)
    call.agent_has_written("".join((*clauses, last)))

    for _ in range(3):
        call.wait(0.5).caller_says(word)
        assert call.replies[0].fate == "speaking"

    assert call.ignored == ["acknowledgement"] * 3


@pytest.mark.parametrize("word", ["yes", "uh-huh"])
def test_at_the_last_word_of_a_statement_such_a_word_is_an_answer(word: str) -> None:
    statement = "I have booked nine o'clock on Tuesday."
    call = agent_is_answering(statement).agent_has_written(statement).wait(len("I have booked nine o'clock on ") / 15)

    assert call.caller_says(word).turns[-1] == (word, "speech")


def test_while_more_may_be_written_the_last_word_is_not_known() -> None:
    call = agent_is_answering("I have booked nine o'clock. ").wait(3)

    assert call.caller_says("yes").replies[0].fate == "speaking"


def test_a_request_without_a_question_mark_is_answered_like_a_question() -> None:
    call = agent_is_answering("I can book nine o'clock. ").wait(1)
    assert call.caller_begins("yes").asked == []

    call.agent_goes_on("Tell me if that suits you.").wait(1)

    assert call.caller_says("yes").turns[-1] == ("yes", "speech")


def test_early_in_a_long_question_yes_is_an_answer_and_uh_huh_is_not() -> None:
    question = "Would you like to come on Tuesday at nine o'clock or rather on Wednesday in the afternoon?"
    call = agent_is_answering(question).agent_has_written(question).wait(1)
    assert call.caller_says("uh-huh").ignored == ["acknowledgement"]

    assert call.caller_says("yes").turns[-1] == ("yes", "speech")


def test_near_the_end_of_a_question_uh_huh_is_an_answer() -> None:
    question = "Would you like to come on Tuesday at nine o'clock in the morning?"
    call = agent_is_answering(question).agent_has_written(question).wait(3.3)

    assert call.caller_says("uh-huh").turns[-1] == ("uh-huh", "speech")


def test_an_answer_to_a_question_may_come_when_the_next_sentence_has_just_begun() -> None:
    call = agent_is_answering("Is Tuesday all right? ").wait(1.5)
    call.agent_goes_on("If it is not, there are some free places on Wednesday as well.").wait(0.3)
    assert call.caller_says("yes").turns[-1] == ("yes", "speech")

    call = agent_is_answering("Is Tuesday all right? ").wait(1.5)
    call.agent_goes_on("If it is not, there are some free places on Wednesday as well.").wait(2)
    assert call.caller_says("yes").replies[0].fate == "speaking"


def test_a_position_is_counted_without_the_pauses() -> None:
    statement = "I have booked nine o'clock on Tuesday with the doctor."
    call = agent_is_answering(statement).agent_has_written(statement).wait(0.5)

    call.caller_makes_a_sound().wait(0.9).caller_falls_silent().wait(1).caller_makes_a_sound().wait(0.9)

    assert call.caller_begins("yes").replies[0].fate == "held back"


def test_the_end_of_such_a_turn_that_comes_after_the_statement_has_ended_is_not_a_turn() -> None:
    statement = "I have booked nine o'clock on Tuesday."
    call = agent_is_answering(statement).agent_has_written(statement).wait(0.5).caller_makes_a_sound()
    call.wait(0.2).caller_begins("uh-huh").caller_falls_silent().wait(2).agent_falls_silent()

    call.caller_seems_to_end("uh-huh").caller_ends("uh-huh")

    assert call.ignored == ["acknowledgement"]
    assert len(call.replies) == 1
    assert call.caller_says("uh-huh").turns[-1] == ("uh-huh", "speech")


def test_before_the_first_clause_nothing_can_be_answered() -> None:
    call = greeted_call().caller_says("When are you open?").agent_begins("")
    call.replies[0].clauses.clear()

    assert call.caller_begins("yes").asked == []


@pytest.mark.parametrize("words", ["stop", "wait", "подождите", "hold on a second"])
def test_a_caller_who_says_stop_is_obeyed(words: str) -> None:
    assert agent_is_answering().caller_begins(words).asked == [StopUtterance(2)]
