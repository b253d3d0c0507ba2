"""Another process goes on with a call whose own has died: what the caller hears then, and what the model is shown."""

from dataclasses import replace

from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.policy import CallPolicy, Lines
from app.conversation.take_over import GO_ON, UNKNOWN_OUTCOME
from app.journal.revival import revive
from tests.conversation.script import LINES, Call, agent_is_answering, greeted_call

BRIDGE = ("reconnected", LINES.reconnected)


def said(call: Call) -> list[tuple[str, str]]:
    """The lines that were asked for last, each with its kind."""
    return [(each.kind, each.text) for each in call.asked if isinstance(each, cmd.Say)]


def replies(call: Call) -> list[cmd.StartReply]:
    return [each for each in call.asked if isinstance(each, cmd.StartReply)]


def test_an_answer_whose_text_is_known_goes_on_with_the_next_word() -> None:
    call = agent_is_answering("We are open from nine to six on weekdays, and on Saturdays until two. ")
    call.agent_has_written("We are open from nine to six on weekdays, and on Saturdays until two. Shall I book you?")
    call.wait(2.0).process_dies()

    rest = "to six on weekdays, and on Saturdays until two. Shall I book you?"
    assert said(call) == [("reply", rest), BRIDGE]
    assert call.state == "processing"
    assert call.facts("agent.interrupted")[-1]["heard"] == "We are open from nine "
    assert call.remembers[-1] == ("assistant", "We are open from nine ")

    call.agent_says_the_line().agent_begins(rest).agent_falls_silent()
    assert call.state == "listening"
    assert call.record.turns[-1].text == rest


def test_an_answer_that_was_being_written_is_gone_on_with_by_the_model() -> None:
    call = agent_is_answering("We are open from nine to six. ").wait(1.0).process_dies()

    [again] = replies(call)
    assert (again.turn, again.text) == (2, "When are you open?")
    assert said(call) == [BRIDGE]
    assert call.shown[-2:] == [("assistant", "We are "), ("system", GO_ON)]


def test_an_owed_answer_is_owed_still() -> None:
    call = greeted_call().caller_says("When are you open?").process_dies()

    assert [each.text for each in replies(call)] == ["When are you open?"]
    assert said(call) == [BRIDGE]
    assert call.agent_says_the_line().state == "processing"
    assert call.agent_says("From nine to six.").state == "listening"


def test_a_question_is_asked_again_when_its_answer_may_be_lost() -> None:
    call = (
        agent_is_answering("We are open. ")
        .agent_goes_on("Shall I book Tuesday?")
        .agent_has_written("We are open. Shall I book Tuesday?")
    )
    call.wait(2.0).agent_falls_silent().wait(1.0).process_dies()

    assert said(call) == [BRIDGE]
    assert said(call.agent_says_the_line()) == [("prompt", "Shall I book Tuesday?")]


def test_a_caller_who_was_speaking_is_asked_to_say_it_again() -> None:
    call = greeted_call().caller_makes_a_sound().caller_begins("I want to").process_dies()

    assert said(call) == [("reconnected", LINES.reconnected_repeat)]
    call.agent_says_the_line().caller_says("I want to move my appointment")
    assert call.turns == [("I want to move my appointment", "speech")]


def test_what_a_caller_had_said_whole_is_answered() -> None:
    call = greeted_call().caller_makes_a_sound().caller_begins("When are you open?").caller_falls_silent()
    call.process_dies().wait(0.0)

    assert call.turns == [("When are you open?", "speech")]
    assert call.lines[-1] == LINES.reconnected


def test_a_tool_that_ran_has_an_unknown_outcome_and_the_model_is_told_so() -> None:
    call = greeted_call().caller_says("Book me for Tuesday.")
    reply = call.replies[-1]
    call.tell(ev.AgentToolCalled(reply.turn, reply.number, "call_1", "book", "{}", timeout_seconds=3.0))
    assert any(isinstance(each, cmd.RunTool) for each in call.asked)
    call.process_dies()

    [tool] = [remark for remark in call.core.history if remark.tool is not None]
    assert (tool.text, tool.tool is not None and tool.tool.is_running) == (UNKNOWN_OUTCOME, False)
    assert not any(isinstance(each, cmd.RunTool) for each in call.asked)
    assert len(replies(call)) == 1


def test_a_goodbye_that_nothing_averts_goes_on_without_a_word_about_the_line() -> None:
    call = greeted_call().service_stops().agent_begins().wait(1.0).process_dies()

    [(kind, text)] = said(call)
    assert kind == "goodbye"
    assert LINES.shutdown_goodbye.endswith(text)
    assert call.agent_says_the_line().ended == ("shutdown", "ours")


def test_a_referral_is_announced_and_made_again() -> None:
    call = greeted_call().operator_hands_over().agent_says_the_line()
    assert call.transfer == "sales"
    call.process_dies()

    assert said(call) == [BRIDGE]
    assert said(call.agent_says_the_line()) == [("transfer", LINES.transfer)]
    assert call.agent_says_the_line().transfer == "sales"


def test_a_human_who_is_being_called_into_the_room_is_waited_for() -> None:
    call = greeted_call().operator_hands_over().agent_says_the_line().human_is_called().process_dies()

    assert said(call) == []
    assert call.asked == [cmd.AwaitTransfer()]
    assert call.human_takes_over("dialled").ended == ("transferred", "none")


def test_a_disclosure_is_said_from_its_beginning_and_nothing_cuts_the_line_before_it() -> None:
    lines = {"en": _with_disclosure()}
    call = Call(lines=lines).is_answered().agent_begins().wait(1.0).process_dies()

    assert said(call) == [BRIDGE]
    call.agent_begins().caller_begins("Hello?")
    assert call.audible is not None
    assert said(call.agent_falls_silent()) == [("disclosure", "I am a machine.")]


def test_a_caller_who_has_heard_nothing_yet_is_greeted() -> None:
    call = Call().is_answered().process_dies()

    assert said(call) == [("greeting", LINES.greeting)]


def test_a_new_recogniser_and_a_new_detector_are_told_what_the_old_ones_knew() -> None:
    call = agent_is_answering()
    for _ in range(2):
        call.caller_makes_a_sound().caller_falls_silent().wait(2.0)
    assert call.threshold_raised == 1
    call.process_dies()

    assert call.threshold_raised == 2


def test_an_operators_line_that_waits_is_said_after_what_was_being_said() -> None:
    call = agent_is_answering().operator_says("Your table is ready.").process_dies()
    call.agent_says_the_line()

    assert said(call) == [("say", "Your table is ready.")]
    assert call.agent_says_the_line().agent_says("from nine to six.").state == "listening"


def test_the_end_that_was_decided_is_the_end_of_the_call() -> None:
    call = greeted_call().caller_hangs_up()
    revival = revive([row for row in call.rows if row.type not in ("call.ended", "state.changed")])

    assert revival.ending == ev.CallEnded("caller_hangup", "none")


def test_decisions_whose_rows_were_lost_are_known() -> None:
    call = greeted_call().caller_says("When are you open?")
    at = next(row.seq for row in call.rows if row.type == "turn.taken")
    lost = [ev.from_row(row) for row in call.rows[at - 1 :] if row.type in ("turn.taken", "state.changed")]

    assert list(revive(call.rows[: at - 1]).undecided) == lost


def _with_disclosure() -> Lines:
    return replace(CallPolicy().lines["en"], disclosure="I am a machine.")
