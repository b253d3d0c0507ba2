"""What becomes of a telephone number that is dialled or transferred to, and how LiveKit puts it.

The errors are those of livekit-server 1.13 in front of livekit-sip: the SIP status of the far end as a code of Twirp
(https://twitchtv.github.io/twirp/docs/errors.html) with ``sip_status_code`` and ``sip_status`` as its metadata; a
telephone that nobody answers in time is ``canceled``, without a SIP status.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from sandbox.caller.score import Score, waits_for_end

SILENT = Score("silent", "ru", (waits_for_end(),), patience=86400)
"""Picks up and says nothing."""

Outcome = Literal["answers", "busy", "declined", "no_answer", "unknown_number", "trunk_failure"]
Transfer = Literal["accepted", "accepted_untold", "declined", "refused", "failed", "unfinished"]


class TwirpError(Exception):
    """The error body of Twirp; ``status`` is that of HTTP."""

    def __init__(self, code: str, message: str, meta: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.meta = dict(meta or {})

    @property
    def status(self) -> int:
        """As Twirp prescribes it for the code."""
        return _HTTP_STATUS[self.code]

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of it."""
        return {"code": self.code, "msg": self.message, **({"meta": self.meta} if self.meta else {})}


@dataclass(frozen=True, slots=True)
class SipStatus:
    """The far end's last word, when it is not 200."""

    code: int
    phrase: str
    twirp_code: str
    disconnect_reason: str = "CLIENT_INITIATED"
    """With which LiveKit SIP leaves the room; livekit-server passes on a few of them."""

    def error(self, what: str) -> TwirpError:
        """What the one who asked for it gets."""
        meta = {"sip_status_code": str(self.code), "sip_status": self.phrase}
        return TwirpError(self.twirp_code, f"{what}: sip status: {self.code}: {self.phrase}", meta)


@dataclass(frozen=True, slots=True)
class Destination:
    """What happens when the number is dialled."""

    outcome: Outcome = "answers"
    after: Annotated[float, Field(ge=0)] = 0.3
    """Seconds of ringing before it happens."""
    score: Score = SILENT
    """What the one who answers does; he hangs up at its end."""
    transfer: Transfer = "accepted"
    """What becomes of a transfer to the number: ``accepted_untold`` is a success as livekit-server 1.13 tells it, by an
    empty answer; ``declined`` and ``refused`` are errors; ``failed`` and ``unfinished`` are answers, but no success."""
    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    def ends(self, ringing_seconds: float) -> tuple[float, TwirpError | None, str]:
        """After so many seconds: the error with which the ringing ends, or None, and the reason for leaving."""
        if self.outcome == "no_answer" or self.after > ringing_seconds:
            return ringing_seconds, NO_ANSWER, "USER_UNAVAILABLE"
        if self.outcome == "answers":
            return self.after, None, ""
        status = _REFUSALS[self.outcome]
        return self.after, status.error("INVITE failed"), status.disconnect_reason


@dataclass(slots=True)
class Directory:
    """All numbers there are; one of whom nothing is known answers and is silent."""

    numbers: dict[str, Destination] = field(default_factory=dict)
    sip_is_there: bool = True
    """Whether a livekit-sip is behind the server."""

    def find(self, number: str) -> Destination:
        """By the digits that were dialled, or a ``tel:`` or ``sip:`` address."""
        dialled = number.removeprefix("tel:").removeprefix("sip:").partition("@")[0]
        return self.numbers.get(dialled, Destination())


NO_ANSWER = TwirpError("canceled", "request canceled: sip request timeout")
REMOVED = TwirpError("canceled", "request canceled")
NO_SIP = TwirpError("unavailable", "no response from servers")
"""What livekit-server says after a second when no livekit-sip takes the request."""

TRANSFER_REFUSALS = {
    "declined": SipStatus(603, "Decline", "permission_denied"),
    "refused": SipStatus(405, "Method Not Allowed", "invalid_argument"),
}
_REFUSALS: dict[Outcome, SipStatus] = {
    "busy": SipStatus(486, "Busy Here", "resource_exhausted", "USER_REJECTED"),
    "declined": SipStatus(603, "Decline", "permission_denied", "USER_REJECTED"),
    "unknown_number": SipStatus(404, "Not Found", "not_found", "USER_UNAVAILABLE"),
    "trunk_failure": SipStatus(503, "Service Unavailable", "failed_precondition", "SIP_TRUNK_FAILURE"),
}
_HTTP_STATUS = {
    "canceled": 408,
    "deadline_exceeded": 408,
    "failed_precondition": 412,
    "internal": 500,
    "invalid_argument": 400,
    "malformed": 400,
    "not_found": 404,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "unauthenticated": 401,
    "unavailable": 503,
}
_DESTINATION = TypeAdapter(Destination)


def load_destination(text: str | bytes) -> Destination:
    """Read one from JSON. Raises ValueError naming every field that is wrong."""
    return _DESTINATION.validate_json(text)
