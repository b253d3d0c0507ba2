"""The vendor suspects that the caller has finished: the answer is prepared, and nothing of it is heard yet."""

from app.conversation.commands import ReleaseReply, Say, StartReply, StopUtterance
from tests.conversation.script import Call, greeted_call


def suspected_turn(text: str = "I want to move my appointment") -> Call:
    return greeted_call().caller_makes_a_sound().caller_begins(text).caller_seems_to_end(text)


def test_on_suspicion_an_answer_is_prepared_and_held() -> None:
    call = suspected_turn()

    assert call.asked == [
        StartReply(turn=2, utterance=2, language="en", text="I want to move my appointment", preemptive=True)
    ]
    assert call.state == "listening"
    assert call.waiting == []


def test_the_words_are_not_remembered_before_the_turn_is_certain() -> None:
    assert suspected_turn().remembers[-1][0] == "assistant"


def test_the_same_words_release_the_prepared_answer() -> None:
    call = suspected_turn().caller_ends("I want to move my appointment")

    assert call.asked == [ReleaseReply(2)]
    assert call.state == "processing"
    assert call.agent_says("Of course.").remembers[-2:] == [
        ("user", "I want to move my appointment"),
        ("assistant", "Of course."),
    ]


def test_other_words_start_another_answer() -> None:
    call = suspected_turn().caller_ends("I want to move my appointment to Tuesday")

    assert call.asked == [
        StopUtterance(2),
        StartReply(turn=2, utterance=3, language="en", text="I want to move my appointment to Tuesday"),
    ]


def test_a_caller_who_goes_on_makes_the_prepared_answer_void() -> None:
    call = suspected_turn().caller_resumes("I want to move my appointment to")

    assert call.asked == [StopUtterance(2)]
    assert call.state == "listening"
    assert call.turns == []


def test_the_words_that_came_with_the_resumption_count() -> None:
    call = suspected_turn().wait(5).caller_resumes("I want to move my appointment to").wait(5)
    assert call.turns == []

    assert call.wait(1).turns == [("I want to move my appointment to", "timeout")]


def test_a_resumption_without_words_leaves_those_that_were_said() -> None:
    assert suspected_turn().caller_resumes("").wait(6).turns == [("I want to move my appointment", "timeout")]


def test_a_resumption_over_the_agents_voice_opens_no_turn() -> None:
    call = greeted_call().caller_says("When are you open?").agent_begins("From nine. ").caller_resumes("yes").wait(7)

    assert len(call.turns) == 1


def test_then_a_new_suspicion_prepares_a_new_answer() -> None:
    call = suspected_turn().caller_resumes().caller_begins("I want to move my appointment to Tuesday")

    call.caller_seems_to_end("I want to move my appointment to Tuesday")
    call.caller_ends("I want to move my appointment to Tuesday")

    assert call.asked == [ReleaseReply(3)]
    assert call.turns == [("I want to move my appointment to Tuesday", "speech")]


def test_the_same_suspicion_twice_prepares_one_answer() -> None:
    assert suspected_turn().caller_seems_to_end("I want to move my appointment").asked == []


def test_another_suspicion_replaces_the_first() -> None:
    call = suspected_turn().caller_seems_to_end("I want to move my appointment to Tuesday")

    assert [reply.fate for reply in call.replies] == ["stopped", "waiting"]
    assert call.replies[1].held


def test_words_alone_do_not_make_the_prepared_answer_void() -> None:
    call = suspected_turn().caller_begins("I want to move my appointment.")

    assert call.asked == []
    assert call.caller_ends("I want to move my appointment").asked == [ReleaseReply(2)]


def test_an_answer_in_the_wrong_language_is_not_released() -> None:
    call = greeted_call().caller_seems_to_end("Запишите меня", language=None)

    call.caller_ends("Запишите меня", language="ru")

    assert [reply.language for reply in call.replies] == ["en", "ru"]
    assert call.replies[0].fate == "stopped"


def test_the_prepared_answer_is_in_the_language_that_is_suspected() -> None:
    call = (
        greeted_call().caller_seems_to_end("Запишите меня", language="ru").caller_ends("Запишите меня", language="ru")
    )

    assert call.asked == [ReleaseReply(2)]
    assert call.replies[0].language == "ru"


def test_a_prepared_answer_that_fails_is_started_again_when_the_turn_ends() -> None:
    call = suspected_turn().thinking_fails()
    assert call.asked == []

    call.caller_ends("I want to move my appointment")

    assert call.asked == [StartReply(turn=2, utterance=3, language="en", text="I want to move my appointment")]
    assert call.ended is None


def test_a_turn_that_could_not_be_understood_makes_the_prepared_answer_void() -> None:
    call = suspected_turn().caller_ends("I want to move my appointment", confidence=0.1)

    assert call.replies[0].fate == "stopped"
    assert call.turns == []


def test_words_that_stand_still_after_a_suspicion_release_the_prepared_answer() -> None:
    call = suspected_turn().wait(6)

    assert call.asked[0] == ReleaseReply(2)
    assert call.turns == [("I want to move my appointment", "timeout")]


def test_no_suspicion_starts_anything_while_the_agent_speaks() -> None:
    call = greeted_call().caller_says("When are you open?").agent_begins("We are open from nine. ")

    assert call.caller_seems_to_end("and on Sunday").asked == []


def test_no_suspicion_starts_anything_while_an_answer_is_owed() -> None:
    call = greeted_call().caller_says("When are you open?")

    assert call.caller_seems_to_end("yes").asked == []
    assert call.caller_resumes("yes").asked == []
    assert len(call.wait(7).turns) == 1


def test_a_suspicion_without_words_is_none() -> None:
    assert greeted_call().caller_seems_to_end(" ").asked == []


def test_an_answer_prepared_before_the_greeting_takes_its_place() -> None:
    call = Call().is_answered().caller_seems_to_end("I want to pay").caller_ends("I want to pay")

    assert call.asked == [StopUtterance(1), ReleaseReply(2), Say(2, 3, "notice", "en", "I'm a voice assistant.")]


def test_keys_do_not_touch_what_is_prepared_but_their_turn_replaces_it() -> None:
    call = suspected_turn().caller_presses("7")
    assert call.replies[0].fate == "waiting"

    call.wait(2)

    assert [reply.text for reply in call.live] == ["[keypad] 7"]
