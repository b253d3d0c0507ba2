"""Calls written by hand, and what each of them shows; times are seconds since ``ready``."""

from math import inf
from typing import Any

import pytest

from bench.talk.scoring import Observation, Row, Take, observe
from sandbox.caller.report import Utterance, utterance_heard
from sandbox.caller.span_detector import Span

ENDED_AT = 30.0


def heard(kind: str, start: float, end: float, agent: tuple[Span, ...], until: float, text: str = "text") -> Utterance:
    return utterance_heard(1, kind, text, Span(start, end), agent, until)


def take(
    *utterances: tuple[str, float, float, str], agent: list[tuple[float, float]], rows: list[Row], kind: str = "plain"
) -> Take:
    spans = tuple(Span(*each) for each in agent)
    made = tuple(
        heard(each, start, end, spans, next((later[1] for later in utterances[number:]), ENDED_AT), text)
        for number, (each, start, end, text) in enumerate(utterances, 1)
    )
    return Take(kind, f"{kind}-ru-1", made, spans, tuple(rows), ENDED_AT)


def row(at: float, type_: str, **data: Any) -> Row:
    return Row(at, type_, data)


def seen(shown: Take, measure: str) -> list[Observation]:
    return [each for each in observe(shown) if each.measure == measure]


def verdicts(shown: Take, measure: str) -> list[bool]:
    return [each.good for each in seen(shown, measure)]


@pytest.mark.parametrize(
    ("begins", "turns", "good"),
    [(3.5, [3.2], True), (5.5, [3.2], False), (3.5, [], False)],
    ids=["in time", "too late", "a noise that is no answer"],
)
def test_an_answer_comes_within_two_seconds_to_a_turn_that_was_taken(
    begins: float, turns: list[float], good: bool
) -> None:
    shown = take(("says", 1.0, 3.0, "text"), agent=[(begins, begins + 2)], rows=[row(at, "turn.taken") for at in turns])

    assert verdicts(shown, "response rate") == [good]


@pytest.mark.parametrize(
    ("begins", "good"),
    [(1.5, False), (2.9, True), (1.1, True), (3.4, True)],
    ids=["in it", "at its end", "at once", "after"],
)
def test_an_agent_who_begins_in_the_middle_interrupts(begins: float, good: bool) -> None:
    shown = take(("says", 1.0, 3.0, "text"), agent=[(begins, 6.0)], rows=[])

    assert verdicts(shown, "agent interrupts") == [good]
    assert seen(shown, "false cut-offs") == []


@pytest.mark.parametrize(("taken", "good"), [(2.0, False), (3.3, True)], ids=["in its pause", "after it"])
def test_a_turn_that_is_taken_in_a_pause_is_cut_off(taken: float, good: bool) -> None:
    shown = take(("says", 1.0, 3.0, "one [0.7] two"), agent=[(3.5, 5.0)], rows=[row(taken, "turn.taken")])

    assert verdicts(shown, "false cut-offs") == [good]
    assert seen(shown, "agent interrupts") == []


def test_a_yield_is_timed_from_the_callers_first_sound() -> None:
    rows = [row(2.4, "agent.interrupted", speech=1), row(4.2, "turn.taken")]
    shown = take(("interrupts", 2.0, 4.0, "wait"), agent=[(1.0, 2.25), (4.6, 8.0)], rows=rows)

    assert [each.seconds for each in seen(shown, "yields")] == [0.25]
    assert verdicts(shown, "recovery after an interruption") == [True]


def test_an_agent_who_speaks_on_does_not_yield() -> None:
    shown = take(("interrupts", 2.0, 4.0, "wait"), agent=[(1.0, 6.0)], rows=[])

    (yielded,) = seen(shown, "yields")
    assert not yielded.good
    assert yielded.seconds == inf
    assert verdicts(shown, "recovery after an interruption") == [False]


@pytest.mark.parametrize(
    ("agent", "seconds"),
    [([(1.0, 1.9), (4.6, 8.0)], 0.0), ([(1.0, 1.9), (2.1, 3.0), (4.6, 8.0)], 1.0)],
    ids=["says no more", "goes on"],
)
def test_who_is_interrupted_between_two_clauses_yields_by_not_going_on(
    agent: list[tuple[float, float]], seconds: float
) -> None:
    shown = take(("interrupts", 2.0, 4.0, "wait"), agent=agent, rows=[row(4.2, "turn.taken")])

    assert [each.seconds for each in seen(shown, "yields")] == [seconds]


PASSED_OVER = {
    "the voice goes on": ([(1.0, 9.0)], []),
    "it pauses and goes on": ([(1.0, 3.1), (3.9, 9.0)], []),
    "it had come to its end": ([(1.0, 3.4)], [row(3.5, "agent.finished", speech=1)]),
}
NOT_PASSED_OVER = {
    "it is cut": ([(1.0, 3.1)], [row(3.3, "agent.interrupted", speech=1)]),
    "it is answered": ([(1.0, 3.1), (4.0, 9.0)], [row(3.5, "turn.taken")]),
    "it pauses for long": ([(1.0, 3.1), (4.2, 9.0)], []),
}


@pytest.mark.parametrize(
    ("kind", "measure"),
    [("backchannels", "backchannels"), ("coughs", "noise"), ("overhears", "speech not meant for the agent")],
)
@pytest.mark.parametrize(
    ("agent", "rows", "good"),
    [(*each, True) for each in PASSED_OVER.values()] + [(*each, False) for each in NOT_PASSED_OVER.values()],
    ids=[*PASSED_OVER, *NOT_PASSED_OVER],
)
def test_a_sound_over_the_agent_is_passed_over(
    kind: str, measure: str, agent: list[tuple[float, float]], rows: list[Row], good: bool
) -> None:
    shown = take((kind, 3.0, 3.4, "yes"), agent=agent, rows=rows)

    assert verdicts(shown, measure) == [good]


def test_a_sound_in_silence_shows_nothing() -> None:
    shown = take(("backchannels", 3.0, 3.4, "yes"), agent=[(1.0, 2.0), (5.0, 6.0)], rows=[])

    assert seen(shown, "backchannels") == []


def test_what_the_caller_asks_next_is_not_an_effect_of_a_sound_before() -> None:
    rows = [row(4.9, "agent.finished", speech=1), row(6.4, "turn.taken")]
    shown = take(
        ("backchannels", 3.0, 3.4, "yes"), ("says", 5.5, 6.2, "and?"), agent=[(1.0, 5.0), (6.8, 8.0)], rows=rows
    )

    assert verdicts(shown, "backchannels") == [True]


def test_a_hello_over_the_greeting_is_counted_by_itself() -> None:
    rows = [row(1.3, "agent.interrupted", speech=1)]
    shown = take(("backchannels", 0.8, 1.2, "Hello?"), agent=[(0.2, 1.1)], rows=rows, kind="greeting")

    assert verdicts(shown, "greeting completed under a hello") == [False]
    assert seen(shown, "backchannels") == []


def spoken(speech: int, begun: float, ended: float, kind: str = "reply", how: str = "agent.finished") -> list[Row]:
    return [row(begun, "agent.reply_started", speech=speech, kind=kind), row(ended, how, speech=speech)]


@pytest.mark.parametrize(
    ("rows", "good"),
    [
        (spoken(1, 0.1, 3.0, "greeting"), [True]),
        (spoken(1, 0.1, 3.0, "greeting", "agent.interrupted"), [False]),
        ([*spoken(1, 0.1, 3.0, "greeting"), row(3.5, "turn.taken"), *spoken(2, 3.6, 5.0)], [False, True]),
        ([*spoken(1, 0.1, 3.0, "greeting"), *spoken(2, 3.6, 5.0, "prompt")], [False]),
    ],
    ids=["heard to its end", "cut by its echo", "answered by itself", "asked to repeat"],
)
def test_an_agent_with_an_echo_is_heard_to_the_end_of_each_utterance(rows: list[Row], good: list[bool]) -> None:
    shown = take(agent=[(0.1, 3.0), (3.6, 5.0)], rows=rows, kind="echoing")

    assert verdicts(shown, "echo") == good


def test_a_turn_of_the_callers_own_is_not_an_echo() -> None:
    rows = [*spoken(1, 0.1, 3.0, "greeting"), row(5.2, "turn.taken"), *spoken(2, 5.4, 7.0)]
    shown = take(("says", 4.0, 5.0, "When?"), agent=[(0.1, 3.0), (5.4, 7.0)], rows=rows, kind="echoing")

    assert verdicts(shown, "echo") == [True, True]


def test_an_utterance_that_the_caller_cuts_says_nothing_about_the_echo() -> None:
    rows = [*spoken(1, 0.1, 2.2, how="agent.interrupted"), row(3.2, "turn.taken"), *spoken(2, 3.4, 5.0)]
    shown = take(("interrupts", 2.0, 3.0, "wait"), agent=[(0.1, 2.1), (3.4, 5.0)], rows=rows, kind="echoing")

    assert verdicts(shown, "echo") == [True]


def test_a_silence_in_which_the_caller_believes_the_agent_has_finished_is_a_disturbance_by_the_line() -> None:
    rows = [*spoken(1, 0.1, 4.2, how="agent.interrupted"), row(4.3, "turn.taken"), *spoken(2, 4.6, 6.0)]
    shown = take(("says", 2.8, 4.1, "When?"), agent=[(0.1, 2.0), (3.5, 3.9), (4.6, 6.0)], rows=rows, kind="noisy")

    assert verdicts(shown, "noise") == [False, True]


def test_a_long_silence_within_an_utterance_is_a_disturbance_by_the_line() -> None:
    shown = take(agent=[(0.1, 2.0), (3.2, 5.0)], rows=spoken(1, 0.1, 5.0), kind="noisy")

    assert verdicts(shown, "noise") == [False]


def test_a_call_that_did_not_follow_its_score_is_reported_with_its_reason() -> None:
    broken = Take("plain", "plain-ru-1", (), (), (), 4.0, failure="the line broke")

    (told,) = seen(broken, "calls that went as planned")
    assert (told.good, told.note) == (False, "the line broke")
