"""Dials by LiveKit SIP: the request, and what an error means when nobody answers.

https://docs.livekit.io/reference/telephony/sip-api/: the SIP status (RFC 3261, 21) is metadata of a Twirp error.
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
"""All other statuses, such as 403, are refusals by the carrier, not by the person called."""
_RANG_OUT = frozenset({"canceled", "deadline_exceeded"})
_NEARLY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """A request to dial a telephone into a room."""

    trunk_id: str
    to: str
    """The number to dial: ``+`` and digits."""
    number: str | None
    """The caller id that the called person sees; None: the trunk's."""
    room: str
    identity: str
    """The identity of the telephone's participant, who is in the room before the answer."""
    leg: Literal["outbound", "transfer"]
    """The attribute ``va.leg``, which marks the participant as dialled by us."""
    ring_seconds: int
    max_seconds: int
    """The longest duration; LiveKit SIP 1.11 ignores it for a dial that waits for the answer."""
    ringing_is_heard: bool = False
    """Whether the room hears the ringing tone."""


def dial_failure(code: str, sip_status: int | None, *, rang_seconds: float, ring_seconds: float) -> DialFailure:
    """Why a dial ended without an answer, from the Twirp code and the SIP status, if there is one.

    Without a SIP status, it rang until the time was up, or no telephone was reached.
    """
    if sip_status is not None:
        return _BY_SIP_STATUS.get(sip_status, "carrier_error")
    rang_out = code in _RANG_OUT and rang_seconds > ring_seconds - _NEARLY_SECONDS
    return "no_answer" if rang_out else "carrier_error"
