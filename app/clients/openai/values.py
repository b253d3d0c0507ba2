"""Reads values from a model server's JSON in the variants of compatible servers; nothing here raises."""

import json
import re
from typing import Any, NoReturn

from app.clients.messages import as_whole, readable
from app.models import TokenUsage

NO_ARGUMENTS = "{}"

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")
_TOKENS_MAX = 100_000_000
"""A larger count is not plausible, and would ruin the cost of the call."""
_TEXT_PARTS = ("text", "output_text", None)
"""The types of content parts that are spoken; Mistral's ``thinking`` and images are not."""


def text_of(content: Any) -> str:
    """The text of a message's content: a string, a part, or a list of parts. Empty for anything else."""
    if isinstance(content, str):
        return string_of(content)
    if isinstance(content, list):
        return "".join(map(_text_of_part, content))
    return _text_of_part(content)


def object_of(value: Any) -> dict[str, Any]:
    """The value if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; a lone object is a list of one."""
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def string_of(value: Any) -> str:
    """The value if it is a string, otherwise an empty one; without lone surrogates, which cannot be encoded."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else _HALF_OF_A_PAIR.sub("", value)


def id_of(value: object) -> str | None:
    """The value if it is an id. None for anything else, which is neither logged nor kept."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def arguments_text(arguments: Any) -> str:
    """A tool call's arguments, or a piece of them, as text. Some servers send an object."""
    if isinstance(arguments, dict):
        return json.dumps(arguments, ensure_ascii=False)
    return string_of(arguments)


def readable_arguments(text: str) -> str | None:
    """The arguments as the text of a JSON object, ``{}`` when empty; None when they cannot be read as one.

    Text that is a JSON object stays unchanged. An object inside a JSON string, as some models write it, is unwrapped.
    """
    if not text.strip():
        return NO_ARGUMENTS
    try:
        read = json.loads(text, parse_constant=_refuse)
        if isinstance(read, str):
            text = read
            read = json.loads(read, parse_constant=_refuse)
        json.dumps(read, ensure_ascii=False).encode()  # a lone surrogate cannot be encoded
    except (ValueError, RecursionError):
        return None
    if read is None:
        return NO_ARGUMENTS
    return text if isinstance(read, dict) else None


def usage_of(bill: Any, prompt: str, completion: str) -> TokenUsage | None:
    """The token counts of a usage object whose fields begin with these words; None when it is unreadable."""
    bill = object_of(bill)
    asked, written = _tokens(bill.get(f"{prompt}_tokens")), _tokens(bill.get(f"{completion}_tokens"))
    if asked is None or written is None:
        return None
    cached = _tokens(object_of(bill.get(f"{prompt}_tokens_details")).get("cached_tokens")) or 0
    return TokenUsage(prompt=asked, cached=min(cached, asked), completion=written)


def _tokens(value: Any) -> int | None:
    return readable(lambda: as_whole(value, least=0, most=_TOKENS_MAX))


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return string_of(part)
    part = object_of(part)
    return string_of(part.get("text")) if part.get("type") in _TEXT_PARTS else ""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
