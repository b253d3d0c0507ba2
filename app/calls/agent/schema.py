"""The schema of an agent's file: keys, types and limits. Its messages are for the person who writes the file."""

import json
import re
from datetime import datetime, time
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from app.calls.agent.facts import BUILT_IN, STRANGERS, VALUE_LETTERS_MAX
from app.calls.agent.knowledge import file_name
from app.calls.agent.lines_schema import LinesShape, Text
from app.calls.agent.mcp import MCP_SECONDS
from app.calls.agent.numbers import number_problem
from app.calls.agent.outcome import outcome_field
from app.calls.agent.retention_schema import RedactShape, RetentionShape
from app.calls.agent.templates import is_template
from app.calls.agent.tool_values import header_value, split_address
from app.calls.agent.tools import RESERVED_NAMES, WAITING_PHRASE_AFTER_SECONDS
from app.clients.http_tools import Method, url_problem
from app.models import CallEvent
from app.settings_checks import webhook_address, webhook_secrets

TOOL_SECONDS_MAX = 60.0
"""Callers do not wait longer than this for a tool."""
LOOKUP_SECONDS_MAX = 10.0
"""Nor for a lookup, before they are answered."""
_TOOLS_MAX = 32
_HEADERS_MAX = 32
_ARGUMENTS_MAX = 32
_VARIABLES_MAX = 64
_NUMBERS_MAX = 1000
_WEBHOOKS_MAX = 8
_FIELDS_MAX = 32
_FILES_MAX = 32
_SERVERS_MAX = 8
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OUR_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding"}
    | {"idempotency-key", "x-call-id"}
)
"""Headers that the service or HTTP itself sets."""


def _language(code: str) -> str:
    from babel import Locale, UnknownLocaleError  # slow, because it reads files

    try:
        known = Locale.parse(code).language == code
    except (UnknownLocaleError, ValueError):
        known = False
    if not known:
        raise ValueError("is not the code of a language, such as de")
    return code


def _tool_name(name: str) -> str:
    if name in RESERVED_NAMES:
        raise ValueError(f"{name} is built in; choose another name")
    return name


class SecretTemplate(SecretStr):
    """The value of a header that is a template."""


def _address(url: str) -> str:
    address, _ = split_address(url)
    if problem := url_problem(address):
        raise ValueError(problem)
    return url


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("is not a header name")
    if name.lower() in _OUR_HEADERS:
        raise ValueError("is set by the service")
    return name


def _header_value(written: Any, info: ValidationInfo) -> SecretStr:
    """The value with its variables filled in. Errors never quote any part of it."""
    if not isinstance(written, str):
        raise ValueError("must be a text; put it in quotes")
    value = header_value(written, info.context or {})
    if is_template(written):
        return SecretTemplate(value)
    if not value.isascii() or not value.isprintable():
        raise ValueError("holds a character that no header may hold")
    return SecretStr(value)


def _json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("is not JSON") from None
    return value


def _key(written: Any) -> str:
    """The key of a telephone. YAML reads a digit without quotes as a number."""
    if not re.fullmatch("[0-9*]", str(written)):
        raise ValueError("is not a key that can have a meaning: use one of 0 to 9, or *")
    return str(written)


def _parameters(schema: dict[str, Any]) -> dict[str, Any]:
    _json(schema)
    if schema.get("type") != "object":
        raise ValueError("must describe an object (type: object)")
    return schema


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise ValueError("is not a time zone; use an IANA name, such as Europe/Moscow") from None


def _time(written: Any) -> time:
    try:
        return time.max if written == "24:00" else datetime.strptime(str(written), "%H:%M").time()  # noqa: DTZ007
    except ValueError:
        raise ValueError("is not a time of day such as 09:00") from None


def _sip_header(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("is not a header name")
    return name.lower()


def _number(written: str) -> str:
    if problem := number_problem(written):
        raise ValueError(problem)
    return written


def _variable_name(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError("is not a valid name: use lower-case letters, digits and _, and begin with a letter")
    if name in BUILT_IN or name in STRANGERS:
        raise ValueError("is a name that every template has; choose another")
    return name


Language = Annotated[str, AfterValidator(_language)]
_Headers = Annotated[
    dict[Annotated[str, AfterValidator(_header_name)], Annotated[SecretStr, PlainValidator(_header_value)]],
    Field(max_length=_HEADERS_MAX),
]
_ArgumentName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
_Argument = Annotated[str, StringConstraints(max_length=VALUE_LETTERS_MAX)] | int | float | bool


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ToolShape(_Shape):
    """One of the agent's own tools."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$"), AfterValidator(_tool_name)]
    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
    method: Method
    url: Annotated[str, AfterValidator(_address)]
    headers: _Headers = {}
    arguments: Annotated[dict[_ArgumentName, _Argument], Field(max_length=_ARGUMENTS_MAX)] = {}
    parameters: Annotated[dict[str, Any], AfterValidator(_parameters)] = {"type": "object", "properties": {}}
    timeout_seconds: Annotated[float, Field(gt=0, le=TOOL_SECONDS_MAX)] = 3.0
    waiting_phrase: dict[Language, Text] = Field(
        {},
        validation_alias=AliasChoices("waiting_phrase", "one_moment"),  # "one_moment" is the key's old name
    )
    waiting_phrase_after_seconds: Annotated[float, Field(ge=0, le=TOOL_SECONDS_MAX)] = WAITING_PHRASE_AFTER_SECONDS


class KeyShape(_Shape):
    """What a key of the telephone does: one of ``say``, ``tool`` and ``transfer``."""

    label: dict[Language, Text] = {}
    say: dict[Language, Text] = {}
    tool: str | None = None
    arguments: Annotated[dict[str, Any], AfterValidator(_json)] = {}
    transfer: str | None = None


class VariableShape(_Shape):
    """A value that the templates use, and that a request for a call can set."""

    default: Annotated[str, StringConstraints(max_length=VALUE_LETTERS_MAX)] | int | float | bool | None = None
    description: Annotated[str, StringConstraints(max_length=1000)] = ""
    required: bool = False


class LookupShape(_Shape):
    """The endpoint that is asked about a caller while the telephone rings."""

    url: Annotated[str, AfterValidator(_address)]
    headers: _Headers = {}
    timeout_seconds: Annotated[float, Field(gt=0, le=LOOKUP_SECONDS_MAX)] = 1.0


_Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class HoursShape(_Shape):
    """When the agent may place calls."""

    start: Annotated[time, BeforeValidator(_time), Field(alias="from")]
    end: Annotated[time, BeforeValidator(_time), Field(alias="to")]
    days: Annotated[list[_Day], Field(min_length=1)] = list(get_args(_Day))
    timezone: Annotated[ZoneInfo, BeforeValidator(_zone)] | None = None

    @field_validator("end")
    @classmethod
    def _later(cls, end: time, info: ValidationInfo) -> time:
        if end <= info.data.get("start", time.min):
            raise ValueError("must be later than from")
        return end


class ModelsShape(_Shape):
    """Models in place of those of the settings."""

    stt: Text | None = None
    llm: Text | None = None
    tts: Text | None = None


Dollars = Annotated[float, Field(gt=0, le=1_000_000, strict=False)]


class LimitsShape(_Shape):
    """What the agent's calls may cost, in US dollars at list prices."""

    max_call_cost_usd: Dollars | None = None
    max_day_cost_usd: Dollars | None = None


def _outcome_name(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError("is not a valid name: use lower-case letters, digits and _, and begin with a letter")
    return name


class OutcomeShape(_Shape):
    """What is worked out from each call after its end: a JSON schema for each value, with ``confirm`` beside it."""

    fields: Annotated[
        dict[Annotated[str, AfterValidator(_outcome_name)], Annotated[dict[str, Any], AfterValidator(outcome_field)]],
        Field(min_length=1, max_length=_FIELDS_MAX),
    ]


def _no_outcome(written: Any) -> Any:
    """``outcome: false``: nothing is worked out from the calls."""
    return OutcomeShape.model_construct(fields={}) if written is False else written


class WebhookShape(_Shape):
    """An endpoint that hears of the agent's calls."""

    url: Annotated[str, AfterValidator(webhook_address)]
    secret: Annotated[SecretStr, BeforeValidator(_header_value), AfterValidator(webhook_secrets)]
    events: Annotated[list[CallEvent], Field(min_length=1)] | None = None
    transcript: bool = False


def _plain(url: str) -> str:
    if is_template(url):
        raise ValueError("holds no {{ … }} here: all calls have the same server")
    return url


class McpServerShape(_Shape):
    """A server of tools that speaks the Model Context Protocol."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    url: Annotated[str, AfterValidator(_address), AfterValidator(_plain)]
    headers: _Headers = {}
    timeout_seconds: Annotated[float, Field(gt=0, le=TOOL_SECONDS_MAX)] = MCP_SECONDS
    tools: Annotated[list[Text], Field(min_length=1)] | None = None


class AgentShape(_Shape):
    """The whole file."""

    name: Annotated[str, StringConstraints(pattern=r"^[\w][\w .-]{0,63}$")] | None = None
    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    language: Language | None = None
    greeting: dict[Language, Text] = {}
    disclosure: bool | dict[Language, Text] = False
    """Said first, and not to be cut: the standard text, or other ones by language."""
    notice: bool | dict[Language, Text] = False
    """Said after it: that the call is recorded."""
    consent: Literal["ask"] | None = None
    lines: dict[Language, LinesShape] = {}
    voices: dict[Language, Text] = {}
    tools: Annotated[list[ToolShape], Field(max_length=_TOOLS_MAX)] = []
    keypad: dict[Annotated[str, BeforeValidator(_key)], KeyShape] = {}
    models: ModelsShape = ModelsShape()
    numbers: Annotated[list[Annotated[str, AfterValidator(_number)]], Field(max_length=_NUMBERS_MAX)] = []
    recording: bool | None = None
    limits: LimitsShape = LimitsShape()
    retention: RetentionShape = RetentionShape()
    redact: RedactShape | None = None
    timezone: Annotated[ZoneInfo, BeforeValidator(_zone)] | None = None
    hours: HoursShape | None = None
    lookup: LookupShape | None = None
    variables: Annotated[
        dict[Annotated[str, AfterValidator(_variable_name)], VariableShape], Field(max_length=_VARIABLES_MAX)
    ] = {}
    sip_headers: Annotated[list[Annotated[str, AfterValidator(_sip_header)]], Field(max_length=_HEADERS_MAX)] = []
    outcome: Annotated[OutcomeShape | None, BeforeValidator(_no_outcome)] = None
    webhooks: Annotated[list[WebhookShape], Field(max_length=_WEBHOOKS_MAX)] = []
    mcp_servers: Annotated[list[McpServerShape], Field(max_length=_SERVERS_MAX)] = []
    knowledge: Annotated[list[Annotated[Text, AfterValidator(file_name)]], Field(max_length=_FILES_MAX)] = []
