"""A stand-in for LiveKit SIP: brings telephones into rooms of a real LiveKit server, without any SIP.

https://docs.livekit.io/sip/: a caller gets a room of their own and rings until somebody publishes an audio track. A
telephone that is dialled enters the requested room while it rings.
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from livekit import api

from sandbox.caller.media_client import CallFailed
from sandbox.caller.media_format import MediaFormat
from sandbox.carrier.sip_outcomes import TwirpError
from sandbox.carrier.telephone import Telephone
from sandbox.carrier.telephone_line import FIRST_SOUND_SECONDS, RATE, SOUND_SECONDS, STATUS, TelephoneLine

TELEPHONE = Telephone(MediaFormat("mulaw", RATE), acknowledges_clear=False, echoes_marks=False)
"""The telephone of every call over a carrier."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """Brings calls to one LiveKit server; its dispatch rule gives every call a room of its own."""

    url: str
    """The server's websocket address."""
    api_key: str
    api_secret: str
    called_number: str = "+70000000001"
    room_prefix: str = "call"
    trunk_id: str = "ST_stand_in"
    rule_id: str = "SDR_stand_in"
    room_config: api.RoomConfiguration | None = None
    """The configuration of a call's room; None: the server's default."""
    first_sound_seconds: float = FIRST_SOUND_SECONDS
    sound_seconds: float = SOUND_SECONDS
    """A telephone is cut off after this long without sound of it; the first may take ``first_sound_seconds``."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Further participant attributes for every caller."""
    lines: dict[tuple[str, str], TelephoneLine] = field(default_factory=dict)
    """The telephones that are in a room, by room and identity."""

    @asynccontextmanager
    async def dial(
        self, number: str, *, headers: Mapping[str, str] | None = None, room: str | None = None
    ) -> AsyncIterator[TelephoneLine]:
        """Call and wait for the answer; hangs up when the context exits. Raises CallFailed without an answer."""
        async with self.ring(number, headers=headers, room=room) as line:
            await line.answered()
            yield line

    @asynccontextmanager
    async def ring(
        self, number: str, *, headers: Mapping[str, str] | None = None, room: str | None = None
    ) -> AsyncIterator[TelephoneLine]:
        """A call that rings; hangs up when the context exits.

        With ``room`` the caller enters that room, as with a dispatch rule whose rooms have no random names: if the same
        number is there already, LiveKit replaces its participant with the new one. A caller who withholds their number
        is ``anonymous`` or empty; ``headers`` are those of the INVITE.
        """
        attributes = {
            "sip.phoneNumber": number,
            "sip.trunkPhoneNumber": self.called_number,
            "sip.trunkID": self.trunk_id,
            "sip.ruleID": self.rule_id,
            STATUS: "ringing",
            **{f"sip.h.{name.lower()}": value for name, value in (headers or {}).items()},
            **self.attributes,
        }
        line = self._line(room or f"{self.room_prefix}_{number}_{secrets.token_hex(4)}", f"sip_{number}")
        async with self._in_room(line, new_call_id(), attributes):
            yield line

    def _line(self, room: str, identity: str, *, is_called: bool = False) -> TelephoneLine:
        return TelephoneLine(
            room,
            identity,
            is_called=is_called,
            first_sound_seconds=self.first_sound_seconds,
            sound_seconds=self.sound_seconds,
        )

    @asynccontextmanager
    async def called(
        self, room: str, identity: str, call_id: str, attributes: Mapping[str, str], name: str = ""
    ) -> AsyncIterator[TelephoneLine]:
        """A telephone that is dialled from a room and does not ring yet; hangs up when the context exits."""
        line = self._line(room, identity, is_called=True)
        async with self._in_room(line, call_id, {**attributes, STATUS: "dialing"}, name):
            yield line

    async def number_of_trunk(self, trunk_id: str) -> str:
        """An outbound trunk's first number. Raises TwirpError, as livekit-server does when there is no such trunk."""
        asked = api.ListSIPOutboundTrunkRequest(trunk_ids=[trunk_id])
        async with api.LiveKitAPI(self.url, self.api_key, self.api_secret, failover=False) as livekit:
            try:
                trunks = (await livekit.sip.list_outbound_trunk(asked)).items
            except api.ServerError as error:
                raise TwirpError(error.code, error.message) from error
        if not trunks:
            raise TwirpError("not_found", "requested sip trunk does not exist")
        return trunks[0].numbers[0] if trunks[0].numbers else ""

    @asynccontextmanager
    async def _in_room(
        self, line: TelephoneLine, call_id: str, attributes: Mapping[str, str], name: str = ""
    ) -> AsyncIterator[None]:
        token = self._token(line, {**attributes, "sip.callID": call_id}, name)
        try:
            await line.join(self.url, token)
            self.lines[line.room_name, line.identity] = line
            yield
        finally:
            await line.leave()
            if self.lines.get((line.room_name, line.identity)) is line:
                del self.lines[line.room_name, line.identity]

    def _token(self, line: TelephoneLine, attributes: Mapping[str, str], name: str) -> str:
        present = {key: value for key, value in attributes.items() if value}
        grants = api.VideoGrants(room_join=True, room=line.room_name, can_update_own_metadata=True)
        token = api.AccessToken(self.api_key, self.api_secret).with_identity(line.identity).with_kind("sip")
        if self.room_config is not None:
            token = token.with_room_config(self.room_config)
        return token.with_name(name).with_attributes(present).with_grants(grants).to_jwt()


async def carrier_of(url: str, api_key: str, api_secret: str, number: str) -> Carrier:
    """The carrier that delivers calls to a number, by the server's trunks and rules. Raises CallFailed without them."""
    async with api.LiveKitAPI(url, api_key, api_secret, failover=False) as livekit:
        trunks = await livekit.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())
        rules = await livekit.sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())
    wanted = number.lstrip("+")
    takes_it = [trunk for trunk in trunks.items if wanted in {each.lstrip("+") for each in trunk.numbers}]
    for trunk in takes_it:
        for rule in rules.items:
            if rule.rule.HasField("dispatch_rule_individual") and trunk.sip_trunk_id in rule.trunk_ids:
                return Carrier(
                    url,
                    api_key,
                    api_secret,
                    called_number=number,
                    room_prefix=rule.rule.dispatch_rule_individual.room_prefix,
                    trunk_id=trunk.sip_trunk_id,
                    rule_id=rule.sip_dispatch_rule_id,
                    room_config=rule.room_config if rule.HasField("room_config") else None,
                    attributes=dict(rule.attributes),
                )
    raise CallFailed("no trunk with a rule of its own takes calls to that number")


def new_call_id() -> str:
    """A new id in the form of LiveKit SIP's call ids."""
    return f"SCL_{secrets.token_hex(6)}"
