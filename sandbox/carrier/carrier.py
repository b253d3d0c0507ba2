"""A stand-in for LiveKit SIP: brings telephones into rooms of a real LiveKit server as LiveKit SIP does.

https://docs.livekit.io/sip/: a caller gets a room of his own and rings until he hears an audio track of somebody; one
who is called is in the asked room while his telephone rings. It has no SIP.
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
from sandbox.carrier.telephone_line import RATE, STATUS, TelephoneLine

TELEPHONE = Telephone(MediaFormat("mulaw", RATE), acknowledges_clear=False, echoes_marks=False)
"""What calls over a carrier are made with."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """Knows a LiveKit server; the rule of dispatch gives every call a room of its own."""

    url: str
    """Websocket address."""
    api_key: str
    api_secret: str
    called_number: str = "+70000000001"
    room_prefix: str = "call"
    trunk_id: str = "ST_stand_in"
    rule_id: str = "SDR_stand_in"
    room_config: api.RoomConfiguration | None = None
    """For the room of a call; None: as the server makes rooms."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """More of them, for every caller."""
    lines: dict[tuple[str, str], TelephoneLine] = field(default_factory=dict)
    """Telephones that are in a room, by room and identity."""

    @asynccontextmanager
    async def dial(
        self, number: str, *, headers: Mapping[str, str] | None = None, room: str | None = None
    ) -> AsyncIterator[TelephoneLine]:
        """Call and wait until it is answered; the caller hangs up on leaving. Raises CallFailed when it is not."""
        async with self.ring(number, headers=headers, room=room) as line:
            await line.answered()
            yield line

    @asynccontextmanager
    async def ring(
        self, number: str, *, headers: Mapping[str, str] | None = None, room: str | None = None
    ) -> AsyncIterator[TelephoneLine]:
        """A call that rings; the caller hangs up on leaving.

        With ``room`` the caller comes into that room, as a dispatch rule has it whose rooms have no random names: where
        somebody of the same number is, LiveKit puts the new caller into their place.
        A caller who hides his number is ``anonymous``, or nothing at all; ``headers`` are those of his INVITE.
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
        line = TelephoneLine(room or f"{self.room_prefix}_{number}_{secrets.token_hex(4)}", f"sip_{number}")
        async with self._in_room(line, new_call_id(), attributes):
            yield line

    @asynccontextmanager
    async def called(
        self, room: str, identity: str, call_id: str, attributes: Mapping[str, str], name: str = ""
    ) -> AsyncIterator[TelephoneLine]:
        """A telephone that is dialled from a room; nothing has rung yet. It hangs up on leaving."""
        line = TelephoneLine(room, identity, is_called=True)
        async with self._in_room(line, call_id, {**attributes, STATUS: "dialing"}, name):
            yield line

    async def number_of_trunk(self, trunk_id: str) -> str:
        """The first of an outbound trunk's numbers. Raises TwirpError, as livekit-server does without such a trunk."""
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
    """The carrier of calls to the number, as the trunks and rules at the server say. Raises CallFailed without them."""
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
    """As LiveKit names the calls of LiveKit SIP."""
    return f"SCL_{secrets.token_hex(6)}"
