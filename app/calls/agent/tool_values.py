"""Values in the requests of a tool: in the query of its address, in its headers, and as fixed arguments.

An agent's file has templates there. In a call they are filled in, and what results is data: the client encodes it in
the query, and a header holds nothing but printable ASCII.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from app.calls.agent.templates import is_template

_MARKED = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
"""A part of a text that is not said or sent as it is written."""
_PART = "\ue000{}\ue000"
"""Stands for such a part while an address is read: in a part, ``&`` and ``#`` mean nothing to the address."""
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}", re.ASCII)
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def split_address(url: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The address without its templates, and the parameters of its query that are templates: names and texts.

    Raises ValueError when a template stands anywhere but in the value of a parameter.
    """
    if not is_template(url):
        return url, ()
    parts = _MARKED.findall(url)
    counted = iter(range(len(parts)))
    address, question, query = _MARKED.sub(lambda _found: _PART.format(next(counted)), url).partition("?")
    fixed, templates = [], []
    for name, value in parse_qsl(query, keep_blank_values=True):
        if _is_marked(name):
            raise ValueError(_ONLY_VALUES)
        if _is_marked(value):
            templates.append((name, _restored(value, parts)))
        else:
            fixed.append((name, value))
    if _is_marked(address) or not question or any(map(is_template, (address, *dict(fixed)))):
        raise ValueError(_ONLY_VALUES)
    return f"{address}?{urlencode(fixed)}" if fixed else address, tuple(templates)


_ONLY_VALUES = "may hold {{ … }} only as the value of a parameter: https://…?name={{ … }}"


def _is_marked(text: str) -> bool:
    return _PART[0] in text


def _restored(text: str, parts: list[str]) -> str:
    return re.sub(_PART.format(r"(\d+)"), lambda found: parts[int(found[1])], text)


def header_value(written: str, environment: Mapping[str, str]) -> str:
    """The value of a header with its variables of the environment. What these hold is never a template.

    Raises ValueError, which quotes no part of it.
    """
    names = _VARIABLE.findall(written)
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise ValueError(f"{', '.join(missing)} is not set in the environment")
    if "${" in _VARIABLE.sub("", written):
        raise ValueError("write a variable of the environment as ${NAME}")
    if any("${" in part for part in _MARKED.findall(written)):
        raise ValueError("a variable of the environment cannot stand within {{ … }}")
    brace = "{{ '{' }}" if is_template(written) else "{"
    return _VARIABLE.sub(lambda found: environment[found[1]].replace("{", brace), written)


def header_text(text: str) -> str:
    """The text as a header holds it: without control characters, and percent-encoded beyond ASCII."""
    return quote("".join(filter(str.isprintable, text)), safe=_PRINTABLE).strip()
