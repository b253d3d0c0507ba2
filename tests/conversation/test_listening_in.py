"""An agent that does not speak: the call is heard and written down, and nobody is answered."""

from hypothesis import given
from hypothesis import strategies as st

from app.conversation import commands as cmd
from tests.conversation.chance import caller_events, last_events, odd_events, outside_events
from tests.conversation.script import Call


def listening() -> Call:
    return Call(speaks=False).is_answered()


def test_what_the_caller_says_is_written_down_and_nothing_is_said() -> None:
    call = listening()

    call.caller_says("Hello, is anybody there?").wait(60).caller_seems_to_end("I would like").caller_says("Goodbye.")

    assert call.turns == [("Hello, is anybody there?", "speech"), ("Goodbye.", "speech")]
    assert call.remembers == [("user", "Hello, is anybody there?"), ("user", "Goodbye.")]
    assert call.utterances == []
    assert call.state == "listening"


def test_nobody_is_asked_whether_he_is_still_there() -> None:
    call = listening().wait(1700)

    assert call.utterances == []
    assert call.ended is None


def test_it_ends_when_the_other_side_leaves_or_the_time_is_up() -> None:
    assert listening().caller_hangs_up().ended == ("caller_hangup", "none")
    assert Call(speaks=False, max_duration_seconds=100.0).is_answered().wait(100).ended == ("max_duration", "policy")
    assert listening().service_stops().ended == ("shutdown", "ours")


def test_what_cannot_be_understood_is_passed_over_however_often() -> None:
    call = listening()
    for _ in range(10):
        call.caller_says("mumble", confidence=0.1)

    assert call.ignored == ["unintelligible"] * 10
    assert (call.utterances, call.ended) == ([], None)


def test_it_goes_on_without_ears_for_the_sound_is_kept_all_the_same() -> None:
    call = listening().hearing_fails().wait(60).hearing_fails(final=True).wait(60)

    assert (call.utterances, call.ended) == ([], None)
    assert call.caller_hangs_up().ended == ("caller_hangup", "provider:deepgram")


def test_what_an_operator_wants_said_is_not() -> None:
    assert listening().operator_says("Good news.").utterances == []


@given(st.lists(st.one_of(caller_events, outside_events, odd_events, last_events), max_size=30))
def test_whatever_happens_nothing_is_said(facts: list[object]) -> None:
    call = Call(speaks=False)
    for fact in facts:
        asked = call.tell(fact)  # type: ignore[arg-type]  # the strategies know no common type
        assert [command for command in asked if not isinstance(command, cmd.EndCall)] == []
        call.wait(0.7)
    assert call.utterances == []
