"""Words over the agent's voice that are its own, or those of somebody behind the caller."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversation import events as ev
from app.conversation.commands import ResumeUtterance, StopUtterance
from tests.conversation.script import agent_is_answering, greeted_call

# --- echo ------------------------------------------------------------------------------------------------------------


def test_the_agents_own_words_do_not_stop_it() -> None:
    call = agent_is_answering().caller_makes_a_sound().caller_begins("open from nine to six")

    assert call.asked == []
    assert call.caller_falls_silent().caller_ends("open from nine to six").asked == [ResumeUtterance(2)]
    assert call.ignored == ["echo"]


@pytest.mark.parametrize("words", ["we", "we are", "nine to"])
def test_the_first_words_of_an_echo_do_not_stop_it_when_the_caller_made_no_sound(words: str) -> None:
    call = agent_is_answering()

    assert call.caller_begins(words).asked == []
    assert call.caller_makes_a_sound().caller_begins(words).asked == [StopUtterance(2)]


def test_after_a_sound_such_words_are_the_callers() -> None:
    call = agent_is_answering().caller_makes_a_sound().caller_falls_silent().caller_begins("we are")

    assert call.asked == [StopUtterance(2)]


def test_during_a_sound_they_are_so_even_if_it_held_nothing_back() -> None:
    call = agent_is_answering().caller_makes_a_sound().wait(2)

    assert call.caller_begins("we are").asked == [StopUtterance(2)]


def test_a_word_of_the_agents_question_may_be_the_answer_to_it_when_the_caller_made_a_sound() -> None:
    call = agent_is_answering("Shall I book nine or ten?")
    assert call.caller_begins("nine").asked == []

    assert call.caller_makes_a_sound().caller_begins("nine").asked == [StopUtterance(2)]


def test_such_a_word_after_a_sound_that_was_over_with_the_question_is_an_answer() -> None:
    call = agent_is_answering("Shall I book nine or ten?").wait(1).caller_makes_a_sound().agent_falls_silent()

    call.wait(0.3).caller_falls_silent().wait(0.2).caller_begins("ten")

    assert call.caller_ends("ten").turns[-1] == ("ten", "speech")


QUESTION = "Good morning, this is the clinic. How may I help you today?"


@pytest.mark.parametrize("late", [0.25, 0.9, 1.5])
def test_an_echo_that_grows_word_by_word_stops_nothing_and_is_not_a_turn(late: float) -> None:
    call = greeted_call().caller_says("Hello").agent_begins(QUESTION).agent_has_written(QUESTION).wait(late)
    words = ["good", "morning", "this", "is", "the", "clinic", "how", "may", "I", "help", "you", "to"]

    for count in range(1, len(words) + 1):
        call.wait(0.25).caller_begins(" ".join(words[:count]))
        if call.audible and call.now > 4.5:
            call.agent_falls_silent()
    call.caller_seems_to_end(" ".join(words)).caller_ends(" ".join(words))

    assert call.replies[0].fate == "finished"
    assert len(call.replies) == 1
    assert call.ignored == ["echo"]


@pytest.mark.parametrize("words", ["how", "how may", "help you to", "morning this is the"])
def test_fragments_that_come_after_the_question_has_ended_are_no_turn(words: str) -> None:
    call = greeted_call().caller_says("Hello").wait(0.5).agent_begins(QUESTION).wait(4).agent_falls_silent().wait(0.5)

    call.caller_begins(words).caller_seems_to_end(words).caller_ends(words)

    assert call.ignored == ["echo"]
    assert len(call.replies) == 1


def test_a_caller_who_was_noticed_may_tell_the_agent_to_wait_in_its_own_words() -> None:
    call = agent_is_answering("Wait a moment for me, I am looking it up. ").caller_begins("wait a moment for me")
    assert call.asked == []

    assert call.caller_makes_a_sound().caller_begins("wait a moment for me").asked == [StopUtterance(2)]


def test_after_a_while_the_agents_words_are_the_callers() -> None:
    call = agent_is_answering().agent_falls_silent().wait(3.1)

    assert call.caller_ends("open from nine to six").turns[-1] == ("open from nine to six", "speech")


def test_words_that_began_as_the_callers_do_not_end_as_an_echo() -> None:
    call = agent_is_answering().agent_falls_silent().wait(0.5).caller_begins("so you are")

    assert call.caller_ends("open from nine to six").turns[-1] == ("open from nine to six", "speech")


def test_other_words_stop_it_although_the_caller_made_no_sound() -> None:
    assert agent_is_answering().caller_begins("open on").asked == [StopUtterance(2)]


def test_pauses_for_an_echo_are_pauses_for_nothing() -> None:
    call = agent_is_answering()
    for _ in range(2):
        call.caller_makes_a_sound().caller_falls_silent().caller_ends("open from nine to six")

    assert call.threshold_raised == 1


def test_the_agents_last_words_that_come_back_after_it_has_ended_are_no_turn() -> None:
    call = agent_is_answering().caller_makes_a_sound().wait(1.6).agent_falls_silent().wait(0.2)

    call.caller_begins("open from nine to six").caller_falls_silent()
    call.caller_seems_to_end("open from nine to six").caller_ends("open from nine to six")

    assert call.ignored == ["echo"]
    assert len(call.replies) == 1
    assert call.state == "listening"


def test_a_caller_who_repeats_the_agents_words_afterwards_is_heard() -> None:
    call = agent_is_answering().agent_falls_silent().wait(0.2)

    assert call.caller_says("Open from nine to six?").turns[-1] == ("Open from nine to six?", "speech")


def test_the_words_before_the_last_ones_may_still_come_back_while_the_next_utterance_is_heard() -> None:
    call = agent_is_answering().operator_says("Please come in, the table is ready.").agent_falls_silent()
    call.agent_begins().wait(0.5)

    assert call.caller_begins("open from nine to six").asked == []
    assert call.wait(4).caller_begins("open from nine to six").asked == [StopUtterance(3)]


@pytest.mark.parametrize("words", ["One second", "one second, let me check"])
def test_a_filler_that_comes_back_does_not_stop_itself_although_it_sounds_like_a_command(words: str) -> None:
    call = greeted_call().caller_says("When are you open?").wait(1.5).agent_begins()

    assert call.caller_begins(words).asked == []
    call.caller_makes_a_sound().caller_begins(words)

    assert [utterance.fate for utterance in call.live] == ["waiting", "held back"]


def test_a_caller_who_speaks_over_a_filler_is_heard() -> None:
    call = greeted_call().caller_says("When are you open?").wait(1.5).agent_begins()

    assert call.caller_begins("one second let me ask something else").asked == [StopUtterance(3), StopUtterance(2)]


# --- somebody behind the caller --------------------------------------------------------------------------------------


def test_words_of_somebody_behind_the_caller_do_not_stop_the_voice() -> None:
    call = agent_is_answering()

    assert call.tell(ev.CallerWords("turn the television off", faint=True)) == []
    assert call.tell(ev.CallerTurnEnded("stop it", faint=True)) == []

    assert call.ignored == ["faint"]
    assert call.replies[0].fate == "speaking"


def test_a_voice_that_was_held_back_for_somebody_behind_the_caller_goes_on() -> None:
    call = agent_is_answering().caller_makes_a_sound().wait(0.3)
    call.tell(ev.CallerWords("turn the television off", faint=True))

    assert call.wait(0.5).asked == [ResumeUtterance(2)]
    assert call.threshold_raised == 0


def test_a_faint_turn_that_ends_after_the_agent_has_ended_is_not_a_turn() -> None:
    call = agent_is_answering()
    call.tell(ev.CallerWords("turn the", faint=True))
    call.wait(1).agent_falls_silent()

    call.tell(ev.CallerWords("turn the television", faint=True))
    call.tell(ev.CallerTurnEndedEagerly("turn the television off", faint=True))
    call.tell(ev.CallerTurnEnded("turn the television off", faint=True))

    assert len(call.replies) == 1
    assert call.ignored == ["faint"]


def test_a_caller_who_speaks_up_is_heard() -> None:
    call = agent_is_answering()
    call.tell(ev.CallerWords("and on", faint=True))

    assert call.tell(ev.CallerWords("and on Sunday")) == [StopUtterance(2)]


# --- an echo, and then the caller ------------------------------------------------------------------------------------


def test_the_end_of_an_echo_that_comes_when_the_caller_has_just_begun_is_not_a_turn() -> None:
    call = agent_is_answering().wait(2).caller_begins("open from nine").agent_falls_silent().wait(0.3)

    call.caller_makes_a_sound().caller_ends("open from nine")

    assert call.ignored == ["echo"]
    assert call.caller_begins("and on").caller_ends("And on Sunday?").turns[-1] == ("And on Sunday?", "speech")


def test_the_end_of_an_echo_over_the_voice_stops_nothing_although_the_caller_has_just_begun() -> None:
    call = agent_is_answering().caller_begins("we are").wait(0.5).caller_makes_a_sound().caller_ends("we are")

    assert call.ignored == ["echo"]
    assert call.replies[0].fate == "held back"


@pytest.mark.parametrize("ended", [True, False])
def test_the_words_of_a_caller_behind_an_echo_are_taken_without_it(ended: bool) -> None:
    call = agent_is_answering().wait(2).caller_begins("We are open from nine")
    if ended:
        call.agent_falls_silent().wait(0.3)

    call.caller_makes_a_sound().caller_begins("We are open from nine And").caller_seems_to_end("We are open from nine")
    call.caller_begins("We are open from nine And Sunday").caller_falls_silent()
    call.caller_ends("We are open from nine And Sunday?")

    assert call.turns[-1] == ("And Sunday?", "speech")
    assert call.replies[-1].text == "And Sunday?"


def test_an_echo_that_the_recogniser_takes_up_again_opens_no_turn() -> None:
    call = agent_is_answering().wait(2).caller_begins("we are open from").agent_falls_silent()

    call.caller_seems_to_end("we are open from").caller_resumes("we are open from").wait(7)

    assert len(call.replies) == 1
    assert len(call.turns) == 1


def test_a_backchannel_behind_an_echo_is_one() -> None:
    call = agent_is_answering("We are open from nine to six on every day of the week. ").wait(1)
    call.caller_begins("We are open").caller_makes_a_sound().caller_begins("We are open uh-huh")

    assert call.caller_falls_silent().caller_ends("We are open uh-huh").replies[0].fate == "speaking"


# --- laws ------------------------------------------------------------------------------------------------------------

STATED = st.lists(
    st.sampled_from(
        ["our", "doctor", "will", "see", "you", "on", "Tuesday", "morning", "at", "nine", "in", "room", "two"]
    ),
    min_size=8,
    max_size=25,
)
SMALL = st.sampled_from(["yes", "uh-huh", "угу", "да-да", "ok, got it", "I see", "ага", "mm-hmm"])


@given(clauses=st.lists(STATED, min_size=1, max_size=3), small=SMALL, share=st.floats(0.0, 0.8), noticed=st.booleans())
def test_no_backchannel_at_any_place_of_a_statement_takes_the_floor(
    clauses: list[list[str]], small: str, share: float, noticed: bool
) -> None:
    texts = [f"We see {' '.join(words)}. " for words in clauses]
    call = agent_is_answering(texts[0])
    for text in texts[1:]:
        call.wait(len(texts[0]) / 15).agent_goes_on(text)
    call.agent_has_written("".join(texts)).wait(share * len(texts[-1].rsplit(" ", 3)[0]) / 15)

    if noticed:
        call.caller_says(small)
    else:
        call.caller_begins(small).caller_ends(small)

    assert call.replies[0].fate == "speaking"
    assert call.ignored in (["acknowledgement"], ["echo"])
    assert len(call.replies) == 1


@given(words=STATED, data=st.data(), late=st.floats(0.0, 1.5), asks=st.booleans())
def test_no_run_of_the_agents_words_without_a_sound_of_the_caller_takes_the_floor(
    words: list[str], data: st.DataObject, late: float, asks: bool
) -> None:
    text = " ".join(words).capitalize() + ("?" if asks else ".")
    call = agent_is_answering(text).agent_has_written(text).wait(1)
    start = data.draw(st.integers(0, len(words) - 1))
    stop = data.draw(st.integers(start + 1, len(words)))
    ends = data.draw(st.integers(start, stop))

    for count in range(start + 1, stop + 1):
        if count > ends and call.audible:
            call.agent_falls_silent().wait(late)
        call.caller_begins(" ".join(words[start:count]))
    call.caller_seems_to_end(" ".join(words[start:stop])).caller_ends(" ".join(words[start:stop]))

    assert call.replies[0].fate in ("speaking", "finished")
    assert len(call.replies) == 1
    assert call.ignored == ["echo"]
