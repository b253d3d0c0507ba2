"""Checks LiveKit: whether it is reachable and accepts the key, and whether its trunks and rules route callers to us."""

from collections.abc import Iterator, Sequence

from app.cli.checks.findings import Check, Finding, Grade
from app.cli.masking import masked
from app.cli.setup import sip_client
from app.cli.telephony_plan import plan, wishes
from app.clients.livekit.trunks import (
    DispatchRule,
    InboundTrunk,
    SipObjects,
    inbound_trunk_name,
    is_our_room,
    outbound_trunk_name,
)
from app.errors import ProviderError, ProviderRejected
from app.settings import Settings

_SETUP = "Run: voice-agent setup"


def telephony_checks(settings: Settings) -> list[Check]:
    """The check of LiveKit. Without LiveKit it only says so."""
    if settings.livekit_url is None:

        async def absent() -> Sequence[Finding]:
            said = "LIVEKIT_URL is not set: no telephone calls, websockets only"
            return [Finding("LiveKit", "not checked", said)]

        return [Check("LiveKit", absent)]

    async def look() -> Sequence[Finding]:
        return await _looked(settings)

    return [Check("LiveKit", look)]


async def _looked(settings: Settings) -> Sequence[Finding]:
    client = sip_client(settings)
    try:
        try:
            await client.list_rooms()
        except ProviderRejected:
            advice = "Compare LIVEKIT_API_KEY and LIVEKIT_API_SECRET with those of the server or the project."
            return [Finding("LiveKit", "wrong", "does not know the key, or the secret is wrong", advice)]
        except ProviderError as error:
            return [Finding("LiveKit", "wrong", f"cannot be reached ({error})", "Check that it runs, and LIVEKIT_URL.")]
        reached = Finding("LiveKit", "ok", "can be reached and accepts the key")
        try:
            return [reached, *judge(await client.sip_objects(), settings)]
        except ProviderError as error:
            advice = "A self-hosted server needs Redis for trunks; without it there are no telephone calls."
            return [reached, Finding("trunks", "wrong", f"LiveKit does not list its trunks ({error})", advice)]
    finally:
        await client.aclose()


def judge(found: SipObjects, settings: Settings) -> list[Finding]:
    """Findings about the trunks and rules for calls to our number."""
    if settings.sip_number is None:
        said = f"SIP_NUMBER is not set; LiveKit has {len(found.inbound)} inbound trunks and {len(found.rules)} rules"
        return [Finding("trunks", "not checked", said, "Set it, then run: voice-agent setup")]
    number = settings.sip_number
    trunks = [trunk for trunk in found.inbound if trunk.takes(number)]
    if not trunks:
        return [Finding("inbound trunk", "wrong", f"no trunk accepts calls to {masked(number)}", _SETUP)]
    # LiveKit prefers a trunk with the number to one for every number.
    trunk = next((trunk for trunk in trunks if trunk.numbers), trunks[0])
    findings = [_inbound(trunk), *_rules(trunk, number, found.rules, settings.room_prefix)]
    findings += [
        Finding("inbound trunk", "warning", f"{other.name} is open to the whole internet", "Give it addresses.")
        for other in found.inbound
        if other is not trunk and other.is_open_to_the_world
    ]
    return [*findings, *_outbound(found, settings), *_otherwise(found, settings)]


def _inbound(trunk: InboundTrunk) -> Finding:
    if trunk.is_open_to_the_world:
        said = f"{trunk.name} is open: anyone on the internet can call at your cost"
        advice = "Set SIP_ALLOWED_ADDRESSES to the carrier's addresses, then run: voice-agent setup"
        return Finding("inbound trunk", "wrong", said, advice)
    guards = (*trunk.allowed_addresses, *(["anyone with its password"] if trunk.asks_password else []))
    return Finding("inbound trunk", "ok", f"{trunk.name} accepts calls to our number from {', '.join(guards)}")


def _rules(trunk: InboundTrunk, number: str, rules: Sequence[DispatchRule], prefix: str) -> Iterator[Finding]:
    """Rules for the trunk alone take precedence over rules for all trunks."""
    asked = [rule for rule in rules if rule.catches(number, trunk)]
    asked = [rule for rule in asked if rule.trunk_ids] or asked
    if not asked:
        yield Finding("dispatch rule", "wrong", "no rule gives our callers a room, so they hear nothing", _SETUP)
    for rule in asked:
        grade: Grade = "wrong"
        name = rule.name or "a rule without a name"
        if rule.needs_pin:
            said = f"{name} asks callers for a PIN"
        elif rule.kind != "individual":
            said = f"{name} is of kind {rule.kind}: callers share a room, or end each other's calls"
        elif not is_our_room(f"{rule.room_prefix}_...", prefix):
            said = f"{name} makes rooms {rule.room_prefix}_..., but the agent answers only in {prefix}_..."
        else:
            grade, said = "ok", f"{name} gives every caller their own room"
        yield Finding("dispatch rule", grade, said, "" if grade == "ok" else f"{_SETUP}, or change the rule.")


def _outbound(found: SipObjects, settings: Settings) -> Iterator[Finding]:
    name = outbound_trunk_name(settings.room_prefix)
    there = any(trunk.name == name for trunk in found.outbound)
    if settings.sip_server is None:
        yield Finding("outbound trunk", "not checked", "SIP_SERVER is not set: no outbound calls")
    elif there:
        yield Finding("outbound trunk", "ok", f"{name} exists")
    else:
        yield Finding("outbound trunk", "wrong", f"{name} does not exist, so there are no outbound calls", _SETUP)


def _otherwise(found: SipObjects, settings: Settings) -> Iterator[Finding]:
    """Objects of ours that differ from the settings."""
    todo = plan(wishes(settings), found)
    differ = [
        change.what
        for change in (todo.inbound, todo.rule, todo.outbound)
        if change is not None and change.found is not None and change.is_needed
    ]
    if differ:
        said = f"differs from the settings: {', '.join(differ)}"
        yield Finding(inbound_trunk_name(settings.room_prefix), "warning", said, "Compare: voice-agent setup --dry-run")
