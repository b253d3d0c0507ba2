"""The answers that a scenario fixes, in place of the agent's tools."""

import json
from collections.abc import Iterable

from app.agent_tests.shape import ScenarioShape, ToolAnswerShape
from app.calls.agent.lookup import LOOKUP
from app.calls.text.outside import NOTHING_KNOWN, FixedAnswer, FixedTool, TextTelephony


def fixed_tools(scenario: ScenarioShape, known: Iterable[str], *, dry: bool) -> dict[str, FixedTool]:
    """What answers in one call, by the names of tools. ``dry``: those of the ``known`` without an answer, too."""
    fixed = {name: fixed_tool(name, answers) for name, answers in scenario.tools.items()}
    return {**{name: FixedTool(name) for name in known if dry}, **fixed}


def fixed_tool(name: str, answers: ToolAnswerShape | list[ToolAnswerShape]) -> FixedTool:
    """The tool that gives these answers."""
    listed = answers if isinstance(answers, list) else [answers]
    return FixedTool(name, tuple(FixedAnswer(_text(each.answer), each.status, each.when) for each in listed))


def fixed_lookup(scenario: ScenarioShape, *, dry: bool) -> FixedTool | None:
    """What answers the agent's lookup: the answer to ``lookup``, or nothing known if ``dry``; None to really ask."""
    if (answers := scenario.tools.get(LOOKUP)) is not None:
        return fixed_tool(LOOKUP, answers)
    return NOTHING_KNOWN if dry else None


def fixed_telephony(scenario: ScenarioShape) -> TextTelephony:
    """What comes of a transfer."""
    return TextTelephony(None if scenario.transfer == "answered" else scenario.transfer)


def _text(answer: object) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, default=str)
