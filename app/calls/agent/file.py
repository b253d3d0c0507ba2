"""Reads an agent from one YAML file: its prompt, prepared lines, voices and tools.

An error lists every problem at once, each with its line and key. It never quotes the value of a header.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from app.calls.agent.beyond_the_shape import beyond_the_shape
from app.calls.agent.hours import CallingHours
from app.calls.agent.knowledge import BadKnowledge, KnowledgeFile, named_files, read_knowledge, version_hash
from app.calls.agent.lookup import LOOKUP
from app.calls.agent.marked_yaml import BadYaml, MarkedYaml
from app.calls.agent.mcp import McpServer
from app.calls.agent.outcome import OutcomeField, outcome_fields
from app.calls.agent.own_languages import missing_texts, own_languages
from app.calls.agent.schema import (
    AgentShape,
    HoursShape,
    LookupShape,
    McpServerShape,
    SecretTemplate,
    ToolShape,
    WebhookShape,
)
from app.calls.agent.tool_values import split_address
from app.calls.agent.tools import AgentTool
from app.calls.agent.variables import Variable
from app.clients.http_tools import HttpEndpoint, RequestValues
from app.clients.webhook_sender import WebhookEndpoint
from app.conversation.policy import DISCLOSURES, ENGLISH, NOTICES, CallPolicy, KeyMeaning, Lines
from app.errors import SettingsError
from app.models import AS_USUAL, CALL_EVENTS, RedactCategory, Retention
from app.ports.streams import ToolSpec
from app.settings_checks import split_secrets

_YAML = (".yaml", ".yml")


Search = Callable[[str], int | None]
"""Finds something in a text as it is written in a file, and returns its line there, counted from 1."""


def _not_found(_written: str) -> None:
    """Nothing is searched for."""


def _in_no_file(place: tuple[str | int, ...], line: int, search: Search = _not_found) -> str:
    return f"{_dotted(place)} line {line}"


@dataclass(frozen=True, slots=True)
class AgentFile:
    """What a file says about an agent. What the file leaves out is None or empty."""

    name: str
    prompt: str
    sha256: str
    """The version: the hash of the file's bytes, and of the files of its knowledge if it has some; in hexadecimal."""
    own_sha256: str
    """The hash of the file's bytes alone."""
    language: str | None = None
    lines: Mapping[str, Lines] = field(default_factory=dict)
    """The lines by language, for the languages that the file changes. Each has every line, defaults included."""
    voices: Mapping[str, str] = field(default_factory=dict)
    """Voice ids by language."""
    tools: tuple[AgentTool, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    """The models by purpose: ``stt``, ``llm``, ``tts``."""
    keypad: tuple[KeyMeaning, ...] = ()
    numbers: tuple[str, ...] = ()
    is_recorded: bool | None = None
    retention: Retention = AS_USUAL
    redact: tuple[RedactCategory, ...] | None = None
    """What is taken out of its calls before they are stored; None: as the settings say."""
    max_call_cost_usd: float | None = None
    max_day_cost_usd: float | None = None
    lookup: AgentTool | None = None
    """Who is asked about a caller while the telephone rings."""
    hours: CallingHours | None = None
    """When the agent may place calls."""
    asks_consent: bool = False
    """Whether a caller must agree before the call is recorded."""
    zone: tzinfo | None = None
    variables: tuple[Variable, ...] = ()
    sip_headers: tuple[str, ...] = ()
    """In lower case."""
    outcome: tuple[OutcomeField, ...] = ()
    is_analysed: bool | None = None
    """Whether the model sums up each call after its end; None: as the settings say."""
    webhooks: tuple[WebhookEndpoint, ...] = ()
    knowledge: tuple[KnowledgeFile, ...] = ()
    mcp_servers: tuple[McpServer, ...] = ()
    where: Callable[[tuple[str | int, ...], int, Search], str] = _in_no_file
    """The line of the file with a line of a text: takes the text's place in the agent, and the line in it, from 1.

    A folded text has other lines than its file, so there the search finds the line.
    """

    def place(self, place: tuple[str | int, ...]) -> str:
        """The line of a part of the agent that is no text."""
        return self.where(place, 1, _not_found)


def read_agent_file(path: Path, environment: Mapping[str, str], *, setting: str) -> AgentFile:
    """Read a whole agent from ``.yaml`` or ``.yml``; any other file is the prompt alone.

    ``environment`` has the values for ``${NAME}`` in headers; ``setting`` names the file. Raises SettingsError with
    every problem.
    """
    text, sha256 = _content(path, setting)
    if path.suffix.lower() not in _YAML:
        return AgentFile(path.stem, text, sha256, sha256, where=lambda _place, line, _search: f"{path} line {line}")
    try:
        document = MarkedYaml(text)
    except BadYaml as error:
        places = [f"{path} line {problem.line} column {problem.column}: {problem.text}" for problem in error.problems]
        raise SettingsError(places) from error
    shape = _checked(document, path, environment)
    knowledge = _knowledge(document, path, shape)
    return AgentFile(
        name=shape.name or path.stem,
        prompt=shape.prompt,
        sha256=version_hash(sha256, knowledge),
        own_sha256=sha256,
        language=shape.language,
        lines=_lines(shape),
        voices=shape.voices,
        tools=tuple(map(_tool, shape.tools)),
        models=shape.models.model_dump(exclude_none=True),
        keypad=tuple(
            KeyMeaning(key, meaning.tool, json.dumps(meaning.arguments, ensure_ascii=False), meaning.transfer)
            for key, meaning in shape.keypad.items()
        ),
        numbers=tuple(shape.numbers),
        is_recorded=shape.recording,
        retention=Retention(**shape.retention.model_dump()),
        redact=None if shape.redact is None else tuple(shape.redact),
        max_call_cost_usd=shape.limits.max_call_cost_usd,
        max_day_cost_usd=shape.limits.max_day_cost_usd,
        hours=_hours(shape.hours),
        lookup=_lookup(shape.lookup),
        asks_consent=shape.consent == "ask",
        zone=shape.timezone,
        variables=tuple(Variable(name, **dict(variable)) for name, variable in shape.variables.items()),
        sip_headers=tuple(shape.sip_headers),
        outcome=() if shape.outcome is None else outcome_fields(shape.outcome.fields),
        is_analysed=None if shape.outcome is None else bool(shape.outcome.fields),
        webhooks=tuple(_webhook(webhook, shape.name or path.stem) for webhook in shape.webhooks),
        knowledge=knowledge,
        mcp_servers=tuple(map(_mcp_server, shape.mcp_servers)),
        where=partial(_where, path, document),
    )


def _content(path: Path, setting: str) -> tuple[str, str]:
    """The text of the file, and the hash of its bytes. Raises SettingsError."""
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig"), hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise SettingsError([f"{setting}: {path} cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{setting}: {path} is not UTF-8 text; save it as UTF-8"]) from error


def knowledge_names(path: Path) -> tuple[str, ...]:
    """The files of knowledge that an agent's file names, even if much is wrong with it."""
    try:
        data = MarkedYaml(path.read_text("utf-8-sig")).data
    except (OSError, UnicodeDecodeError, BadYaml):
        return ()
    return named_files(data)


def _knowledge(document: MarkedYaml, path: Path, shape: AgentShape) -> tuple[KnowledgeFile, ...]:
    try:
        return read_knowledge(path.parent, shape.knowledge)
    except BadKnowledge as error:
        places = [(("knowledge",) if index is None else ("knowledge", index), text) for index, text in error.problems]
        listed = [f"{path} line {document.line(place)}: {_dotted(place)}: {text}" for place, text in places]
        raise SettingsError(listed) from None


def _where(path: Path, document: MarkedYaml, place: tuple[str | int, ...], line: int, search: Search) -> str:
    """The place of an agent's text in its file. The opening lines have keys of their own there."""
    match place:
        case ("lines", language, "greeting" | "disclosure" | "notice" as key):
            place = (key, language)
        case ("tools", index, "url", _):
            place = ("tools", index, "url")
        case ("lookup", "url", _):
            place = ("lookup", "url")
        case ("lines", language, "keypad_labels" | "keypad_texts" as name, int(index)):
            key = list(document.data["keypad"])[index]
            place = ("keypad", str(key), "label" if name == "keypad_labels" else "say", language)
        case _:
            pass
    first, written = document.written(place)
    found = search(written)
    in_file = document.text_line(place) + line - 1 if found is None else first + found - 1
    return f"{path} line {in_file}: {_dotted(place)}"


def _checked(document: MarkedYaml, path: Path, environment: Mapping[str, str]) -> AgentShape:
    if not isinstance(document.data, dict):
        raise SettingsError([f"{path} line 1: an agent's file begins with keys, such as prompt: ..."])
    problems = list(beyond_the_shape(document.data))
    shape = None
    try:
        shape = AgentShape.model_validate(document.data, context=environment)
    except ValidationError as error:
        problems += _problems(error, document.data)
    else:
        problems += missing_texts(shape)
    if shape is None or problems:
        found = sorted((document.line(place), _dotted(place), text) for place, text in problems)
        raise SettingsError([f"{path} line {line}: {key}: {text}" for line, key, text in found])
    return shape


_BEYOND = {
    "less_than_equal": ("more than", "le"),
    "greater_than": ("not more than", "gt"),
    "greater_than_equal": ("less than", "ge"),
}
"""How a number exceeds a limit, and pydantic's name for the limit."""


def _problems(error: ValidationError, data: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """All problems, each with its place. Where several types are allowed, those of the type that fits best."""
    found = [_problem(item, data) for item in error.errors(include_url=False)]
    inner = {place[:length] for place, _ in found for length in range(len(place))}
    return [(place, text) for place, text in found if place not in inner]


def _in_file(place: tuple[str | int, ...], data: Any, *, is_missing: bool) -> tuple[str | int, ...]:
    """The place without the names of types, which pydantic puts where several are allowed."""
    steps: list[str | int] = []
    for number, step in enumerate(place, 1):
        is_there = step in data if isinstance(data, dict) else isinstance(data, list) and isinstance(step, int)
        if is_there:
            data = data[step]
        if is_there or (is_missing and number == len(place)):
            steps.append(step)
    return tuple(steps)


def _problem(error: Mapping[str, Any], data: Any) -> tuple[tuple[str | int, ...], str]:
    """The place in the file, and what is wrong there. Quotes only numbers, because other values may be secrets."""
    place = tuple(step for step in error["loc"] if step != "[key]")
    place = _in_file(place, data, is_missing=error["type"] == "missing")
    place = (*place[:1], *map(str, place[1:])) if place[:1] == ("keypad",) else place  # YAML reads a key as a number
    limits: dict[str, Any] = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return place, "is missing"
        case "extra_forbidden":
            return place, "is not a key of an agent's file here"
        case "less_than_equal" | "greater_than" | "greater_than_equal" as kind:
            compared, limit = _BEYOND[kind]
            return place, f"{error['input']} is {compared} {limits[limit]:g}"
        case "value_error":
            return place, str(limits["error"])
        case _:
            return place, error["msg"][:1].lower() + error["msg"][1:]


def _dotted(place: tuple[str | int, ...]) -> str:
    """The place as a person writes it: ``tools[0].timeout_seconds``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def _lines(shape: AgentShape) -> dict[str, Lines]:
    changed = {}
    standard_lines = CallPolicy().lines
    for language in (*standard_lines, *own_languages(shape)):
        own, standard = shape.lines.get(language), standard_lines.get(language, ENGLISH)
        texts: dict[str, Any] = own.model_dump(exclude_none=True) if own is not None else {}
        if language in shape.greeting:
            texts["greeting"] = shape.greeting[language]
        for key, written, standards in (
            ("disclosure", shape.disclosure, DISCLOSURES),
            ("notice", shape.notice, NOTICES),
        ):
            own_texts = written if isinstance(written, dict) else {}
            if written and (text := own_texts.get(language) or standards.get(language)):
                texts[key] = text
        if shape.keypad:
            keys = shape.keypad.values()
            human = texts.get("keypad_human", standard.keypad_human)
            texts["keypad_labels"] = [key.label.get(language) or (human if key.transfer else "") for key in keys]
            texts["keypad_texts"] = [key.say.get(language, "") for key in keys]
        if texts:
            frozen: dict[str, Any] = {
                name: tuple(text) if isinstance(text, list) else text for name, text in texts.items()
            }
            changed[language] = replace(standard, **frozen)
    return changed


def _hours(shape: HoursShape | None) -> CallingHours | None:
    if shape is None:
        return None
    return CallingHours(shape.start, shape.end, frozenset(shape.days), shape.timezone)


def _lookup(shape: LookupShape | None) -> AgentTool | None:
    if shape is None:
        return None
    address, query = split_address(shape.url)
    fixed, templates = _headers(shape.headers)
    return AgentTool(
        spec=ToolSpec(LOOKUP, "", {}),
        endpoint=HttpEndpoint(LOOKUP, "POST", address, fixed, shape.timeout_seconds),
        values=RequestValues(query, templates),
    )


def _mcp_server(shape: McpServerShape) -> McpServer:
    fixed, templates = _headers(shape.headers)
    endpoint = HttpEndpoint(shape.name, "POST", shape.url, fixed, shape.timeout_seconds)
    return McpServer(endpoint, RequestValues(headers=templates), None if shape.tools is None else tuple(shape.tools))


def _tool(shape: ToolShape) -> AgentTool:
    address, query = split_address(shape.url)
    fixed, templates = _headers(shape.headers)
    return AgentTool(
        spec=ToolSpec(shape.name, shape.description, shape.parameters),
        endpoint=HttpEndpoint(shape.name, shape.method, address, fixed, shape.timeout_seconds),
        waiting_phrase=shape.waiting_phrase,
        waiting_phrase_after_seconds=shape.waiting_phrase_after_seconds,
        values=RequestValues(query, templates, shape.arguments),
    )


def _headers(written: Mapping[str, SecretStr]) -> tuple[dict[str, SecretStr], dict[str, SecretStr]]:
    """The headers that are the same in every request, and those that are templates."""
    templates: dict[str, SecretStr] = {
        name: value for name, value in written.items() if isinstance(value, SecretTemplate)
    }
    return {name: value for name, value in written.items() if name not in templates}, templates


def _webhook(shape: WebhookShape, agent: str) -> WebhookEndpoint:
    return WebhookEndpoint(
        url=shape.url,
        secrets=tuple(map(SecretStr, split_secrets(shape.secret))),
        events=frozenset(CALL_EVENTS if shape.events is None else shape.events),
        has_transcript=shape.transcript,
        agent=agent,
    )
