"""Finds secrets in URLs: the values of parameters such as ``token``, in whatever encoding."""

import re
from urllib.parse import unquote_plus

_NAME_AND_SIGN = re.compile(r"(?<![\w.%+\[\]-])(?:[\w.+\[\]-]|%[0-9A-Fa-f]{2})+(?:=|(?<=3[Dd]))")
"""A parameter name and its ``=``, which a nested URL writes as ``%3D`` or ``%253D``."""
_VALUE = re.compile(r"[^&;\s\"'<>]*")
_BEARER = re.compile(r"\b(bearer\s+)[^\s\"',;]+", re.IGNORECASE)
_USER = re.compile(r"(?<=//)[^/\s?#@\"'<>]+@")
"""User and password before the host of an address."""
_PARTS = re.compile(r"[?&;=/#]")
_ENCODINGS_MAX = 8
_SECRET = re.compile(r".*token|apikey|authorization|password|.*secret|cookie")


def hide_secrets(text: str) -> str:
    """The text with secret parameters' values, what follows ``Bearer``, and users of addresses replaced by ``***``."""
    text = _USER.sub("***@", _BEARER.sub(r"\1***", text))
    parts, at = [], 0
    for found in _NAME_AND_SIGN.finditer(text):
        if found.start() < at:
            continue
        decoded = _decoded(found.group())
        names = [name for name in _PARTS.split(decoded) if name]
        if "=" in decoded and any(map(_is_secret, names)):
            is_plain = len(names) == 1
            parts += [text[at : found.end() if is_plain else found.start()], "***"]
            value = _VALUE.match(text, found.end())
            at = value.end() if value else found.end()
    return "".join([*parts, text[at:]])


def _decoded(name: str) -> str:
    for _ in range(_ENCODINGS_MAX):
        decoded = unquote_plus(name)
        if decoded == name:
            break
        name = decoded
    return name


def _is_secret(name: str) -> bool:
    return bool(_SECRET.fullmatch(re.sub(r"[\W_]", "", name).casefold()))
