"""The tools that the model may call: those built into the agent and those of its file, put together here."""

from collections.abc import Mapping
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
BUILT_IN = (END_CALL,)
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
