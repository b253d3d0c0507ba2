"""Reads a file of tests. An error names every problem at once, each with its file, line and key."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.agent_tests.shape import FileShape, ScenarioShape, Step, Tools
from app.calls.agent.marked_yaml import BadYaml, MarkedYaml
from app.errors import SettingsError

Place = tuple[str | int, ...]
"""The keys and positions that lead to a part of a file."""

SUFFIXES = (".tests.yaml", ".tests.yml")


@dataclass(frozen=True, slots=True)
class TestFile:
    """The tests of one agent."""

    __test__ = False  # pytest would take it for a test

    path: Path
    agent: str | None
    """The agent's name or file; None for the default agent."""
    environment: Mapping[str, str]
    """Values for ``${NAME}`` of the agent's file that the environment lacks."""
    judge_model: str | None
    scenarios: tuple[ScenarioShape, ...]
    """Each with the language and the tools of the file where it has none of its own."""
    document: MarkedYaml
    """The file as it is written."""

    def has(self, place: Place) -> bool:
        """Whether the file has that part."""
        return _at(place, self.document.data) is not None

    def problem(self, place: Place, text: str) -> str:
        """What is wrong with a part, with its line and key."""
        return f"{self.path} line {self.document.line(place)}: {_dotted(place)}: {text}"

    def sound(self, step: Step) -> Path | None:
        """The file with the caller's own sound of a step; None if there is none."""
        return None if step.sound is None else self.path.parent / step.sound


def read_test_file(path: Path) -> TestFile:
    """Read a file of tests. Raises SettingsError with every problem."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError([f"{path} cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path} is not UTF-8 text; save it as UTF-8"]) from error
    try:
        document = MarkedYaml(text)
    except BadYaml as error:
        raise SettingsError([f"{path} line {each.line}: {each.text}" for each in error.problems]) from error
    shape = _checked(path, document)
    return TestFile(path, _agent(path, shape), shape.environment, shape.judge_model, tuple(_scenarios(shape)), document)


def _agent(path: Path, shape: FileShape) -> str | None:
    """The agent that the file names, else the one beside it with its name, else the default."""
    if shape.agent is not None:
        own = path.parent / shape.agent
        return str(own) if own.is_file() else shape.agent
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            beside = path.with_name(path.name.removesuffix(suffix) + suffix.removeprefix(".tests"))
            return str(beside) if beside.is_file() else path.name.removesuffix(suffix)
    return None


def _scenarios(shape: FileShape) -> Iterator[ScenarioShape]:
    for scenario in shape.scenarios:
        tools: Tools = {**shape.tools, **scenario.tools}
        own: dict[str, Any] = {"language": scenario.language or shape.language, "now": scenario.now or shape.now}
        own["telephone"] = scenario.telephone or shape.telephone
        yield scenario.model_copy(update={"tools": tools, **own})


def _checked(path: Path, document: MarkedYaml) -> FileShape:
    problems: list[tuple[Place, str]] = []
    if not isinstance(document.data, dict):
        raise SettingsError([f"{path} line 1: a file of tests begins with keys, such as scenarios: ..."])
    problems += _repeated_names(document.data)
    try:
        shape = FileShape.model_validate(document.data)
    except ValidationError as error:
        problems += _problems(error, document.data)
        shape = None
    if shape is None or problems:
        found = sorted({(document.line(place), _dotted(place), text) for place, text in problems})
        raise SettingsError([f"{path} line {line}: {key}: {text}" for line, key, text in found])
    return shape


def _repeated_names(data: dict[Any, Any]) -> Iterator[tuple[Place, str]]:
    names: set[str] = set()
    scenarios = data.get("scenarios")
    for index, scenario in enumerate(scenarios if isinstance(scenarios, list) else ()):
        name = scenario.get("name") if isinstance(scenario, dict) else None
        if isinstance(name, str) and name in names:
            yield ("scenarios", index, "name"), f"{name} is also the name of an earlier scenario"
        names.add(str(name))


def _problems(error: ValidationError, data: Any) -> Iterator[tuple[Place, str]]:
    """What is wrong, by place in the file. Of the alternatives of a value, only those that fit its type are told."""
    for item in error.errors(include_url=False):
        place = _in_file(item["loc"], data)
        value = _at(place, data)
        if item["type"] in ("string_type", "model_type", "dict_type", "list_type") and len(place) < len(item["loc"]):
            if isinstance(value, str | dict | list):
                continue
            yield place, "input should be a text, or an object with keys"
        elif item["type"] == "missing":
            yield place, "is missing"
        elif item["type"] == "extra_forbidden":
            yield place, "is not a key of a file of tests here"
        elif item["type"] == "value_error":
            yield place, str(item["ctx"]["error"])
        else:
            yield place, item["msg"][:1].lower() + item["msg"][1:]


def _in_file(loc: Place, data: Any) -> Place:
    """The place without the names that pydantic gives to alternatives. A missing key stays at its end."""
    place: list[str | int] = []
    for index, step in enumerate(loc):
        is_key = isinstance(data, dict) and step in data
        is_position = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if is_key or is_position:
            data = data[step]
            place.append(step)
        elif index == len(loc) - 1 and isinstance(data, dict) and isinstance(step, str) and step.isidentifier():
            place.append(step)
    return tuple(place)


def _at(place: Place, data: Any) -> Any:
    for step in place:
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
    return data


def _dotted(place: Place) -> str:
    """The place as a person writes it: ``scenarios[0].caller.lines[2].say``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")
