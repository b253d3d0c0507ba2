"""What an agent looks up about a caller while the telephone rings: an HTTP endpoint of the operator's.

Its address and its headers can hold values of the call, as those of a tool. The request is a POST with the facts of the
call. The answer is a JSON object; each key may be left out::

    {"variables": {"name": "Anna"}, "agent": "clinic", "language": "en", "reject": false}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LOOKUP = "lookup"
"""The name of the endpoint."""


@dataclass(frozen=True, slots=True)
class LookupAnswer:
    """What the endpoint answered. A value that cannot be used is left out, and is a problem."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    agent: str | None = None
    """Who answers the call in place of the agent that asked."""
    language: str | None = None
    rejects: bool = False
    """Whether the call is not to be taken."""
    problems: tuple[str, ...] = ()
    """What could not be used. Quotes none of it."""


def read_answer(text: str) -> LookupAnswer:
    """Read the body of an answer. An empty one says nothing."""
    try:
        read = json.loads(text or "{}", parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        return LookupAnswer(problems=("the answer is not JSON",))
    if not isinstance(read, dict):
        return LookupAnswer(problems=("the answer is not a JSON object",))
    problems: list[str] = []

    def value(key: str, kinds: type | tuple[type, ...], what: str) -> Any:
        found = read.get(key)
        if found is None or isinstance(found, kinds):
            return found
        problems.append(f"{key}: is not {what}")
        return None

    variables = value("variables", dict, "an object")
    agent, language = value("agent", str, "a text"), value("language", str, "a text")
    reject = value("reject", (bool, str), "true, false or a text")
    return LookupAnswer(variables or {}, agent, language, bool(reject), tuple(problems))
