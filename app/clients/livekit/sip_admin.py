"""LiveKit's API for trunks and dispatch rules: list, create and change them.

https://docs.livekit.io/reference/telephony/sip-api/ (Twirp over HTTP). A change replaces the whole object, so fields
that we do not manage are sent back as they were read. A self-hosted server stores all of it in its Redis.
"""

from collections.abc import Iterable
from typing import Any

from livekit import api

from app.clients.livekit.api import LiveKitClient
from app.clients.livekit.trunks import DispatchRule, InboundTrunk, OutboundTrunk, RuleKind, SipObjects


class LiveKitSIPClient(LiveKitClient):
    """Create it in a running loop. Every request may raise ProviderError."""

    async def sip_objects(self) -> SipObjects:
        """All trunks and dispatch rules of the server."""
        return SipObjects(
            tuple(_inbound(trunk) for trunk in await self._inbound_trunks()),
            tuple(_rule(rule) for rule in await self._dispatch_rules()),
            tuple(_outbound(trunk) for trunk in await self._outbound_trunks()),
        )

    async def save_inbound(self, wanted: InboundTrunk) -> InboundTrunk:
        """Create the trunk, or change the one with its id."""
        trunk = _with_id(await self._inbound_trunks(), "sip_trunk_id", wanted.trunk_id) or api.SIPInboundTrunkInfo()
        trunk.name = wanted.name
        trunk.numbers[:] = wanted.numbers
        trunk.allowed_addresses[:] = wanted.allowed_addresses
        if wanted.trunk_id:
            return _inbound(await self.make_request(self._livekit.sip.update_inbound_trunk, wanted.trunk_id, trunk))
        request = api.CreateSIPInboundTrunkRequest(trunk=trunk)
        return _inbound(await self.make_request(self._livekit.sip.create_inbound_trunk, request))

    async def save_rule(self, wanted: DispatchRule) -> DispatchRule:
        """Create a rule for individual rooms, or change the one with its id."""
        rules = await self._dispatch_rules()
        rule = _with_id(rules, "sip_dispatch_rule_id", wanted.rule_id) or api.SIPDispatchRuleInfo()
        rule.name = wanted.name
        rule.trunk_ids[:] = wanted.trunk_ids
        rule.numbers[:] = wanted.called_numbers
        rule.rule.dispatch_rule_individual.CopyFrom(api.SIPDispatchRuleIndividual(room_prefix=wanted.room_prefix))
        rule.room_config.empty_timeout = wanted.room_empty_seconds
        rule.room_config.departure_timeout = wanted.room_departure_seconds
        if wanted.rule_id:
            return _rule(await self.make_request(self._livekit.sip.update_dispatch_rule, wanted.rule_id, rule))
        request = api.CreateSIPDispatchRuleRequest(dispatch_rule=rule)
        return _rule(await self.make_request(self._livekit.sip.create_dispatch_rule, request))

    async def save_outbound(self, wanted: OutboundTrunk) -> OutboundTrunk:
        """Create the trunk, or change the one with its id."""
        trunk = _with_id(await self._outbound_trunks(), "sip_trunk_id", wanted.trunk_id) or api.SIPOutboundTrunkInfo()
        trunk.name, trunk.address, trunk.from_host = wanted.name, wanted.address, wanted.from_host
        trunk.numbers[:] = wanted.numbers
        trunk.auth_username, trunk.auth_password = wanted.username, wanted.password
        if wanted.trunk_id:
            return _outbound(await self.make_request(self._livekit.sip.update_outbound_trunk, wanted.trunk_id, trunk))
        request = api.CreateSIPOutboundTrunkRequest(trunk=trunk)
        return _outbound(await self.make_request(self._livekit.sip.create_outbound_trunk, request))

    async def _inbound_trunks(self) -> list[api.SIPInboundTrunkInfo]:
        answer = await self.make_request(self._livekit.sip.list_inbound_trunk, api.ListSIPInboundTrunkRequest())
        return list(answer.items)

    async def _dispatch_rules(self) -> list[api.SIPDispatchRuleInfo]:
        answer = await self.make_request(self._livekit.sip.list_dispatch_rule, api.ListSIPDispatchRuleRequest())
        return list(answer.items)

    async def _outbound_trunks(self) -> list[api.SIPOutboundTrunkInfo]:
        answer = await self.make_request(self._livekit.sip.list_outbound_trunk, api.ListSIPOutboundTrunkRequest())
        return list(answer.items)


def _with_id(items: Iterable[Any], key: str, value: str) -> Any:
    return next((item for item in items if value and getattr(item, key) == value), None)


def _inbound(trunk: api.SIPInboundTrunkInfo) -> InboundTrunk:
    return InboundTrunk(
        trunk.name,
        tuple(trunk.numbers),
        tuple(trunk.allowed_addresses),
        asks_password=bool(trunk.auth_username),
        trunk_id=trunk.sip_trunk_id,
    )


def _outbound(trunk: api.SIPOutboundTrunkInfo) -> OutboundTrunk:
    return OutboundTrunk(
        trunk.name,
        trunk.address,
        tuple(trunk.numbers),
        trunk.auth_username,
        trunk.auth_password,
        trunk.from_host,
        trunk_id=trunk.sip_trunk_id,
    )


def _rule(info: api.SIPDispatchRuleInfo) -> DispatchRule:
    kind, rooms, pin = _room_naming(info.rule)
    return DispatchRule(
        info.name,
        tuple(info.trunk_ids),
        kind,
        rooms,
        needs_pin=bool(pin),
        called_numbers=tuple(info.numbers),
        room_empty_seconds=info.room_config.empty_timeout,
        room_departure_seconds=info.room_config.departure_timeout,
        rule_id=info.sip_dispatch_rule_id,
    )


def _room_naming(rule: api.SIPDispatchRule) -> tuple[RuleKind, str, str]:
    """The kind of the rule, its room prefix, its pin."""
    match rule.WhichOneof("rule"):
        case "dispatch_rule_individual":
            individual = rule.dispatch_rule_individual
            return "fixed" if individual.no_randomness else "individual", individual.room_prefix, individual.pin
        case "dispatch_rule_callee":
            return "callee", rule.dispatch_rule_callee.room_prefix, rule.dispatch_rule_callee.pin
        case "dispatch_rule_direct":
            return "direct", rule.dispatch_rule_direct.room_name, rule.dispatch_rule_direct.pin
        case _:
            return "none", "", ""
