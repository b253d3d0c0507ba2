"""Finds secrets in text: in addresses, headers, JSON and Python's ``repr``, by the names that stand before them.

A name is secret when it ends in ``token``, ``secret``, ``password`` and so on, however it is spelt: ``X-Api-Key``,
``some_api_key``, ``%74oken``. Values that look like keys are found without a name.
"""

import re
from urllib.parse import unquote_plus

HIDDEN = "***"
_SECRET = re.compile(
    r".*(token|secret|passw(or)?d|passphrase|authorization|cookies?|credentials?|signature)"
    r"|.*(api|access|secret|private|signing|webhook)keys?|pwd|voiceagent"
)
"""``voice_agent`` is the session cookie."""
_WHOLE_LINE = re.compile(r".*(authorization|cookies?)")
"""Headers whose values have several words."""

_PARAMETER = re.compile(r"(?<![\w.%+\[\]-])(?:[\w.+\[\]-]|%[0-9A-Fa-f]{2})+(?:=|(?<=3[Dd]))")
"""The name of an address's parameter and its ``=``, which a nested address writes as ``%3D`` or ``%253D``."""
_PARAMETER_VALUE = re.compile(r"[^&;\s\"'<>]*")
_IN_QUERY = "?&;"
_ONLY_IN_QUERY = ("key", "sig", "auth")
"""Names that are secret in an address, and ordinary words elsewhere."""
_PARTS = re.compile(r"[?&;=/#]")
_ENCODINGS_MAX = 8

_FIELD = re.compile(
    r"(?<![\w.-])(?P<name>[\w-]{1,64})(?P<end>\\{0,9}[\"'])?[ \t]{0,9}(?P<sign>:|=>?|,)[ \t]{0,9}"
    r"(?P<bracket>[\[({][ \t]{0,9})?(?:b(?=['\"]))?(?P<quote>\\{0,9}[\"'])?"
)
"""``Name: value``, ``"name": "value"``, ``{\\"name\\":\\"value\\"}``, ``'name': ['value']``, ``name='value'`` and
``(b'name', b'value')``."""
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_WORD = re.compile(r"[^\s,;&\"'<>)}\]\\]*")
_LINE = re.compile(r"[^\r\n]*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?![\w.-])")
"""Not a secret: ``first_token: 0.31`` is a time."""

_CREDENTIALS = re.compile(r"\b(bearer\s+)[^\s\"',;]+|\b((?:token|basic)\s+)[\w.~+/=-]{16,}", re.IGNORECASE)
_KEYS = re.compile(r"\b(?:sk[-_]|whsec_|va_)[\w-]{8,}|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*")
"""Keys of vendors and of this service, secrets of webhooks, and JSON Web Tokens."""
_USER = re.compile(r"(?<=//)[^/\s?#@\"'<>]+@")
"""User and password before the host of an address."""


def hide_secrets(text: str) -> str:
    """The text with ``***`` in the place of secret values."""
    text = _KEYS.sub(HIDDEN, _USER.sub(f"{HIDDEN}@", text))
    text = _CREDENTIALS.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)
    return _hide_parameters(_hide_fields(text))


def is_secret(name: str) -> bool:
    """Whether the value under that name is a secret."""
    return bool(_SECRET.fullmatch(_plain(name)))


def _hide_fields(text: str) -> str:
    parts, at = [], 0
    for found in _FIELD.finditer(text):
        is_name = found["sign"] != "," or found["end"]
        if found.start() < at or not is_name or not is_secret(found["name"]):
            continue
        end = _end_of_value(text, found)
        if end > found.end():
            parts += [text[at : found.end()], HIDDEN]
            at = end
    return "".join([*parts, text[at:]])


def _end_of_value(text: str, found: re.Match[str]) -> int:
    begin = found.end()
    if found["bracket"]:
        return _first(text, _CLOSING[found["bracket"][0]], begin - len(found["quote"] or ""))
    if found["quote"]:
        return _first(text, found["quote"], begin)
    if number := _NUMBER.match(text, begin):
        return number.start()
    is_header = found["sign"] == ":" and not found["end"] and _WHOLE_LINE.fullmatch(_plain(found["name"]))
    value = (_LINE if is_header else _WORD).match(text, begin)
    return value.end() if value else begin


def _first(text: str, closing: str, begin: int) -> int:
    """Where that stands, not behind a backslash; the end of a text that was cut off before it."""
    at = text.find(closing, begin)
    while at > 0 and text[at - 1] == "\\" and not closing.startswith("\\"):
        at = text.find(closing, at + 1)
    return len(text) if at < 0 else at


def _hide_parameters(text: str) -> str:
    parts, at = [], 0
    for found in _PARAMETER.finditer(text):
        if found.start() < at:
            continue
        decoded = _decoded(found.group())
        names = [name for name in _PARTS.split(decoded) if name]
        if "=" in decoded and (
            any(map(is_secret, names)) or _is_in_query(text[max(0, found.start() - 1) : found.start()] + decoded)
        ):
            is_plain = len(names) == 1
            parts += [text[at : found.end() if is_plain else found.start()], HIDDEN]
            value = _PARAMETER_VALUE.match(text, found.end())
            at = value.end() if value else found.end()
    return "".join([*parts, text[at:]])


def _is_in_query(decoded: str) -> bool:
    return any(f"{mark}{name}=" in decoded.casefold() for mark in _IN_QUERY for name in _ONLY_IN_QUERY)


def _decoded(name: str) -> str:
    for _ in range(_ENCODINGS_MAX):
        decoded = unquote_plus(name)
        if decoded == name:
            break
        name = decoded
    return name


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
