"""The variables that an agent declares, and their values in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.calls.agent.facts import clean
from app.errors import InvalidRequest

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that the templates of an agent use, and that a request can set."""

    name: str
    default: Scalar | None = None
    """None: there is no default, and the value is empty in a call that does not set it."""
    description: str = ""
    required: bool = False
    """Whether a request for a call must set it. A caller who dials gets the default."""

    def describe(self) -> dict[str, Any]:
        """The variable for ``GET /agents/{name}``."""
        return {
            "name": self.name,
            "default": self.default,
            "description": self.description,
            "required": self.required,
        }


def defaults(declared: Sequence[Variable]) -> dict[str, Scalar]:
    """The values of a call whose request sets none."""
    return {variable.name: "" if variable.default is None else variable.default for variable in declared}


def check_variables(declared: Sequence[Variable], given: Mapping[str, Any]) -> None:
    """Check that a request may set these. Raises InvalidRequest, which names everything wrong and quotes no value."""
    names = {variable.name for variable in declared}
    known = f"; the agent has {', '.join(sorted(names))}" if names else "; the agent has none"
    problems = [f"variables.{name}: is not known{known}" for name in given if name not in names]
    problems += [
        f"variables.{name}: must be a text, a number, true or false"
        for name, value in given.items()
        if name in names and not isinstance(value, str | int | float)
    ]
    problems += [f"variables.{name}: is missing" for name in missing(declared, given)]
    if problems:
        raise InvalidRequest("; ".join(problems))


def missing(declared: Sequence[Variable], given: Mapping[str, Any]) -> list[str]:
    """The names of required variables without a value."""
    return [each.name for each in declared if each.required and clean(given.get(each.name)) in (None, "")]
