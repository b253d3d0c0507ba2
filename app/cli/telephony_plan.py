"""Plans ``voice-agent setup``: compares what the settings want at LiveKit with what is there. No I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Generic, TypeVar

from app.cli.masking import masked
from app.clients.livekit.trunks import (
    DispatchRule,
    InboundTrunk,
    OutboundTrunk,
    SipObjects,
    allows_everybody,
    inbound_trunk_name,
    outbound_trunk_name,
)
from app.errors import SettingsError
from app.settings import Settings

_Kept = TypeVar("_Kept", InboundTrunk, DispatchRule, OutboundTrunk)

_ROOM_EMPTY_SECONDS = 60
"""A room is made for a caller. If the caller never comes in, it closes after this time."""
_ROOM_DEPARTURE_SECONDS = 10
"""How long a room stays open without its caller, so that a line that comes back after an interruption finds it."""
_IDS = ("trunk_id", "rule_id")


@dataclass(frozen=True, slots=True)
class Change(Generic[_Kept]):
    """One object at LiveKit: what is wanted, and what is there."""

    what: str
    wanted: _Kept
    """Has the id of the object that is there."""
    found: _Kept | None

    @property
    def differences(self) -> tuple[str, ...]:
        """A line for each value that differs. Numbers are masked; passwords are not shown."""
        if self.found is None:
            return tuple(f"{name}: {value}" for name, value in _shown(self.wanted).items() if value)
        found, wanted = _shown(self.found), _shown(self.wanted)
        return tuple(
            _difference(item.name, found[item.name], wanted[item.name])
            for item in fields(self.wanted)
            if item.name not in _IDS and getattr(self.found, item.name) != getattr(self.wanted, item.name)
        )

    @property
    def is_needed(self) -> bool:
        """Whether the object is missing or differs."""
        return self.found is None or self.found != self.wanted


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes at LiveKit."""

    inbound: Change[InboundTrunk]
    rule: Change[DispatchRule]
    outbound: Change[OutboundTrunk] | None
    """None if the settings name no server for outbound calls."""
    obstacles: tuple[str, ...]
    """What LiveKit would refuse or the operator must decide, each with what to do. With any, nothing is changed."""


def check_wishes(settings: Settings, *, force: bool) -> None:
    """Raise SettingsError with every setting that is missing or would open the trunk to everybody."""
    problems = [
        f"{name.upper()}: is missing; {why}"
        for name, why in (
            ("livekit_url", "LiveKit keeps the trunks and the rule"),
            ("sip_number", "callers dial it"),
        )
        if not getattr(settings, name)
    ]
    if bool(settings.sip_username) != bool(settings.sip_password):
        problems.append("SIP_USERNAME, SIP_PASSWORD: one is missing; set both, or neither")
    if not force and allows_everybody(settings.sip_allowed_addresses):
        problems.append(
            "SIP_ALLOWED_ADDRESSES: lets the whole internet call at your cost; name the addresses that your carrier "
            "calls from, or use --force"
        )
    if problems:
        raise SettingsError(problems)


def wishes(settings: Settings) -> SipObjects:
    """What the settings want at LiveKit. They have been checked."""
    name, numbers = inbound_trunk_name(settings.room_prefix), (settings.sip_number or "",)
    rule = DispatchRule(
        name,
        (),
        "individual",
        settings.room_prefix,
        room_empty_seconds=_ROOM_EMPTY_SECONDS,
        room_departure_seconds=_ROOM_DEPARTURE_SECONDS,
    )
    outbound = OutboundTrunk(
        outbound_trunk_name(settings.room_prefix),
        settings.sip_server or "",
        numbers,
        settings.sip_username or "",
        settings.sip_password.get_secret_value() if settings.sip_password else "",
        from_host=(settings.sip_server or "").partition(":")[0],
    )
    return SipObjects(
        (InboundTrunk(name, numbers, settings.sip_allowed_addresses),),
        (rule,),
        (outbound,) if settings.sip_server else (),
    )


def plan(wanted: SipObjects, found: SipObjects) -> Plan:
    """Compare what is wanted with what is there. Objects match by name."""
    (inbound,), (rule,) = wanted.inbound, wanted.rules
    there = _named(inbound.name, found.inbound)
    if there is not None:
        inbound = replace(inbound, trunk_id=there.trunk_id, asks_password=there.asks_password)
        rule = replace(rule, trunk_ids=(there.trunk_id,))
    rule_there = _named(rule.name, found.rules)
    rule = replace(rule, rule_id=rule_there.rule_id if rule_there else "")
    outbound = None
    for each in wanted.outbound:
        trunk = _named(each.name, found.outbound)
        outbound = Change("outbound trunk", replace(each, trunk_id=trunk.trunk_id if trunk else ""), trunk)
    return Plan(
        Change("inbound trunk", inbound, there),
        Change("dispatch rule", rule, rule_there),
        outbound,
        tuple(_obstacles(wanted, found)),
    )


def _obstacles(wanted: SipObjects, found: SipObjects) -> Iterator[str]:
    (inbound,), (rule,) = wanted.inbound, wanted.rules
    for what, name, names in (
        ("inbound trunks", inbound.name, [trunk.name for trunk in found.inbound]),
        ("dispatch rules", rule.name, [each.name for each in found.rules]),
        *(("outbound trunks", each.name, [trunk.name for trunk in found.outbound]) for each in wanted.outbound),
    ):
        if names.count(name) > 1:
            yield f"There are {names.count(name)} {what} called {name}; delete all but one."
    ours = {trunk.trunk_id for trunk in found.inbound if trunk.name == inbound.name}
    for trunk in found.inbound:
        if trunk.name != inbound.name and trunk.numbers and any(map(trunk.takes, inbound.numbers)):
            yield f"The inbound trunk {_called(trunk)} has the number, too; delete it, or rename it to {inbound.name}."
    for other in found.rules:
        if other.name != rule.name and ours & set(other.trunk_ids) and not other.called_numbers:
            yield f"The dispatch rule {_called(other)} is for the same trunk; delete it, or rename it to {rule.name}."


def _named(name: str, items: Iterable[_Kept]) -> _Kept | None:
    return next((item for item in items if item.name == name), None)


def _called(item: InboundTrunk | DispatchRule) -> str:
    """Its name, with its id as LiveKit's own tools show it."""
    number = item.trunk_id if isinstance(item, InboundTrunk) else item.rule_id
    return f"{item.name or 'without a name'} ({number})"


def _shown(item: InboundTrunk | DispatchRule | OutboundTrunk) -> dict[str, str]:
    return {
        field.name: _text(field.name, getattr(item, field.name)) for field in fields(item) if field.name not in _IDS
    }


def _difference(name: str, found: str, wanted: str) -> str:
    if name == "password" and found and wanted:
        return f"{name}: differs"
    return f"{name}: {found or 'nothing'} -> {wanted or 'nothing'}"


def _text(name: str, value: object) -> str:
    match value:
        case bool() | int():
            return str(value) if value else ""
        case tuple():
            return ", ".join(masked(each) if "numbers" in name else each for each in value)
        case _:
            text = str(value)
            return "set" if text and name == "password" else masked(text) if text and name == "username" else text
