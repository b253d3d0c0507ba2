"""Scores: written in Python, read from JSON, and those that come along."""

import json
from datetime import date

import pytest

from sandbox.caller.score import (
    Score,
    backchannels,
    coughs,
    hangs_up,
    interrupts,
    load_score,
    presses,
    says,
    stays_silent,
    waits,
    waits_for_agent,
    waits_for_end,
)
from sandbox.caller.scores import booking, demo
from sandbox.vendors.stage import replies_from_json

EVERYTHING = Score(
    name="all",
    language="ru",
    steps=(
        waits_for_agent(),
        waits_for_agent(quiet=1.0),
        says("Алло"),
        says("Hello", language="en"),
        interrupts("Подождите", after=2.0),
        backchannels(),
        backchannels("да", after=0.5),
        coughs(),
        coughs(after=1.0, seconds=0.25),
        waits(1.5),
        stays_silent(seconds=20),
        presses("5*#A"),
        waits_for_end(),
        hangs_up(),
    ),
    replies=({"text": "Да.", "tool_calls": [{"name": "end_call", "arguments": {}}]},),
    patience=5.0,
)


def test_every_step_can_be_read_from_json() -> None:
    assert load_score(json.dumps(everything_as_json())) == EVERYTHING


def everything_as_json() -> dict[str, object]:
    return {
        "name": "all",
        "language": "ru",
        "steps": [
            {"do": "waits_for_agent"},
            {"do": "waits_for_agent", "quiet": 1.0},
            {"do": "says", "text": "Алло"},
            {"do": "says", "text": "Hello", "language": "en"},
            {"do": "interrupts", "text": "Подождите", "after": 2.0},
            {"do": "backchannels"},
            {"do": "backchannels", "text": "да", "after": 0.5},
            {"do": "coughs"},
            {"do": "coughs", "after": 1.0, "seconds": 0.25},
            {"do": "waits", "seconds": 1.5},
            {"do": "waits", "seconds": 20},
            {"do": "presses", "digits": "5*#A"},
            {"do": "waits_for_end"},
            {"do": "hangs_up"},
        ],
        "replies": [{"text": "Да.", "tool_calls": [{"name": "end_call", "arguments": {}}]}],
        "patience": 5.0,
    }


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"do": "sings"}, r"steps\.1"),
        ({"text": "x"}, r"steps\.1"),
        ({"do": "says"}, r"steps\.1\.says\.text"),
        ({"do": "says", "text": "x", "volume": 1}, r"steps\.1\.says\.volume"),
        ({"do": "presses", "digits": "5x"}, r"steps\.1\.presses\.digits"),
        ({"do": "waits", "seconds": -1}, r"steps\.1\.waits\.seconds"),
        ({"do": "coughs", "seconds": 0}, r"steps\.1\.coughs\.seconds"),
    ],
)
def test_a_wrong_step_is_named(step: dict[str, object], complaint: str) -> None:
    text = json.dumps({"name": "n", "language": "en", "steps": [{"do": "hangs_up"}, step]})

    with pytest.raises(ValueError, match=complaint):
        load_score(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "n", "language": "en", "steps": [], "extra": 1}'])
def test_an_invalid_score_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        load_score(text)


@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_demo_has_a_reply_for_every_demand_and_takes_leave_at_the_end(language: str) -> None:
    score = demo("ru" if language == "ru" else "en")

    demands = [step for step in score.steps if step.do in ("says", "interrupts")]
    assert score.language == language
    assert len(score.replies) == len(demands)
    assert score.steps[-1] == waits_for_end()
    assert [tool["name"] for reply in score.replies for tool in reply.get("tool_calls", ())] == ["end_call"]
    assert score.replies[-1]["tool_calls"]
    assert [reply.text for reply in replies_from_json(list(score.replies))] == [
        reply["text"] for reply in score.replies
    ]


@pytest.mark.parametrize("language", ["ru", "en"])
def test_answers_that_the_caller_speaks_over_are_long_enough(language: str) -> None:
    score = demo("ru" if language == "ru" else "en")

    answers = iter(score.replies)
    current = ""
    for step in score.steps:
        if step.do in ("interrupts", "backchannels"):
            assert len(current) > 160  # ten seconds or more of speech
        if step.do in ("says", "interrupts"):
            current = next(answers)["text"]


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize(
    ("today", "friday"), [("2026-12-01", "2026-12-04"), ("2026-12-03", "2026-12-04"), ("2026-12-04", "2026-12-11")]
)
def test_a_visit_is_booked_for_the_next_friday_as_the_caller_has_said(language: str, today: str, friday: str) -> None:
    score = booking("ru" if language == "ru" else "en", date.fromisoformat(today))

    tools = [(tool["name"], tool["arguments"]) for reply in score.replies for tool in reply.get("tool_calls", ())]
    said = " ".join(step.text for step in score.steps if step.do in ("says", "interrupts"))
    keyed = next(step.digits for step in score.steps if step.do == "presses" and len(step.digits) > 1)
    assert [name for name, _ in tools] == ["find_free_times", "book_visit", "end_call"]
    assert tools[0][1] == {"day": friday}
    assert tools[1][1]["day"] == friday
    assert tools[1][1]["time"] in said
    assert tools[1][1]["patient"] in said
    assert keyed == f"{tools[1][1]['telephone']}#"
