"""Validates settings, and which other settings each one needs. Errors say what to write and quote no value."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from app.models import RedactCategory

ANY_LANGUAGE = "multi"
LANGUAGES = ("ru", "en", ANY_LANGUAGE)
"""Languages with standard lines and voices. ``multi`` begins in the first and recognises any. An agent's file can have
others."""
VENDOR_KEYS = ("deepgram_api_key", "openai_api_key", "cartesia_api_key")
_CODE_LENGTH = 2
_SECRET_LETTERS = 16
"""The least length of a key. At ten guesses a minute for each address, a random one is never found."""
_DIFFERENT_LETTERS = 6
_WORDS_OF_EXAMPLES = (
    "changeme", "password", "example", "yourkey", "apikey", "placeholder", "insecure", "letmein", "qwerty",
    "12345678", "abcdefgh", "passw0rd",
)  # fmt: skip
"""Words that a random key does not contain."""
_ORDINARY_WORDS = re.compile("secret|replace|random|default|admin|insert|sample|dummy|welcome|string|token")
"""Words that may stand beside a random key, but are no part of it."""
_PORT_MAX = 65535
_WEBHOOK_KEY_BYTES = range(24, 65)
"""https://www.standardwebhooks.com asks for that."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
_HOST_OF_SIP = rf"{_HOST}(:\d{{1,5}})?(;transport=(udp|tcp|tls))?"
_TAKES_CALLS = re.compile(rf"\+[0-9]{{3,15}}|sip:[A-Za-z0-9._+-]{{1,64}}@{_HOST_OF_SIP}")


def _host_and_port(value: str) -> str:
    found = re.fullmatch(rf"{_HOST}(:(?P<port>\d{{1,5}}))?", value)
    if found is None or int(found["port"] or 1) > _PORT_MAX:
        raise ValueError("write the host name alone, such as voice.example.org")
    return value


def _ipv4_address(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise ValueError("write an IPv4 address, such as 203.0.113.7") from None


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(each)) for each in value)
    except ValueError:
        raise ValueError(
            "write IP addresses or networks, such as 203.0.113.7 or 203.0.113.0/24, separated by commas"
        ) from None


def _telephone_number(value: str) -> str:
    number = re.sub(r"[ ().-]", "", value)
    if not re.fullmatch(r"\+?[0-9]{3,18}", number):
        raise ValueError("write the number with its country code, such as +74950000000")
    return number


def _prefixes(value: tuple[str, ...]) -> tuple[str, ...]:
    if any(not re.fullmatch(r"\+[0-9]{1,15}", each) for each in value):
        raise ValueError("write prefixes of numbers with the country code, such as +7495,+7812")
    return value


def _sip_address(value: str) -> str:
    if not re.fullmatch(rf"(sips?:)?{_HOST_OF_SIP}", value):
        raise ValueError("write sip: and a host, with or without a port, such as sip:203.0.113.7:5060")
    return value if re.match("sips?:", value) else f"sip:{value}"


def _targets(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    entries = [entry.partition("=") for entry in _split(value)]
    targets = {name.strip(): address.strip() for name, _, address in entries}
    usable = all(re.fullmatch(r"[\w-]{1,32}", name) for name in targets)
    if not usable or not all(map(_TAKES_CALLS.fullmatch, targets.values())):
        raise ValueError("write name=number or name=sip:address, such as sales=+74950000000,help=sip:help@example.org")
    if len(targets) < len(entries):
        raise ValueError("give each name once")
    return targets


def _address(value: str, *schemes: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in schemes and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"use an address that begins with {schemes[0]}:// or {schemes[1]}://")
    return value.rstrip("/")


def _database(value: SecretStr) -> SecretStr:
    """As SQLAlchemy takes it; hosts of databases leave out the driver, and write ``sslmode`` as libpq does."""
    address = re.sub(r"^postgres(?:ql)?:(?=//)", "postgresql+asyncpg:", value.get_secret_value())
    if address.startswith("postgresql+asyncpg:"):
        address = re.sub(r"(?<=[?&])sslmode=", "ssl=", address)
    if not re.fullmatch(r"sqlite\+aiosqlite:///[^:?]+|postgresql\+asyncpg://([^/?]*)/[^/?]+(\?.*)?", address):
        raise ValueError(
            "write postgresql+asyncpg://user:password@host/name, or sqlite+aiosqlite:/// and the path of a file, such "
            "as sqlite+aiosqlite:////data/calls.db; other databases are not supported"
        )
    return SecretStr(address)


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Separated by commas."""
Networks = Annotated[Words, AfterValidator(_networks)]
"""IP addresses and networks, separated by commas."""
RedactCategories = Annotated[tuple[RedactCategory, ...], NoDecode, BeforeValidator(_split)]
"""Separated by commas."""
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
IPv4 = Annotated[str, AfterValidator(_ipv4_address)]
NumberPrefixes = Annotated[Words, AfterValidator(_prefixes)]
"""Prefixes of numbers, each ``+`` and digits, separated by commas."""
TelephoneNumber = Annotated[str, AfterValidator(_telephone_number)]
SipAddress = Annotated[str, AfterValidator(_sip_address)]
"""``sip:host``, with an optional port and transport."""
TransferTargets = Annotated[dict[str, str], NoDecode, BeforeValidator(_targets)]
"""``name=address``, separated by commas; an address is ``+`` and digits, or ``sip:user@host``, as LiveKit takes it."""
DatabaseAddress = Annotated[SecretStr, AfterValidator(_database)]
"""SQLAlchemy's address of a SQLite file or of a Postgres database."""
HttpAddress = Annotated[str, AfterValidator(lambda value: _address(value, "https", "http"))]
WebsocketAddress = Annotated[str, AfterValidator(lambda value: _address(value, "wss", "ws", "https", "http"))]


def _sendable(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text != text.strip():
        raise ValueError("begins or ends with a space or line break; write the key alone")
    if not text.isascii() or not text.isprintable():
        raise ValueError("contains a character that a header cannot hold; use ASCII letters, digits and signs")
    return value


Secret = Annotated[SecretStr, AfterValidator(_sendable)]
"""A secret that is sent in a header or signs one."""


KEPT_DAYS_MAX = 36_500
"""A hundred years."""


def webhook_address(value: str) -> str:
    """Check the address of an endpoint for webhooks. Raises ValueError."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        parts, usable = urlsplit(""), False
    if not usable or not value.isprintable() or " " in value:
        raise ValueError("use an address that begins with https://")
    if parts.username is not None or parts.fragment:
        raise ValueError("write the address without a user and without a fragment (#...)")
    return value


def webhook_secrets(value: SecretStr) -> SecretStr:
    """Check the secrets that sign webhooks, separated by commas. Raises ValueError."""
    if not all(map(_is_webhook_secret, split_secrets(value))) or len(split_secrets(value)) not in (1, 2):
        raise ValueError(
            "write whsec_ and 24 to 64 random bytes in base64, for instance whsec_ and the output of: "
            "openssl rand -base64 32; two separated by a comma while you replace one"
        )
    return value


def split_secrets(value: SecretStr) -> list[str]:
    """The secrets, which are separated by commas."""
    return [part.strip() for part in value.get_secret_value().split(",")]


def _is_webhook_secret(written: str) -> bool:
    prefix, begins, key = written.partition("whsec_")
    try:
        return not prefix and bool(begins) and len(base64.b64decode(key, validate=True)) in _WEBHOOK_KEY_BYTES
    except binascii.Error:
        return False


WebhookAddress = Annotated[str, AfterValidator(webhook_address)]
WebhookSecrets = Annotated[SecretStr, AfterValidator(webhook_secrets)]
"""One or two secrets, separated by a comma."""


def webhook_problems(values: dict[str, Any]) -> list[str]:
    """Problems of settings that webhooks need."""
    url = str(values.get("webhook_url") or "")
    problems = []
    if url and not values.get("webhook_secret"):
        problems.append("WEBHOOK_SECRET: is missing; WEBHOOK_URL is set, and webhooks are signed")
    if url.startswith("http://") and values.get("environment") == "production":
        problems.append("WEBHOOK_URL: use https://, because ENVIRONMENT=production and webhooks hold personal data")
    return problems


def weak_problems(values: dict[str, Any]) -> list[str]:
    """Problems of secrets that strangers could guess. Only in production, where strangers can reach the service."""
    if values.get("environment") != "production":
        return []
    given = {name: [_plain(values.get(name))] for name in ("api_key", "metrics_token", "livekit_api_secret")}
    given["livekit_webhook_keys"] = list(key_secret_pairs(_plain(values.get("livekit_webhook_keys"))).values())
    return [
        f"{name.upper()}: is easy to guess, and ENVIRONMENT=production; use {_SECRET_LETTERS} random letters or more, "
        "for instance the output of: openssl rand -hex 32"
        for name, secrets in given.items()
        if any(secret and _is_weak(secret) for secret in secrets)
    ]


def spending_problem(call_usd: float | None, day_usd: float | None) -> str | None:
    """The beginning of what is wrong with the limits of a call and of a day; the name of the call's limit ends it."""
    if day_usd is None:
        return None
    if call_usd is None:
        return "each call reserves what it may cost, so set also"
    return "no call would fit into the day; use as much or more than" if day_usd < call_usd else None


def spending_problems(values: dict[str, Any]) -> list[str]:
    """Problems of the limits on what calls cost."""
    try:
        call_usd, day_usd = (
            float(values[name]) if values.get(name) else None for name in ("max_call_cost_usd", "max_day_cost_usd")
        )
    except (TypeError, ValueError):
        return []  # reported as no number
    problem = spending_problem(call_usd, day_usd)
    return [f"MAX_DAY_COST_USD: {problem} MAX_CALL_COST_USD"] if problem else []


def _plain(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")


def _is_weak(secret: str) -> bool:
    letters = re.sub(r"[\W_]", "", secret).casefold()
    rest = _ORDINARY_WORDS.sub("", letters)
    is_known = any(word in letters for word in _WORDS_OF_EXAMPLES) or len(letters) > len(rest) < _SECRET_LETTERS
    return len(secret) < _SECRET_LETTERS or len(set(letters)) < _DIFFERENT_LETTERS or is_known


def key_problems(values: dict[str, Any], needed: Sequence[str] = VENDOR_KEYS, *, takes_calls: bool = True) -> list[str]:
    """Problems of missing keys. ``needed`` are vendors' keys; ``takes_calls``: strangers reach the process."""
    production = values.get("environment") == "production"
    problems = []
    missing = [name for name in needed if not values.get(name)]
    providers = values.get("providers") or ("live" if production or len(missing) < len(needed) else "sandbox")
    if providers == "live":
        problems += [
            f"{name.upper()}: is missing; set it, or PROVIDERS=sandbox to try without keys" for name in missing
        ]
    if not takes_calls:
        return problems
    name = next((name for name in ("host", "VA_HOST", "HOST") if values.get(name)), None)
    host = values[name] if name else _LOOPBACK[0]
    if not values.get("api_key") and (production or host not in _LOOPBACK):
        where = "ENVIRONMENT=production" if production else f"{str(name).upper()}={host}"
        problems.append(f"API_KEY: is missing; {where} needs one, for instance the output of: openssl rand -hex 32")
    return problems


def telephone_problems(values: dict[str, Any]) -> list[str]:
    """Problems of settings that telephone calls need."""
    if not values.get("livekit_url"):
        return []
    needed = ("livekit_api_key", "livekit_api_secret")
    return [
        f"{name.upper()}: is missing; LIVEKIT_URL is set, and LiveKit requires it"
        for name in needed
        if not values.get(name)
    ]


def key_secret_pairs(text: str) -> dict[str, str]:
    """Parse ``key:secret`` pairs. Returns an empty dict when any of them is malformed."""
    pairs = [part.strip().partition(":") for part in text.split(",")]
    return {key: secret for key, _, secret in pairs} if all(key and secret for key, _, secret in pairs) else {}


def is_language(value: str) -> bool:
    """Whether the value is a bare code, such as ru, en or multi. LANGUAGE=ru_RU:en belongs to gettext."""
    return value.isalpha() and value.islower() and (len(value) == _CODE_LENGTH or value in LANGUAGES)
