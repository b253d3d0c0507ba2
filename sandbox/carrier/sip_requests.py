"""The two requests of LiveKit's SIP API that need a livekit-sip: read from protobuf, and their answers.

https://docs.livekit.io/reference/telephony/sip-api/: ``CreateSIPParticipant`` and ``TransferSIPParticipant``.
"""

from dataclasses import dataclass, replace

from google.protobuf.message import DecodeError
from livekit import api

from sandbox.carrier.sip_outcomes import TRANSFER_REFUSALS, Transfer, TwirpError
from sandbox.carrier.telephone_line import RINGS_SECONDS

_TRANSFER_SECONDS = 30.0
_OURS = "sip.trunkPhoneNumber"


@dataclass(frozen=True, slots=True)
class Dial:
    """A request to dial a telephone into a room."""

    number: str
    room: str
    identity: str
    name: str
    attributes: dict[str, str]
    trunk_id: str
    ringing_seconds: float
    waits: bool
    """Whether the response waits until the telephone is answered, instead of until it rings."""

    def from_number(self, number: str) -> "Dial":
        """The same request with ``number`` as the caller id, unless it names one."""
        attributes = self.attributes
        return replace(self, attributes={**attributes, _OURS: attributes[_OURS] or number})


@dataclass(frozen=True, slots=True)
class Refer:
    """A request to transfer a telephone in a room elsewhere."""

    room: str
    identity: str
    to: str
    ringing_seconds: float


def check_grant(token: str, api_key: str, api_secret: str) -> None:
    """Check the token. Raises TwirpError when its bearer may not place calls."""
    try:
        claims = api.TokenVerifier(api_key, api_secret).verify(token)
    except Exception as error:  # the verifier raises many types
        raise TwirpError("unauthenticated", "invalid authorization token") from error
    if claims.sip is None or not claims.sip.call:
        raise TwirpError("permission_denied", "permissions denied")


def read_dial(body: bytes) -> Dial:
    """Raises TwirpError."""
    asked = api.CreateSIPParticipantRequest()
    _parse(asked, body)
    if not asked.sip_call_to or not asked.room_name or not (asked.sip_trunk_id or asked.HasField("trunk")):
        raise TwirpError("invalid_argument", "a number to call, a room and a trunk are required")
    identity = asked.participant_identity or f"sip_{asked.sip_call_to}"
    return Dial(
        number=asked.sip_call_to,
        room=asked.room_name,
        identity=identity,
        name=asked.participant_name,
        attributes={
            **asked.participant_attributes,
            "sip.phoneNumber": asked.sip_call_to,
            _OURS: asked.sip_number,
            "sip.trunkID": asked.sip_trunk_id,
        },
        trunk_id=asked.sip_trunk_id,
        ringing_seconds=_seconds(asked, RINGS_SECONDS),
        waits=asked.wait_until_answered,
    )


def read_refer(body: bytes) -> Refer:
    """Raises TwirpError."""
    asked = api.TransferSIPParticipantRequest()
    _parse(asked, body)
    if not asked.room_name or not asked.participant_identity or not asked.transfer_to:
        raise TwirpError("invalid_argument", "a room, a participant and a target are required")
    return Refer(asked.room_name, asked.participant_identity, asked.transfer_to, _seconds(asked, _TRANSFER_SECONDS))


def participant_answer(dial: Dial, participant_sid: str, call_id: str) -> bytes:
    """The serialised ``SIPParticipantInfo``."""
    info = api.SIPParticipantInfo(
        participant_id=participant_sid,
        participant_identity=dial.identity,
        room_name=dial.room,
        sip_call_id=call_id,
    )
    return info.SerializeToString()


def transfer_answer(outcome: Transfer, transfer_id: str) -> bytes:
    """The serialised ``TransferSIPParticipantResponse``. Raises TwirpError for a refusal."""
    if outcome in TRANSFER_REFUSALS:
        refusal = TRANSFER_REFUSALS[outcome].error("call transfer failed")
        refusal.meta |= {"sip_transfer_reason": "STR_REJECTED", "sip_transfer_id": transfer_id}
        raise refusal
    answer = api.TransferSIPParticipantResponse()
    if outcome != "accepted_untold":
        answer.transfer_id = transfer_id
        answer.status = _TRANSFER_STATUS[outcome]
    if outcome == "failed":
        answer.sip_status.CopyFrom(api.SIPStatus(code="SIP_STATUS_GLOBAL_DECLINE", status="Decline"))
        answer.reason = api.SIPTransferReason.STR_REJECTED
    return answer.SerializeToString()


_TRANSFER_STATUS = {
    "accepted": api.SIPTransferStatus.STS_TRANSFER_SUCCESSFUL,
    "failed": api.SIPTransferStatus.STS_TRANSFER_FAILED,
    "unfinished": api.SIPTransferStatus.STS_TRANSFER_ONGOING,
}


def _parse(message: api.CreateSIPParticipantRequest | api.TransferSIPParticipantRequest, body: bytes) -> None:
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise TwirpError("malformed", "the protobuf request could not be decoded") from error


def _seconds(message: api.CreateSIPParticipantRequest | api.TransferSIPParticipantRequest, usual: float) -> float:
    seconds = message.ringing_timeout.ToTimedelta().total_seconds()
    return min(seconds, usual) if seconds else usual
