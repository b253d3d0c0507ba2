"""Reads the context of a call from the SIP attributes of its participant.

The carrier and the caller write these attributes. They are untrusted text: shown, and never acted on, with one
exception: the called number chooses the agent.

https://docs.livekit.io/sip/sip-participant/: ``sip.phoneNumber``, ``sip.trunkPhoneNumber``, ``sip.h.<header>``.
"""

from collections.abc import Mapping

from app.clock import utc_now
from app.models import CallContext, TelephoneCall

_HEADERS_MAX = 50
_TEXT_MAX = 256
_HEADER = "sip.h."
_HIDDEN = frozenset({"anonymous", "restricted", "unavailable"})
"""What carriers send when a caller withholds their number (RFC 3323, and common practice)."""


def call_context(caller: TelephoneCall, call_id: str) -> CallContext:
    """The context of the call. Texts are cut to 256 characters; unprintable characters are removed."""
    attributes = caller.attributes
    metadata: dict[str, object] = {
        "called_number": _text(attributes, "sip.trunkPhoneNumber"),
        "trunk": _text(attributes, "sip.trunkID"),
        "language_hint": _text(attributes, "va.language"),
        "sip_headers": _headers(attributes),
    }
    number = _text(attributes, "sip.phoneNumber")
    return CallContext(
        call_id=call_id,
        caller_number=None if number is None or number.lower() in _HIDDEN else number,
        start_time=utc_now(),
        livekit_room=caller.room,
        metadata={name: value for name, value in metadata.items() if value},
    )


def _text(attributes: Mapping[str, str], name: str) -> str | None:
    return _printable(attributes.get(name, "")) or None


def _headers(attributes: Mapping[str, str]) -> dict[str, str]:
    headers = [(name.removeprefix(_HEADER), value) for name, value in attributes.items() if name.startswith(_HEADER)]
    return {_printable(name): _printable(value) for name, value in headers[:_HEADERS_MAX]}


def _printable(text: str) -> str:
    return "".join(filter(str.isprintable, text[:_TEXT_MAX]))
