"""Checks whether the outside can reach us: webhooks at the public name, and SIP at the address that carriers use."""

import json
import secrets
from collections.abc import Sequence

import httpx

from app.cli.checks.findings import Check, Finding, why
from app.cli.checks.sip_options import RESEND_SECONDS, ask_options, host_and_port
from app.clients.livekit.webhooks import sign_webhook
from app.clients.tls import tls_context
from app.clock import utc_now
from app.settings import Settings

_SECONDS = 8.0
_WEBHOOK, _SIP = "webhooks", "SIP address"
_MEANS = {
    401: (
        "the service there has a different key or secret, or its clock is wrong",
        "Compare LIVEKIT_API_KEY, LIVEKIT_API_SECRET and LIVEKIT_WEBHOOK_KEYS with those of the running service.",
    ),
    404: ("another program answers there", "Point DOMAIN or the proxy at this service."),
    502: ("the proxy does not reach the service", "Check that the service runs, and that the proxy has its port."),
    503: ("the service there accepts no telephone calls, or is stopping", "Check that LIVEKIT_URL is set there."),
}


def door_checks(settings: Settings) -> list[Check]:
    """A check of each. It says so if the settings do not name an address."""
    url = f"https://{settings.domain}/webhooks/livekit"

    async def webhook() -> Sequence[Finding]:
        if settings.domain is None or not settings.livekit_webhook_secrets:
            said = f"{'LIVEKIT_URL' if settings.domain else 'DOMAIN'} is not set"
            return [Finding(_WEBHOOK, "not checked", said)]
        return [await try_webhook(url, *next(iter(settings.livekit_webhook_secrets.items())))]

    async def sip() -> Sequence[Finding]:
        if settings.sip_address is None:
            return [Finding(_SIP, "not checked", "neither LIVEKIT_SIP_URI nor PUBLIC_IP is set")]
        return [await try_sip(settings.sip_address)]

    return [Check(_WEBHOOK, webhook, 2 * _SECONDS + 1), Check(_SIP, sip)]


async def try_webhook(url: str, key: str, secret: str) -> Finding:
    """Send a signed webhook without effect, and one signed with a wrong secret, which must be refused."""
    body = json.dumps({"id": f"doctor-{secrets.token_hex(8)}", "event": "doctor"}).encode()
    try:
        status = await _sent(url, body, sign_webhook(body, key, secret, utc_now()))
        forged = await _sent(url, body, sign_webhook(body, key, secrets.token_hex(32), utc_now()))
    except httpx.HTTPError as error:
        return Finding(_WEBHOOK, "wrong", f"{url} cannot be reached: {type(error).__name__}", why(error))
    if status != httpx.codes.OK:
        said, advice = _MEANS.get(status, ("the answer is not from this service", "Check DOMAIN and the proxy."))
        return Finding(_WEBHOOK, "wrong", f"{url} answers with HTTP {status}: {said}", advice)
    if forged != httpx.codes.UNAUTHORIZED:
        said = f"{url} accepts a webhook with a forged signature, so it is not this service"
        return Finding(_WEBHOOK, "wrong", said, "Point DOMAIN or the proxy at this service.")
    return Finding(_WEBHOOK, "ok", f"{url} accepts a signed webhook and refuses a forged one")


async def _sent(url: str, body: bytes, token: str) -> int:
    headers = {"Authorization": token, "Content-Type": "application/webhook+json"}
    async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False, verify=tls_context()) as http:
        return (await http.post(url, content=body, headers=headers)).status_code


async def try_sip(address: str, waits: Sequence[float] = RESEND_SECONDS) -> Finding:
    """Check whether SIP is answered at that address."""
    if "transport=t" in address or address.startswith("sips:"):
        return Finding(_SIP, "not checked", f"{address} does not use UDP, and the doctor tries only UDP")
    host, port = host_and_port(address)
    try:
        status = await ask_options(host, port, waits)
    except OSError as error:
        return Finding(_SIP, "wrong", f"{address} cannot be reached: {type(error).__name__}", why(error))
    if status is None:
        said = f"{address} did not answer OPTIONS over UDP within {sum(waits):g} seconds"
        if host.endswith(".livekit.cloud"):
            return Finding(_SIP, "warning", said, "LiveKit Cloud may ignore OPTIONS: try a call.")
        advice = f"Check that LiveKit SIP runs and UDP port {port} is open. Behind a router, try from outside."
        return Finding(_SIP, "wrong", said, advice)
    return Finding(_SIP, "ok", f"{address} answers OPTIONS ({status})")
