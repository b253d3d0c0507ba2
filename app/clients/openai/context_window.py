"""The model's context window: estimates tokens, and trims a history to a budget."""

import json
from collections.abc import Callable, Sequence
from itertools import accumulate

from app.clients.text_tokens import estimate_text_tokens
from app.models import Message

_MESSAGE_OVERHEAD_TOKENS = 4
"""For the role and separators of every message."""


def estimate_tokens(message: Message) -> int:
    """Estimate the tokens of a message, including its role and tool calls."""
    calls = (message.metadata or {}).get("tool_calls")
    extra = estimate_text_tokens(json.dumps(calls, ensure_ascii=False)) if calls else 0
    return _MESSAGE_OVERHEAD_TOKENS + estimate_text_tokens(message.content) + extra


def trim(messages: Sequence[Message], budget_tokens: int, estimate: Callable[[Message], int]) -> list[Message]:
    """Drop the oldest messages so that the rest fits the budget; the order stays.

    System messages always stay. So does the turn in progress, that is, the newest user message and everything after it
    (without a user message: the last message with its tool exchange), even if these exceed the budget. A tool exchange
    (the assistant's message with tool calls and the tools' results) stays or goes as a whole.
    """
    left = budget_tokens - sum(estimate(message) for message in messages if message.role == "system")
    units = _units(messages)
    costs = [sum(estimate(messages[index]) for index in unit) for unit in reversed(units)]
    fitting = sum(total <= left for total in accumulate(costs))
    kept_units = max(fitting, _units_in_progress(messages, units))
    kept = {index for unit in units[len(units) - kept_units :] for index in unit}
    return [message for index, message in enumerate(messages) if message.role == "system" or index in kept]


def _units(messages: Sequence[Message]) -> list[list[int]]:
    """The indices of messages that stay or go together, oldest first; system messages are not included."""
    units: list[list[int]] = []
    for index, message in enumerate(messages):
        if message.role == "tool" and units:
            units[-1].append(index)
        elif message.role != "system":
            units.append([index])
    return units


def _units_in_progress(messages: Sequence[Message], units: list[list[int]]) -> int:
    """How many of the last units belong to the turn in progress."""
    for count, unit in enumerate(reversed(units), start=1):
        if messages[unit[0]].role == "user":
            return count
    return min(1, len(units))
