"""The tools that the model may call: built-in ones and those of the agent's file."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Protocol

from pydantic import SecretStr

from app.calls.agent.tool_values import header_text
from app.clients.http_tools import NO_VALUES, HttpEndpoint, RequestValues, ToolAnswer, shown_address
from app.observability.secret_names import HIDDEN, is_secret
from app.ports.streams import ToolSpec

END_CALL = ToolSpec(
    name="end_call",
    description=(
        "Hang up. Call it together with your goodbye, once the caller has said goodbye or needs nothing more; "
        "the line closes after your last word was heard."
    ),
    parameters={"type": "object", "properties": {}, "additionalProperties": False},
)
SEND_DTMF = ToolSpec(
    name="send_dtmf",
    description=(
        "Press keys of the telephone, for instance when a machine asks for a digit. They are pressed after your last "
        "word was heard; say nothing to have them pressed at once."
    ),
    parameters={
        "type": "object",
        "properties": {
            "digits": {"type": "string", "description": "Keys 0-9, *, #, A-D; w waits for half a second."},
        },
        "required": ["digits"],
        "additionalProperties": False,
    },
)
BUILT_IN = (END_CALL,)
"""The built-in tools of every call."""
WAITING_PHRASE_AFTER_SECONDS = 0.4
"""A tool that answers sooner needs no phrase, unless its agent's file says otherwise."""
DO_NOT_CALL = "do_not_call"
RESERVED_NAMES = frozenset({"end_call", "transfer", "send_dtmf", DO_NOT_CALL})
"""Names of built-in tools. An agent's file may not use them for its own tools."""


Place = tuple[str | int, ...]
"""Where a text of an agent is: ``("prompt",)``, ``("lines", "en", "idle", 0)``, ``("tools", 0, "headers", "X-Id")``."""


class ToolEndpoint(Protocol):
    """The endpoint of a tool."""

    async def call(
        self, arguments: Mapping[str, Any], *, call_id: str, tool_call_id: str, values: RequestValues
    ) -> ToolAnswer:
        """Call the tool, and return its answer. ``values`` belong to each request of the call. Raises ProviderError."""


@dataclass(frozen=True, slots=True)
class AgentTool:
    """A tool of an agent's file: what the model sees, the HTTP endpoint, and what the agent says while it runs."""

    spec: ToolSpec
    endpoint: HttpEndpoint
    waiting_phrase: Mapping[str, str] = field(default_factory=dict)
    """What the agent says while the tool runs, by language."""
    waiting_phrase_after_seconds: float = WAITING_PHRASE_AFTER_SECONDS
    """How long the tool may run before the agent says the phrase."""
    values: RequestValues = NO_VALUES
    """Templates, or what they have become in one call."""

    def describe(self) -> dict[str, Any]:
        """The tool for row 1 of the journal. Headers and what is in the address appear by name: they may be secrets."""
        return {
            "name": self.spec.name,
            "description": self.spec.description,
            "parameters": self.spec.parameters,
            "method": self.endpoint.method,
            "url": shown_address(self.endpoint.url, dict(self.values.query)),
            "headers": sorted((*self.endpoint.headers, *self.values.headers)),
            "arguments": {name: HIDDEN if is_secret(name) else value for name, value in self.values.arguments.items()},
            "timeout_seconds": self.endpoint.timeout_seconds,
            "waiting_phrase": dict(self.waiting_phrase),
            "waiting_phrase_after_seconds": self.waiting_phrase_after_seconds,
        }

    def texts(self) -> dict[Place, str]:
        """The texts that may be templates, by their places below the tool."""
        values = self.values
        return {
            **{("url", name): text for name, text in values.query},
            **{("headers", name): secret.get_secret_value() for name, secret in values.headers.items()},
            **{("arguments", name): text for name, text in values.arguments.items() if isinstance(text, str)},
            **{("waiting_phrase", language): text for language, text in self.waiting_phrase.items()},
        }

    def with_texts(self, texts: Mapping[Place, str]) -> "AgentTool":
        """The tool with these texts in place of its templates."""
        values = self.values

        def of(key: str) -> dict[str, str]:
            return {str(place[1]): text for place, text in texts.items() if place[0] == key}

        query, headers = of("url"), of("headers")
        filled = RequestValues(
            query=tuple((name, query.get(name, text)) for name, text in values.query),
            headers={**values.headers, **{name: SecretStr(header_text(text)) for name, text in headers.items()}},
            arguments={**values.arguments, **of("arguments")},
        )
        return replace(self, values=filled, waiting_phrase={**self.waiting_phrase, **of("waiting_phrase")})

    def read(self, arguments: str) -> dict[str, Any]:
        """Parse and validate the arguments that the model wrote. Raises BadArguments."""
        from jsonschema import Draft202012Validator  # slow to import; schema.py has loaded it at the start

        try:
            read = json.loads(arguments or "{}", parse_constant=_no_number)
            json.dumps(read, ensure_ascii=False).encode()  # half a surrogate pair cannot be encoded
        except (ValueError, RecursionError):
            raise BadArguments("the arguments are not JSON") from None
        try:
            error = next(Draft202012Validator(self.spec.parameters).iter_errors(read), None)
        except RecursionError:  # a schema that refers to itself, from an MCP server
            raise BadArguments("the arguments cannot be checked") from None
        if error is not None:
            raise BadArguments(f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message}")
        return dict(read)


class BadArguments(Exception):
    """The model called a tool with arguments that do not fit its schema."""

    def __init__(self, explanation: str) -> None:
        """``explanation`` is for the model and may quote the caller. The text of the error never does."""
        super().__init__("the arguments are not what the tool takes")
        self.explanation = explanation


class Toolbox:
    """The tools of one agent, by name."""

    def __init__(self, built_in: Sequence[ToolSpec], tools: Sequence[AgentTool]) -> None:
        self.built_in = tuple(built_in)
        self._tools = {tool.spec.name: tool for tool in tools}

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """All tools, as the model sees them. The order never changes, so that the vendor's prompt cache works."""
        return (*self.built_in, *(tool.spec for tool in self._tools.values()))

    def is_built_in(self, name: str) -> bool:
        """Whether it is a built-in tool, which the conversation core carries out."""
        return any(tool.name == name for tool in self.built_in)

    def find(self, name: str) -> AgentTool | None:
        """The agent's own tool of that name."""
        return self._tools.get(name)


def do_not_call_tool() -> AgentTool:
    """The tool that puts the caller's number on the do-not-call list. It runs like those of an agent's file."""
    return AgentTool(
        spec=ToolSpec(
            name=DO_NOT_CALL,
            description=(
                "Have this caller's number never called again. Use it when they ask not to be called any more, then "
                "tell them that it is done."
            ),
            parameters={"type": "object", "properties": {}, "additionalProperties": False},
        ),
        endpoint=HttpEndpoint(DO_NOT_CALL, "PUT", ""),
    )


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def built_in_tools(humans: Collection[str], *, presses_keys: bool) -> tuple[ToolSpec, ...]:
    """The built-in tools of a call: ``transfer`` if there are targets, ``send_dtmf`` if the line takes keys."""
    transfer = (_transfer_to(humans),) if humans else ()
    return (*BUILT_IN, *transfer, *((SEND_DTMF,) if presses_keys else ()))


def _transfer_to(humans: Collection[str]) -> ToolSpec:
    return ToolSpec(
        name="transfer",
        description=(
            "Connect the caller with a human. Call it together with the sentence that tells the caller so; they are "
            "connected after your last word was heard. If nobody answers, you go on talking with them."
        ),
        parameters={
            "type": "object",
            "properties": {"target": {"type": "string", "enum": sorted(humans)}},
            "required": ["target"],
            "additionalProperties": False,
        },
    )
