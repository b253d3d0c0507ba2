"""Telephones that LiveKit SIP is to call: what is asked for, and what it means when nobody answers.

https://docs.livekit.io/reference/telephony/sip-api/: the status of SIP (RFC 3261, 21) is metadata of a Twirp error.
"""

from dataclasses import dataclass
from typing import Literal

from app.errors import DialFailure

_BY_SIP_STATUS: dict[int, DialFailure] = {
    404: "invalid_number",
    408: "no_answer",
    410: "invalid_number",
    480: "no_answer",
    484: "invalid_number",
    485: "invalid_number",
    486: "busy",
    487: "no_answer",
    600: "busy",
    603: "declined",
    604: "invalid_number",
    607: "declined",
    608: "declined",
}
"""All others, 403 among them, are the carrier's refusal of the call, not the called person's."""
_RANG_OUT = frozenset({"canceled", "deadline_exceeded"})
_NEARLY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """A telephone, and the room that it is called into."""

    trunk_id: str
    to: str
    """``+`` and digits."""
    number: str | None
    """Whom the called sees; None leaves it to the trunk."""
    room: str
    identity: str
    """Of the participant that stands for the telephone; it is there before the answer."""
    leg: Literal["outbound", "transfer"]
    """The attribute ``va.leg``, by which the participant is known for one of our own."""
    ring_seconds: int
    max_seconds: int
    """LiveKit SIP may not keep to it: 1.11 forgets it for a dial that waits for the answer."""
    ringing_is_heard: bool = False
    """Whether the room hears it ring."""


def dial_failure(code: str, sip_status: int | None, *, rang_seconds: float, ring_seconds: float) -> DialFailure:
    """Why a dial ended without an answer, by the code of Twirp's error and, if there is one, the status of SIP.

    Without a status of SIP, it rang until its time was up, or no telephone was ever reached.
    """
    if sip_status is not None:
        return _BY_SIP_STATUS.get(sip_status, "carrier_error")
    rang_out = code in _RANG_OUT and rang_seconds > ring_seconds - _NEARLY_SECONDS
    return "no_answer" if rang_out else "carrier_error"
