"""Sends webhooks to the operator's endpoints, signed as https://www.standardwebhooks.com says.

The operator chooses an endpoint's address in the settings and the agents' files, but its name is resolved by the
DNS of others. So the sender resolves the name itself, refuses an address that is not public, and connects to the very
address that it has checked: a name that changes its answer between the check and the connection gains nothing. TLS
still verifies the name. No connection is kept, because kept ones are found by their address and not by their name.
"""

import asyncio
import hashlib
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import httpx2
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from app.clients.http_tools import shown_address
from app.clients.rate_limit_headers import retry_after_seconds
from app.clients.tls import tls_context
from app.models import CALL_EVENTS, CallEvent

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Gives all addresses of a host, and may block. Raises OSError."""

_SECONDS = 10.0
_CONNECT_SECONDS = 3.0
_ADDRESSES = 3
"""Of a host, tried one after another until one accepts a connection."""
_GONE = 410
_LOOKUPS = 4
"""Names that one endpoint may look up at once; a lookup cannot be cancelled."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_BITS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where webhooks go, and which."""

    url: str
    secrets: tuple[SecretStr, ...]
    """Each begins with ``whsec_``. While a secret is replaced there are two, and messages have both signatures."""
    events: frozenset[CallEvent] = frozenset(CALL_EVENTS)
    has_transcript: bool = False
    """Whether the messages say what was said."""
    agent: str | None = None
    """The agent whose calls it hears of; None: those of all calls."""

    @property
    def endpoint_id(self) -> str:
        """The same in all processes, and after a restart."""
        return hashlib.sha256(f"{self.agent or ''}\n{self.url}".encode()).hexdigest()[:16]

    @property
    def shown(self) -> str:
        """The address without the values of its query."""
        return shown_address(self.url)


@dataclass(frozen=True, slots=True)
class SendResult:
    """What came of an attempt."""

    status: int | None = None
    """Of HTTP; None without an answer."""
    error: str | None = None
    """What was wrong; None if the endpoint has taken the message."""
    retry_after: float | None = None
    """Seconds that the endpoint asked to wait."""

    @property
    def is_gone(self) -> bool:
        """Whether the endpoint wants no more messages."""
        return self.status == _GONE


class _Refused(Exception):
    """The message is not sent there."""


def is_public(address: IpAddress) -> bool:
    """Whether an address is on the public internet, and so is the IPv4 address that it may contain."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & _IPV4_BITS)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:  # of old private networks, and global to Python
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _look_up(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(slots=True)
class WebhookSender:
    """Sends messages, each on a connection of its own. Follows no redirects; the environment's proxies do not apply."""

    allow_private: bool
    """Whether endpoints may be in private networks, or on this machine."""
    https_only: bool
    resolve: Resolve = _look_up
    may_connect: Callable[[IpAddress], bool] = is_public
    """Not asked with ``allow_private``."""
    seconds: float = _SECONDS
    """For the whole attempt."""
    _lookups: dict[str, ThreadPoolExecutor] = field(default_factory=dict)
    """By endpoint: a name server that hangs holds up no other endpoint."""
    _http: httpx2.AsyncClient | None = None

    async def send(
        self,
        endpoint: WebhookEndpoint,
        message_id: str,
        body: str,
        now: datetime,
        headers: Mapping[str, str] | None = None,
    ) -> SendResult:
        """Send a message once, with more ``headers``. Never raises for what an endpoint or its network does."""
        try:
            async with asyncio.timeout(self.seconds):
                signed = self._signed(endpoint, message_id, body, now)
                return await self._post(endpoint, {**(headers or {}), **signed}, body)
        except TimeoutError:
            return SendResult(error=f"no answer within {self.seconds:g} s")
        except _Refused as refused:
            return SendResult(error=str(refused))
        except httpx2.HTTPError as error:
            return SendResult(error=f"the connection failed: {type(error).__name__}")

    def forget(self, endpoint_id: str) -> None:
        """Release what is kept for an endpoint that is gone."""
        lookups = self._lookups.pop(endpoint_id, None)
        if lookups is not None:
            lookups.shutdown(wait=False, cancel_futures=True)

    async def aclose(self) -> None:
        """Close everything."""
        for endpoint_id in list(self._lookups):
            self.forget(endpoint_id)
        if self._http is not None:
            await self._http.aclose()

    def _signed(self, endpoint: WebhookEndpoint, message_id: str, body: str, now: datetime) -> dict[str, str]:
        signatures = [Webhook(secret.get_secret_value()).sign(message_id, now, body) for secret in endpoint.secrets]
        return {
            "Content-Type": "application/json",
            "User-Agent": "voice-agent",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

    async def _post(self, endpoint: WebhookEndpoint, headers: dict[str, str], body: str) -> SendResult:
        url = httpx2.URL(endpoint.url)
        if self.https_only and url.scheme != "https":
            raise _Refused("the address does not begin with https://")
        addresses = await self._addresses(endpoint, url)
        for address in addresses[:-1]:
            with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                return await self._post_to(address, url, headers, body)
        return await self._post_to(addresses[-1], url, headers, body)

    async def _post_to(self, address: IpAddress, url: httpx2.URL, headers: dict[str, str], body: str) -> SendResult:
        request = self._client().build_request(
            "POST",
            url.copy_with(host=str(address)),
            headers={**headers, "Host": url.netloc.decode("ascii")},
            content=body.encode(),
            extensions={
                "sni_hostname": url.raw_host.decode("ascii"),
                "timeout": {"connect": _CONNECT_SECONDS},
            },
        )
        response = await self._client().send(request, stream=True)
        await response.aclose()  # what it says beside its status is of no interest
        return _result(response)

    async def _addresses(self, endpoint: WebhookEndpoint, url: httpx2.URL) -> list[IpAddress]:
        """The addresses to connect to. Raises _Refused when any address of the host is not one to connect to."""
        lookups = self._lookups.get(endpoint.endpoint_id)
        if lookups is None:
            lookups = self._lookups[endpoint.endpoint_id] = ThreadPoolExecutor(_LOOKUPS, "webhooks.lookup")
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await asyncio.get_running_loop().run_in_executor(lookups, self.resolve, url.host, port)
            addresses = [ipaddress.ip_address(written.partition("%")[0]) for written in found]
        except (OSError, UnicodeError, ValueError):
            raise _Refused("the name of the host is not known") from None
        if not addresses:
            raise _Refused("the name of the host is not known")
        if not self.allow_private and not all(map(self.may_connect, addresses)):
            raise _Refused("the host is in a private network, and WEBHOOK_ALLOW_PRIVATE is not set")
        return list(dict.fromkeys(addresses))[:_ADDRESSES]

    def _client(self) -> httpx2.AsyncClient:
        if self._http is None:
            self._http = httpx2.AsyncClient(
                verify=tls_context(),
                timeout=None,  # every request has its own deadline
                follow_redirects=False,
                trust_env=False,
                limits=httpx2.Limits(max_keepalive_connections=0),
            )
        return self._http


def _result(response: httpx2.Response) -> SendResult:
    status = response.status_code
    if response.is_success:
        return SendResult(status)
    what = "; redirects are not followed" if response.has_redirect_location else ""
    return SendResult(status, f"answered {status}{what}", retry_after_seconds(response.headers.get("retry-after")))
