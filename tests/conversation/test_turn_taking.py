"""The caller asks, the agent answers, and nobody waits in silence."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.conversation import events as ev
from app.conversation.commands import Say, StartReply, StopUtterance
from app.conversation.policy import CallPolicy
from tests.conversation.script import LINES, Call, greeted_call


def test_a_finished_turn_is_answered_from_the_history() -> None:
    call = greeted_call().caller_says("I want to move my appointment")

    assert call.asked == [StartReply(turn=2, utterance=2, language="en", text="I want to move my appointment")]
    assert call.remembers[-1] == ("user", "I want to move my appointment")
    assert call.state == "processing"


def test_a_reply_is_heard_clause_by_clause_and_then_it_is_the_callers_turn() -> None:
    call = greeted_call().caller_says("I want to move my appointment")

    call.agent_begins("Of course. ")
    assert call.state == "speaking"
    call.agent_goes_on("Which day?").agent_falls_silent()

    assert call.state == "listening"
    assert call.remembers[-2:] == [("user", "I want to move my appointment"), ("assistant", "Of course. Which day?")]


def test_question_and_answer_share_the_number_of_the_turn_and_every_turn_has_its_own() -> None:
    call = greeted_call().caller_says("Are you open today?").agent_says("We are.")
    call.caller_says("Until when?").agent_says("Until eight.")

    assert [(turn.number, turn.role) for turn in call.record.turns] == [
        (1, "assistant"), (2, "user"), (2, "assistant"), (3, "user"), (3, "assistant"),
    ]  # fmt: skip


def test_every_fact_of_a_turn_has_its_number() -> None:
    call = greeted_call().caller_makes_a_sound().caller_begins("Are").caller_seems_to_end("Are you open?").wait(0.1)
    call.caller_ends("Are you open?").agent_says("We are.").caller_begins("Until when?")

    assert [(row.type, row.turn) for row in call.rows if row.turn is not None and row.turn > 1] == [
        ("caller.words", 2), ("caller.turn_ended_eagerly", 2), ("caller.turn_ended", 2), ("turn.taken", 2),
        ("agent.reply_started", 2), ("agent.clause_started", 2), ("agent.reply_generated", 2), ("agent.finished", 2),
        ("caller.words", 3),
    ]  # fmt: skip


def test_the_turn_is_written_down_with_its_times() -> None:
    call = greeted_call()
    began = call.now

    call.caller_says("Are you open today?", confidence=0.87, language="en")

    taken = call.facts("turn.taken")[0]
    assert (taken["text"], taken["source"]) == ("Are you open today?", "speech")
    assert (taken["confidence"], taken["language"]) == (0.87, "en")
    assert (taken["started_t"], taken["ended_t"]) == (began, began + 1.0)


def test_a_caller_who_goes_on_while_the_agent_thinks_is_answered_once_and_to_everything() -> None:
    call = greeted_call().caller_says("I want to move my appointment").wait(0.5)

    call.caller_begins("to Tuesday")
    assert call.asked == [StopUtterance(2)]
    assert call.state == "listening"
    call.caller_ends("to Tuesday, please")

    assert [reply.fate for reply in call.replies] == ["stopped", "waiting"]
    assert call.remembers[-2:] == [("user", "I want to move my appointment"), ("user", "to Tuesday, please")]
    assert call.agent_says("Tuesday it is.").remembers[-1] == ("assistant", "Tuesday it is.")


def test_two_turns_of_one_breath_do_not_overlap_in_the_record() -> None:
    call = greeted_call().caller_makes_a_sound().wait(1).caller_begins("I came").caller_ends("I came")
    call.wait(0.3).caller_begins("to pay").wait(1).caller_ends("to pay")

    first, second = [turn for turn in call.record.turns if turn.role == "user"]
    assert first.ended_at is not None
    assert first.ended_at <= second.started_at


def test_a_small_word_while_the_agent_thinks_does_not_stop_it() -> None:
    call = greeted_call().caller_says("I want to move my appointment")

    call.caller_begins("yes").caller_ends("yes").caller_ends("")

    assert call.replies[0].fate == "waiting"
    assert call.state == "processing"
    assert call.ignored == ["acknowledgement", "acknowledgement"]


def test_a_small_word_after_the_agent_has_finished_is_a_turn() -> None:
    call = greeted_call().caller_says("Book it").agent_says("Shall I send you a message?").wait(1)

    assert call.caller_says("yes").turns[-1] == ("yes", "speech")


def test_a_small_word_that_stands_still_is_a_turn_as_well() -> None:
    call = greeted_call().caller_says("Book it").agent_says("Shall I send you a message?").wait(1)

    assert call.caller_begins("yes").wait(6).turns[-1] == ("yes", "timeout")


def test_the_agent_answers_in_the_callers_language() -> None:
    call = greeted_call().caller_says("Запишите меня на вторник", language="ru")

    assert call.replies[0].language == "ru"
    assert call.core.language == "ru"


def test_one_word_or_a_language_the_agent_does_not_speak_changes_nothing() -> None:
    call = greeted_call().caller_says("Ja", language="ru").agent_says("Sorry?")

    call.caller_says("Je voudrais un rendez-vous", language="fr")

    assert call.core.language == "en"


def test_a_turn_whose_end_is_never_told_is_taken_when_its_transcript_stands_still() -> None:
    call = greeted_call(turn_end_seconds=6.0).caller_makes_a_sound().caller_begins("I want to move").wait(5)

    call.caller_begins("I want to move my appointment").wait(5.9)
    assert call.turns == []
    call.wait(0.1)

    assert call.turns == [("I want to move my appointment", "timeout")]
    assert call.state == "processing"


def test_the_end_of_a_turn_that_was_taken_before_it_was_told_starts_no_second_answer() -> None:
    call = greeted_call().caller_begins("I want to move my appointment").wait(6)

    call.caller_begins("I want to move my appointment.").caller_seems_to_end("I want to move my appointment.")
    call.caller_ends("I want to move my appointment.")

    assert len(call.turns) == 1
    assert [reply.fate for reply in call.replies] == ["waiting"]
    assert call.ignored == ["repeated"]


def test_such_an_end_does_not_interrupt_the_answer_either() -> None:
    call = greeted_call().caller_begins("I want to move my appointment").wait(6).agent_begins("Of course. ")

    call.caller_makes_a_sound().caller_falls_silent().caller_ends("I want to move my appointment.")

    assert call.replies[0].fate == "speaking"
    assert call.threshold_raised == 0


def test_a_caller_who_had_more_to_say_is_answered_to_that() -> None:
    call = greeted_call().caller_begins("I want to move my appointment").wait(6)

    call.caller_ends("I want to move my appointment to Tuesday.")

    assert [text for text, _ in call.turns] == ["I want to move my appointment", "to Tuesday."]
    assert [reply.fate for reply in call.replies] == ["stopped", "waiting"]


SENTENCE = [
    "I", "want", "to", "move", "my", "appointment", "from", "Monday", "to", "Thursday", "at", "twelve", "or", "half",
]  # fmt: skip


@given(
    cuts=st.lists(
        st.tuples(st.integers(1, len(SENTENCE) - 1), st.integers(0, 4), st.booleans()),
        max_size=5,
        unique_by=lambda cut: cut[0],
    ),
    said=st.sampled_from(["", "Of course. "]),
)
def test_nothing_stands_twice_in_the_history_however_often_a_turn_is_taken_before_its_end(
    cuts: list[tuple[int, int, bool]], said: str
) -> None:
    """Each cut: so many words were reported, of the last one some letters are missing, and nothing followed."""
    call = greeted_call(stall_turns=0).wait(4)
    for count, missing, answered in sorted(cuts):
        words = SENTENCE[:count]
        words[-1] = words[-1][: max(1, len(words[-1]) - missing)]
        call.caller_begins(" ".join(words)).wait(6)
        if answered and said and call.waiting:
            call.agent_begins(said)

    call.caller_ends(" ".join(SENTENCE))

    remembered = [text for role, text in call.remembers if role == "user"]
    words = " ".join(remembered).split()
    grown = [word for word, after in pairwise(words) if word != after and after.startswith(word)]
    assert [word for word in words if word not in grown] == SENTENCE
    assert call.turns[-1][0] == remembered[-1]


def test_a_word_that_was_corrected_makes_the_whole_turn_new() -> None:
    call = greeted_call().caller_begins("I want to come on Monday").wait(6)

    call.caller_ends("I want to come on Sunday at ten.")

    assert call.turns[-1] == ("I want to come on Sunday at ten.", "speech")


def test_a_number_that_has_grown_is_said_whole() -> None:
    call = greeted_call().caller_begins("my code is 12").wait(6)

    call.caller_ends("My code is 123 45.").wait(6)

    assert call.turns[-1][0] == "123 45."


def test_words_taken_of_a_turn_whose_end_never_comes_do_not_hide_the_next_turn() -> None:
    call = greeted_call().caller_begins("good morning").wait(6).agent_says("Hello!")
    call.caller_begins("when do you open").wait(6)

    call.caller_ends("When do you open?")

    assert [text for text, _ in call.turns] == ["good morning", "when do you open"]
    assert call.ignored == ["repeated"]


def test_the_same_words_said_again_later_are_a_new_turn() -> None:
    call = greeted_call().caller_begins("What time is it").wait(6).caller_ends("What time is it")
    call.agent_says("Noon.").wait(2)

    assert call.caller_says("What time is it").turns[-1] == ("What time is it", "speech")


def test_every_change_of_the_state_is_written_down() -> None:
    call = greeted_call().caller_says("Are you open today?").agent_says("We are.").caller_hangs_up()

    assert [(data["before"], data["after"]) for data in call.facts("state.changed")] == [
        ("listening", "speaking"), ("speaking", "listening"),
        ("listening", "processing"), ("processing", "speaking"), ("speaking", "listening"),
        ("listening", "ended"),
    ]  # fmt: skip
    assert [row.type for row in call.rows][-2:] == ["state.changed", "call.ended"]


def test_in_a_call_in_which_nothing_is_late_no_deadline_passes() -> None:
    call = greeted_call(idle_prompt_seconds=100.0).caller_says("Are you open today?").wait(0.5).agent_begins("We are. ")
    call.wait(5).caller_makes_a_sound().caller_falls_silent().caller_ends("uh-huh").wait(5)
    call.agent_goes_on("Until eight. ").wait(5).caller_says("And on Sunday?").wait(0.5)

    call.agent_says("No.").wait(90)

    assert call.facts("deadline.passed") == []


def test_a_language_without_lines_of_its_own_has_those_of_the_first_language() -> None:
    assert Call("fr").is_answered().lines == [CallPolicy().lines["ru"].greeting]


# --- the answer is late ----------------------------------------------------------------------------------------------


def test_a_filler_is_said_before_the_budget_is_spent() -> None:
    call = greeted_call(max_response_seconds=1.5, filler_lead_seconds=0.1)
    asked_at = call.caller_says("Is my order ready?").facts("turn.taken")[0]["ended_t"]

    call.wait(asked_at + 1.39 - call.now)
    assert call.asked == []
    call.wait(0.02)

    assert call.asked == [Say(turn=2, utterance=3, kind="filler", language="en", text=LINES.fillers[0])]


def test_after_a_filler_the_answer_is_still_owed() -> None:
    call = greeted_call().caller_says("Is my order ready?").wait(1.5)

    assert call.agent_begins().state == "speaking"
    assert call.agent_falls_silent().state == "processing"
    assert call.agent_says("It is.").state == "listening"


def test_a_filler_is_not_remembered() -> None:
    call = greeted_call().caller_says("Is my order ready?").wait(1.5).agent_says_the_line().agent_says("It is.")

    assert call.remembers[1:] == [("user", "Is my order ready?"), ("assistant", "It is.")]


def test_a_filler_that_was_cut_is_not_remembered_either() -> None:
    call = greeted_call().caller_says("Is my order ready?").wait(1.5).agent_begins()

    call.caller_says("never mind, what time is it")

    assert call.remembers[1:] == [("user", "Is my order ready?"), ("user", "never mind, what time is it")]


def test_a_second_filler_comes_after_a_while_and_a_third_never() -> None:
    call = greeted_call(filler_repeat_seconds=4.0, reply_seconds=60.0).caller_says("Is my order ready?").wait(1.5)

    call.agent_says_the_line().wait(4)
    assert call.lines[1:] == list(LINES.fillers)
    call.agent_says_the_line().wait(30)

    assert call.lines[1:] == list(LINES.fillers)
    assert call.state == "processing"


def test_a_quick_answer_needs_no_filler() -> None:
    call = greeted_call().caller_says("Is my order ready?").wait(0.5).agent_begins("It is. ").wait(5)

    assert call.lines == [LINES.greeting]


def test_a_filler_that_has_not_begun_when_the_answer_does_is_dropped() -> None:
    call = greeted_call().caller_says("Is my order ready?").wait(1.5)

    call.begin(call.replies[0], "It is. ")

    assert call.last("filler").fate == "stopped"
    assert call.replies[0].fate == "speaking"


def test_a_filler_is_never_said_over_the_caller() -> None:
    call = greeted_call().caller_says("Is my order ready?").wait(0.5).caller_makes_a_sound().wait(3)
    assert call.lines == [LINES.greeting]

    call.caller_falls_silent().wait(0.5)

    assert call.lines[-1] == LINES.fillers[0]


def test_a_filler_in_the_callers_language_is_for_this_turn_only() -> None:
    call = greeted_call(reply_seconds=60.0).caller_says("Is my order ready?").wait(1.5).agent_says_the_line()
    call.agent_says("It is.").wait(1)

    call.caller_says("Покажите мой заказ", language="ru").wait(1.5)

    assert call.lines[-1] == call.policy.lines["ru"].fillers[0]


def test_the_callers_next_words_stop_the_filler_and_the_answer_behind_it() -> None:
    call = greeted_call().caller_says("Is my order ready?").wait(1.5).agent_begins()

    call.caller_begins("no, another question")

    assert call.last("filler").fate == "stopped"
    assert call.replies[0].fate == "stopped"
    assert call.state == "listening"


def test_an_answer_that_never_comes_is_apologised_for() -> None:
    call = greeted_call(reply_seconds=12.0).caller_says("Is my order ready?").wait(1.5).agent_says_the_line()

    call.wait(12)

    assert call.replies[0].fate == "stopped"
    assert LINES.apology in call.lines
    assert call.caller_hangs_up().ended == ("caller_hangup", "ours")


# --- an operator speaks ----------------------------------------------------------------------------------------------


def test_a_text_for_the_caller_is_said_at_once_when_nobody_speaks() -> None:
    call = greeted_call().operator_says("Your table is ready.")

    assert call.asked == [Say(turn=2, utterance=2, kind="say", language="en", text="Your table is ready.")]
    assert call.agent_says_the_line().remembers[-1] == ("assistant", "Your table is ready.")


def test_such_texts_wait_for_the_agent_and_keep_their_order() -> None:
    call = greeted_call().caller_says("Is my order ready?").agent_begins("It is. ")

    call.operator_says("Your table is ready.").operator_says("Please come in.")
    assert call.lines == [LINES.greeting]
    call.agent_falls_silent().agent_says_the_line().agent_says_the_line()

    assert call.lines[1:] == ["Your table is ready.", "Please come in."]


def test_such_a_text_waits_for_the_caller_too() -> None:
    call = greeted_call().caller_begins("I want to").operator_says("Your table is ready.")
    assert call.asked == []

    call.caller_ends("I want to pay").agent_says_the_line()

    assert call.lines[-1] == "Your table is ready."
    assert call.agent_says("Gladly.").remembers[-2:] == [
        ("assistant", "Gladly."), ("assistant", "Your table is ready."),
    ]  # fmt: skip


def test_such_a_text_does_not_slip_between_a_callers_words() -> None:
    call = greeted_call().caller_begins("I want to").operator_says("Your table is ready.").caller_presses("#").wait(0)

    assert call.lines == [LINES.greeting]


def test_while_such_a_text_is_being_prepared_nobody_is_asked_whether_he_is_there() -> None:
    call = greeted_call(idle_prompt_seconds=8.0).wait(7).operator_says("Your table is ready.").wait(2)

    assert call.lines == [LINES.greeting, "Your table is ready."]


def test_of_too_many_such_texts_the_oldest_are_forgotten() -> None:
    call = greeted_call().caller_says("Is my order ready?").agent_begins("It is. ")
    for number in range(25):
        call.operator_says(f"Text {number}.")

    call.agent_falls_silent()
    while call.waiting:
        call.agent_says_the_line()

    assert call.lines[1:] == [f"Text {number}." for number in range(5, 25)]


def test_an_ended_call_asks_for_nothing() -> None:
    call = greeted_call().caller_hangs_up()

    call.caller_says("Hello?").operator_says("Your table is ready.").service_stops().wait(3600)

    assert call.asked == []
    assert call.state == "ended"
    assert call.core.next_deadline() is None
    assert call.core.deadline_passed() == ev.DeadlinePassed("none")


def test_a_core_shows_where_it_stands() -> None:
    call = Call().is_answered()

    assert repr(call.core) == "<ConversationCore listening turn 1 next (3.0, <Deadline.START: 'start'>)>"
