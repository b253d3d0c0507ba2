"""A judge and a persona, played by simple rules, for requests that ask for their answers by a JSON schema.

The rules are honest, not clever, so that a test of an agent can pass and fail with the sandbox:

* The judge looks for the words in quotation marks in the agent's lines: ``Does the agent say "nine"?``. A question
  without a quotation is answered yes if at least half of its longer words occur there.
* The persona says its goal, then answers the agent's last question with the facts whose names occur in it, then says
  yes once, then goodbye. Where they may interrupt, they do, after their first words, with the facts they have not told.
"""

import json
import re
from typing import Any

_LINE = re.compile(r"^\[(\d+)\] (caller|agent): (.+)$", re.MULTILINE)
_QUOTED = re.compile(r'"([^"]+)"|«([^»]+)»|“([^”]+)”')
_QUESTION = re.compile(r"^The question: (.+)$", re.MULTILINE)
_GOAL = re.compile(r"^Your goal: (.+)$", re.MULTILINE)
_FACT = re.compile(r"^- ([^:\n]+): (.+)$", re.MULTILINE)
_SAYING = re.compile(r"^The agent is saying: (.+)$", re.MULTILINE)
_STEM_LETTERS = 5
_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)
_GOODBYE = re.compile(r"до свидания|goodbye|\bbye\b", re.IGNORECASE)
_NOT_EVIDENCE = frozenset({"agent", "calle", "does", "about", "агент", "ли"})


def role_answer(schema: dict[str, Any], text: str) -> str | None:
    """The answer of a judge or a persona; None if the schema asks for something else."""
    properties = set(schema.get("properties") or ())
    if properties == {"verdict", "turn", "reason"}:
        return json.dumps(_judge(text), ensure_ascii=False)
    if properties == {"interrupts", "says"}:
        return json.dumps(_interruption(text), ensure_ascii=False)
    if properties == {"says", "hangs_up"}:
        return json.dumps(_persona(text), ensure_ascii=False)
    return None


def _judge(text: str) -> dict[str, Any]:
    asked = _QUESTION.search(text)
    question = asked.group(1) if asked else ""
    said = [(int(turn), words) for turn, who, words in _LINE.findall(text) if who == "agent"]
    quoted = [next(filter(None, each)) for each in _QUOTED.findall(question)]
    if quoted:
        missing = [each for each in quoted if not any(each.casefold() in words.casefold() for _, words in said)]
        holds = next((turn for turn, words in said if quoted[0].casefold() in words.casefold()), None)
        reason = f"The agent did not say {missing[0]}." if missing else "The agent said it."
        return {"verdict": not missing, "turn": holds, "reason": reason}
    wanted = _stems(question) - _NOT_EVIDENCE
    for turn, words in said:
        found = wanted & _stems(words)
        if wanted and len(found) * 2 >= len(wanted):
            return {"verdict": True, "turn": turn, "reason": f"A line speaks of {', '.join(sorted(found))}."}
    return {"verdict": False, "turn": None, "reason": "No line of the agent speaks of that."}


def _persona(text: str) -> dict[str, Any]:
    lines = [(who, words) for _, who, words in _LINE.findall(text)]
    own = [words for who, words in lines if who == "caller"]
    last = next((words for who, words in reversed(lines) if who == "agent"), "")
    goal = _GOAL.search(text)
    head = text.partition("The call so far:")[0].partition("The facts:")[2]
    facts = {name.strip(): value.strip() for name, value in _FACT.findall(head)}
    is_russian = bool(_CYRILLIC.search(last or (goal.group(1) if goal else "")))
    if not own and goal:
        return {"says": goal.group(1), "hangs_up": False}
    asked_for = [value for name, value in facts.items() if _stems(name, 3) & _stems(last, 3) and not _said(value, own)]
    if asked_for:
        return {"says": ", ".join(asked_for), "hangs_up": False}
    yes = "Да, пожалуйста." if is_russian else "Yes, please."
    if last.rstrip().endswith("?") and yes not in own and not _GOODBYE.search(last):
        return {"says": yes, "hangs_up": False}
    return {"says": "Спасибо, до свидания." if is_russian else "Thank you, goodbye.", "hangs_up": True}


def _interruption(text: str) -> dict[str, Any]:
    """The words of a persona over the agent: the facts that they have not told."""
    saying = _SAYING.search(text)
    said = _LINE.findall(text)
    own = [words for _, who, words in said if who == "caller"]
    head = text.partition("The call so far:")[0].partition("The facts:")[2]
    known = [value.strip() for _, value in _FACT.findall(head) if not _said(value.strip(), own)]
    if saying is None or not own or not known:
        return {"interrupts": False, "says": ""}
    return {"interrupts": True, "says": ", ".join(known)}


def _said(value: str, own: list[str]) -> bool:
    return any(value in words for words in own)


def _stems(text: str, shortest: int = _STEM_LETTERS) -> set[str]:
    words = re.findall(rf"[^\W_]{{{shortest},}}", text.casefold())
    return {word[:_STEM_LETTERS] for word in words}
