"""``voice-agent setup``: creates trunks and the dispatch rule at LiveKit, and prints what the carrier must know."""

import asyncio
import sys
from dataclasses import replace
from typing import Any

from app.cli.telephony_plan import Change, Plan, check_wishes, plan, wishes
from app.clients.livekit.sip_admin import LiveKitSIPClient
from app.clients.livekit.trunks import bare_number
from app.clients.resilient import RetryPolicy
from app.errors import ProviderError
from app.observability.logs import configure_logging
from app.settings import Settings, load_settings

_ONCE = RetryPolicy(attempts=1)
"""No retries: a request whose answer was lost may have made a trunk, and a retry would make another."""


def setup_command(*, dry_run: bool, force: bool) -> int:
    """Set up LiveKit. Returns the exit status. Raises SettingsError."""
    settings = load_settings()
    configure_logging("error")
    check_wishes(settings, force=force)
    return asyncio.run(set_up(settings, dry_run=dry_run))


async def set_up(settings: Settings, *, dry_run: bool = False) -> int:
    """Make what is missing, change what differs, and print it. The settings have been checked."""
    client = sip_client(settings)
    try:
        todo = plan(wishes(settings), await client.sip_objects())
        if not todo.obstacles and not dry_run:
            await carry_out(todo, client)
    except ProviderError as error:
        _say(f"LiveKit did not make the changes ({error}). voice-agent doctor shows what is wrong with the connection.")
        _say("A self-hosted LiveKit keeps trunks and rules in Redis, and has none without Redis.")
        return 1
    finally:
        await client.aclose()
    _print_changes(todo, dry_run=dry_run)
    if todo.obstacles:
        return 1
    _print_next_steps(settings)
    return 0


def sip_client(settings: Settings) -> LiveKitSIPClient:
    """A client for trunks and rules that never retries. Make it in a running event loop."""
    secret = settings.livekit_api_secret
    return LiveKitSIPClient(
        url=settings.livekit_api_url or settings.livekit_url or "",
        api_key=settings.livekit_api_key or "",
        api_secret=secret.get_secret_value() if secret else "",
        retry=_ONCE,
    )


async def carry_out(todo: Plan, client: LiveKitSIPClient) -> None:
    """Make the changes. The rule comes after its trunk, because it names the trunk's id. Raises ProviderError."""
    inbound, rule, outbound = todo.inbound.wanted, todo.rule, todo.outbound
    if todo.inbound.is_needed:
        inbound = await client.save_inbound(inbound)
    if rule.is_needed or rule.wanted.trunk_ids != (inbound.trunk_id,):
        await client.save_rule(replace(rule.wanted, trunk_ids=(inbound.trunk_id,)))
    if outbound is not None and outbound.is_needed:
        await client.save_outbound(outbound.wanted)


def _print_changes(todo: Plan, *, dry_run: bool) -> None:
    changes: list[Change[Any]] = [todo.inbound, todo.rule]
    for change in changes + ([todo.outbound] if todo.outbound else []):
        made = ("would be " if dry_run or todo.obstacles else "") + ("created" if change.found is None else "changed")
        _say(f"{change.what} {change.wanted.name}: {made if change.is_needed else 'is as it should be'}")
        for line in change.differences if change.is_needed else ():
            _say(f"    {line}")
    if todo.outbound is None:
        _say("no outbound trunk: SIP_SERVER is not set, so there are no outbound calls")
    for obstacle in todo.obstacles:
        _say(f"! {obstacle}")
    if todo.obstacles:
        _say("Nothing was changed.")
    if todo.inbound.wanted.is_open_to_the_world:
        _say("! The inbound trunk is open to the whole internet, because of --force.")


def _print_next_steps(settings: Settings) -> None:
    number, address = settings.sip_number or "", settings.sip_address
    target = f"{bare_number(number)}@{address.removeprefix('sip:')}" if address else "<number>@<LiveKit SIP>:5060"
    _say("")
    _say("At LiveKit (its configuration file, or the project's settings in LiveKit Cloud):")
    _say(f"    send webhooks to https://{settings.domain or '<DOMAIN>'}/webhooks/livekit")
    _say(f"At MTS Exolve, for {number}; docs/telephony.md says which of this is confirmed:")
    _say(f"    forward calls to the external SIP address {target}")
    if not address:
        _say("    (set LIVEKIT_SIP_URI or PUBLIC_IP to see it here)")
    if settings.sip_server:
        _say(f"    calls out go to {settings.sip_server}, {'with' if settings.sip_username else 'without'} a login")
    _say("Then: voice-agent doctor")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
