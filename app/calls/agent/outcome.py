"""What an agent's file wants to know of each call after its end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONFIRM = "confirm"
"""The key of a field that the agent reads back to the caller."""


@dataclass(frozen=True, slots=True)
class OutcomeField:
    """A value that is worked out from the call."""

    name: str
    schema: Mapping[str, Any]
    """JSON schema of the value."""
    is_confirmed: bool = False
    """Whether the agent reads the value back to the caller, and asks whether it is right."""


def outcome_field(written: dict[str, Any]) -> dict[str, Any]:
    """Check a field as a file has it. Raises ValueError."""
    if not isinstance(written.get(CONFIRM, False), bool):
        raise ValueError(f"{CONFIRM} must be true or false")
    if not written.keys() & {"type", "enum", "const", "anyOf"}:
        raise ValueError("must say what the value is, such as type: string")
    try:
        json.dumps(written, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("is not JSON") from None
    return written


def outcome_fields(written: Mapping[str, Mapping[str, Any]]) -> tuple[OutcomeField, ...]:
    """The fields of a file."""
    return tuple(
        OutcomeField(name, {key: value for key, value in field.items() if key != CONFIRM}, field.get(CONFIRM, False))
        for name, field in written.items()
    )


def read_back(fields: tuple[OutcomeField, ...]) -> str:
    """What the prompt says about the values to read back; empty if there are none."""
    confirmed = [
        f"- {field.name}{f': {description}' if (description := field.schema.get('description')) else ''}"
        for field in fields
        if field.is_confirmed
    ]
    if not confirmed:
        return ""
    return "\n".join(
        [
            "Before the call ends, read each of these back to the caller once you know it, and ask whether it is "
            "right. If it is not, ask again:",
            *confirmed,
        ]
    )
