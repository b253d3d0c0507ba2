"""What happens when a telephone number is dialled or transferred to, and how LiveKit reports it.

The errors are those of livekit-server 1.13 in front of livekit-sip: the far end's SIP status becomes a Twirp code
(https://twitchtv.github.io/twirp/docs/errors.html) with ``sip_status_code`` and ``sip_status`` as metadata. A telephone
that nobody answers in time gives ``canceled``, without a SIP status.
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
    """A Twirp error; ``status`` is its HTTP status."""

    def __init__(self, code: str, message: str, meta: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.meta = dict(meta or {})

    @property
    def status(self) -> int:
        """The HTTP status that Twirp prescribes for the code."""
        return _HTTP_STATUS[self.code]

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        return {"code": self.code, "msg": self.message, **({"meta": self.meta} if self.meta else {})}


@dataclass(frozen=True, slots=True)
class SipStatus:
    """The far end's final SIP status, when it is not 200."""

    code: int
    phrase: str
    twirp_code: str
    disconnect_reason: str = "CLIENT_INITIATED"
    """The reason with which LiveKit SIP leaves the room; livekit-server passes only some of them on."""

    def error(self, what: str) -> TwirpError:
        """The error that the client of the API gets."""
        meta = {"sip_status_code": str(self.code), "sip_status": self.phrase}
        return TwirpError(self.twirp_code, f"{what}: sip status: {self.code}: {self.phrase}", meta)


@dataclass(frozen=True, slots=True)
class Destination:
    """What happens when a number is dialled."""

    outcome: Outcome = "answers"
    after: Annotated[float, Field(ge=0)] = 0.3
    """Seconds of ringing before it happens."""
    score: Score = SILENT
    """What the person who answers does; they hang up at the end of the score."""
    transfer: Transfer = "accepted"
    """The outcome of a transfer to the number: ``accepted_untold`` is a success as livekit-server 1.13 reports it, with
    an empty answer; ``declined`` and ``refused`` are errors; ``failed`` and ``unfinished`` are no successes."""
    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    def ends(self, ringing_seconds: float) -> tuple[float, TwirpError | None, str]:
        """How the ringing ends: after how many seconds, with which error or None, and the reason for leaving."""
        if self.outcome == "no_answer" or self.after > ringing_seconds:
            return ringing_seconds, NO_ANSWER, "USER_UNAVAILABLE"
        if self.outcome == "answers":
            return self.after, None, ""
        status = _REFUSALS[self.outcome]
        return self.after, status.error("INVITE failed"), status.disconnect_reason


@dataclass(slots=True)
class Directory:
    """The known numbers; an unknown number answers and stays silent."""

    numbers: dict[str, Destination] = field(default_factory=dict)
    sip_is_there: bool = True
    """Whether a livekit-sip is available."""

    def find(self, number: str) -> Destination:
        """Look up dialled digits, or a ``tel:`` or ``sip:`` address."""
        dialled = number.removeprefix("tel:").removeprefix("sip:").partition("@")[0]
        return self.numbers.get(dialled, Destination())


NO_ANSWER = TwirpError("canceled", "request canceled: sip request timeout")
REMOVED = TwirpError("canceled", "request canceled")
NO_SIP = TwirpError("unavailable", "no response from servers")
"""livekit-server's error after a second in which no livekit-sip takes the request."""

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
    """Read a destination from JSON. Raises ValueError that names every wrong field."""
    return _DESTINATION.validate_json(text)
