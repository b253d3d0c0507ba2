"""The tools that the model may call: those built into the agent and those of its file, put together here."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.clients.http_tools import HttpEndpoint
from app.clients.streams import ToolSpec

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
"""Those that work in every call."""
RESERVED_NAMES = frozenset({"end_call", "transfer", "send_dtmf"})
"""Of built-in tools; no agent's file may use them for its own."""


@dataclass(frozen=True, slots=True)
class AgentTool:
    """A tool of an agent's file: what the model knows of it, where it is, and what is said while it runs."""

    spec: ToolSpec
    endpoint: HttpEndpoint
    one_moment: Mapping[str, str] = field(default_factory=dict)
    """By language."""

    def describe(self) -> dict[str, Any]:
        """For row 1 of the journal; of the headers only their names, for their values are secrets."""
        return {
            "name": self.spec.name,
            "description": self.spec.description,
            "parameters": self.spec.parameters,
            "method": self.endpoint.method,
            "url": self.endpoint.url,
            "headers": sorted(self.endpoint.headers),
            "timeout_seconds": self.endpoint.timeout_seconds,
            "one_moment": dict(self.one_moment),
        }


def built_in_tools(humans: Collection[str], *, presses_keys: bool) -> tuple[ToolSpec, ...]:
    """Those that work in a call that can be handed over to these, if any, and whose line takes keys or does not."""
    transfer = (_transfer_to(humans),) if humans else ()
    return (*BUILT_IN, *transfer, *((SEND_DTMF,) if presses_keys else ()))


def _transfer_to(humans: Collection[str]) -> ToolSpec:
    return ToolSpec(
        name="transfer",
        description=(
            "Connect the caller with a human. Call it together with the sentence that tells the caller so; he is "
            "connected after your last word was heard. If nobody answers, you go on talking with him."
        ),
        parameters={
            "type": "object",
            "properties": {"target": {"type": "string", "enum": sorted(humans)}},
            "required": ["target"],
            "additionalProperties": False,
        },
    )
