import pytest

from bench.fault_matrix.aims import missed
from bench.fault_matrix.cells import Cell
from bench.fault_matrix.holding import Outcome
from tests.bench.fault_matrix.outcomes import lived, outcome


def test_a_call_that_is_held_or_ends_politely_misses_nothing() -> None:
    assert missed(outcome()) == []
    assert missed(outcome(answers=1, end_reason="provider_failure", fault="provider:openai")) == []


@pytest.mark.parametrize(
    ("struck", "word"),
    [
        ({"silence": 2.1, "silent_at": 4.0}, "2.1 s of silence from 4.0 s on"),
        ({"complaint": "not over after 150 s"}, "not over after 150 s"),
        ({"end_reason": "internal_error"}, "internal_error"),
        ({"end_reason": ""}, "went wrong"),
    ],
)
def test_silence_and_a_call_without_a_proper_end_are_named(struck: dict[str, object], word: str) -> None:
    (sentence,) = missed(outcome(**struck))
    assert word in sentence


def test_nobody_else_may_suffer_unless_the_fault_strikes_all() -> None:
    silent = lived(silence=3.0, answers=2, fault="provider:deepgram")
    assert [each.partition(": ")[2] for each in missed(outcome(other=silent))] == [
        "3.0 s of silence",
        "2 answers, agent_hangup",
        "fault provider:deepgram",
    ]
    assert missed(outcome(Cell("flux", "down", "tool", "all", "warm"), other=silent)) == []
    shared = lived(fault="provider:cartesia")
    assert missed(outcome(Cell("cartesia-socket", "cuts", "thinking", "all", "warm"), other=shared)) == []
    assert missed(outcome(Cell("cartesia-socket", "stalls", "thinking", "all", "warm"), other=shared)) != []
    assert missed(outcome(left=("task: call_1:stt",))) == ["left behind: task: call_1:stt"]


def test_a_machine_that_is_late_itself_is_no_silence_of_the_service() -> None:
    assert missed(outcome(silence=2.2, late=0.3)) == []
    assert missed(outcome(silence=2.4, late=0.3)) != []


def test_a_caller_whose_room_is_gone_hears_nothing_but_the_call_ends_properly_and_the_other_one_is_held() -> None:
    gone = Cell("room", "down", "speaking", "all", "cold")
    assert missed(outcome(gone, silence=9.0, complaint="the line is dead", end_reason="media_lost")) == []
    assert missed(outcome(gone, silence=9.0, end_reason="internal_error")) != []
    assert missed(outcome(gone, other=lived(answers=1))) == ["the other call: 1 answers, agent_hangup"]


def test_a_cell_that_could_not_be_held_misses_its_aims_with_the_reason() -> None:
    failed = Outcome(Cell("flux", "hangs", "tool", "all", "warm"), failed="not over after 240 s of real time")
    assert missed(failed) == ["not held: not over after 240 s of real time"]
