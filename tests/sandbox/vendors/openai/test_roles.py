"""The judge and the persona of the sandbox, by their rules."""

import json

import pytest

from app.agent_tests import judge, persona
from sandbox.vendors.openai.roles import role_answer

CALL = "[1] agent: Hello! How can I help you?\n[2] caller: When are you open?\n[2] agent: From nine to eight."


@pytest.mark.parametrize(
    ("question", "verdict", "turn"),
    [
        ('Does the agent say "nine"?', True, 2),
        ('Does the agent say "nine" and "midnight"?', False, 2),
        ('Does the agent say "open"?', False, None),
        ("Does the agent offer its help?", False, None),
        ("Could the agent say Hello?", True, 1),
    ],
)
def test_the_judge_looks_for_the_words_in_the_agents_lines(question: str, verdict: bool, turn: int | None) -> None:
    text = f"The question: {question}\n\nThe transcript:\n{CALL}"
    answer = json.loads(role_answer(dict(judge._SCHEMA), text) or "")
    assert (answer["verdict"], answer["turn"]) == (verdict, turn)


@pytest.mark.parametrize(
    ("so_far", "says", "hangs_up"),
    [
        ("[1] agent: Hello!", "An appointment, please.", False),
        ("[1] agent: Hello!\n[2] caller: An appointment, please.\n[2] agent: Which day?", "Friday", False),
        ("[2] caller: Friday\n[2] agent: Which day? At ten?", "Yes, please.", False),
        ("[2] caller: Yes, please.\n[2] agent: Anything else?", "Thank you, goodbye.", True),
    ],
)
def test_the_persona_says_its_goal_then_facts_then_yes_then_goodbye(so_far: str, says: str, hangs_up: bool) -> None:
    text = f"Your goal: An appointment, please.\nThe facts:\n- day: Friday\n\nThe call so far:\n{so_far}"
    assert json.loads(role_answer(dict(persona._SCHEMA), text) or "") == {"says": says, "hangs_up": hangs_up}


def test_any_other_schema_is_for_others() -> None:
    assert role_answer({"properties": {"summary": {"type": "string"}}}, CALL) is None
