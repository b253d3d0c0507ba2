import asyncio
import base64
import ipaddress
import ssl
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.clients.webhook_sender import SendResult, WebhookEndpoint, WebhookSender, is_public
from app.clock import utc_now
from tests.support.tool_endpoint import Says, tool_endpoint

OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))
BODY = '{"type": "call.ended", "data": {"text": "Да, ёж"}}'


def an_endpoint(url: str, *secrets: str) -> WebhookEndpoint:
    return WebhookEndpoint(url, tuple(map(SecretStr, secrets or (NEW,))))


async def send(sender: WebhookSender, endpoint: WebhookEndpoint, *, ago: float = 0.0) -> SendResult:
    try:
        return await sender.send(endpoint, "msg_1", BODY, utc_now() - timedelta(seconds=ago))
    finally:
        await sender.aclose()


def to_loopback(**options: Any) -> WebhookSender:
    return WebhookSender(**{"allow_private": True, "https_only": False} | options)


@pytest.mark.parametrize("secret", [OLD, NEW])
async def test_a_message_verifies_with_either_secret_while_one_replaces_the_other(secret: str) -> None:
    async with tool_endpoint(Says(status=204)) as receiver:
        result = await send(to_loopback(), an_endpoint(f"{receiver.url}/calls?tenant=7", OLD, NEW))
        request = receiver.asked[0]

    assert result == SendResult(204)
    assert Webhook(secret).verify(request.body, request.headers)["data"] == {"text": "Да, ёж"}
    assert (request.method, request.path, request.query) == ("POST", "/calls", [("tenant", "7")])
    assert (request.headers["webhook-id"], request.headers["content-type"]) == ("msg_1", "application/json")


async def test_another_secret_or_an_old_message_does_not_verify() -> None:
    async with tool_endpoint() as receiver:
        await send(to_loopback(), an_endpoint(receiver.url, OLD))
        await send(to_loopback(), an_endpoint(receiver.url), ago=400)
        other, old = receiver.asked

    for request in (other, old):
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(request.body, request.headers)


@pytest.mark.parametrize(
    ("says", "result"),
    [
        (Says(status=500), SendResult(500, "answered 500")),
        (Says(status=410), SendResult(410, "answered 410")),
        (Says(status=429, headers={"retry-after": "30"}), SendResult(429, "answered 429", 30.0)),
        (Says(status=404), SendResult(404, "answered 404")),
        (Says(cuts=True), SendResult(error="the connection failed: RemoteProtocolError")),
    ],
    ids=lambda value: str(value.status or "cut") if isinstance(value, Says) else "",
)
async def test_what_an_endpoint_answers_is_told(says: Says, result: SendResult) -> None:
    async with tool_endpoint(says) as receiver:
        assert await send(to_loopback(), an_endpoint(receiver.url)) == result


async def test_a_redirect_is_not_followed() -> None:
    async with tool_endpoint() as elsewhere:
        for status in (301, 302, 307, 308):
            async with tool_endpoint(Says(status=status, headers={"location": elsewhere.url})) as receiver:
                result = await send(to_loopback(), an_endpoint(receiver.url))

            assert result == SendResult(status, f"answered {status}; redirects are not followed")
        assert elsewhere.asked == []


async def test_an_endpoint_that_hangs_is_given_up() -> None:
    async with tool_endpoint(Says(after=60)) as receiver:
        result = await send(to_loopback(seconds=0.3), an_endpoint(receiver.url))

    assert result == SendResult(error="no answer within 0.3 s")


async def test_nobody_listens_there() -> None:
    async with tool_endpoint() as receiver:
        url = receiver.url

    assert await send(to_loopback(), an_endpoint(url)) == SendResult(error="the connection failed: ConnectError")


async def test_an_answer_of_any_size_is_not_read() -> None:
    async with tool_endpoint(Says(b"x" * 5_000_000)) as receiver:
        assert await send(to_loopback(), an_endpoint(receiver.url)) == SendResult(200)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_this_machine_is_refused_however_it_is_written(host: str) -> None:
    async with tool_endpoint() as receiver:
        url = receiver.url.replace("127.0.0.1", host)
        result = await send(to_loopback(allow_private=False), an_endpoint(url))

        assert result.error in (
            "the host is in a private network, and WEBHOOK_ALLOW_PRIVATE is not set",
            "the name of the host is not known",  # this resolver does not read it
        )
        assert receiver.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
        ("10.0.0.1", False), ("172.16.0.1", False), ("192.168.1.1", False), ("127.8.8.8", False), ("0.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False),
        ("198.18.0.1", False), ("::", False), ("::1", False), ("fe80::1", False), ("fd00::1", False),
        ("ff02::1", False), ("fec0::1", False),
        ("::ffff:10.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False), ("2001:db8::1", False),
    ],
)  # fmt: skip
def test_an_address_is_public_or_not(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


class LyingName:
    """A name whose answers change: the first is harmless, the next are this machine."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]]


def is_not_127_0_0_1(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return str(address) != "127.0.0.1"


async def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    name = LyingName("127.0.0.2", "127.0.0.1")
    async with tool_endpoint() as on_127_0_0_1:
        port = on_127_0_0_1.url.rpartition(":")[2]
        sender = to_loopback(allow_private=False, resolve=name, may_connect=is_not_127_0_0_1)
        first = await sender.send(an_endpoint(f"http://example.org:{port}/"), "msg_1", BODY, utc_now())
        then = await send(sender, an_endpoint(f"http://example.org:{port}/"))

        assert on_127_0_0_1.asked == []
    assert first == SendResult(error="the connection failed: ConnectError")  # nobody listens on 127.0.0.2
    assert then == SendResult(error="the host is in a private network, and WEBHOOK_ALLOW_PRIVATE is not set")
    assert name.asked == ["example.org", "example.org"]


async def test_a_host_with_one_private_address_among_its_public_ones_is_refused() -> None:
    async with tool_endpoint() as receiver:
        port = receiver.url.rpartition(":")[2]
        sender = to_loopback(
            allow_private=False,
            resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"],
            may_connect=is_not_127_0_0_1,
        )
        result = await send(sender, an_endpoint(f"http://example.org:{port}/"))

        assert (result.status, receiver.asked) == (None, [])


async def test_another_address_of_the_host_is_tried_when_nobody_answers_at_the_first() -> None:
    async with tool_endpoint() as receiver:
        port = receiver.url.rpartition(":")[2]
        sender = to_loopback(resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
        result = await send(sender, an_endpoint(f"http://calls.example.org:{port}/x"))

        assert result == SendResult(200)
        assert receiver.asked[0].headers["host"] == f"calls.example.org:{port}"


async def test_a_name_that_is_not_known_is_told() -> None:
    def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    for resolve in (unknown, lambda _host, _port: []):
        result = await send(to_loopback(resolve=resolve), an_endpoint("https://example.org/"))
        assert result == SendResult(error="the name of the host is not known")


async def test_plain_http_is_refused_where_https_is_asked_for() -> None:
    async with tool_endpoint() as receiver:
        result = await send(to_loopback(https_only=True), an_endpoint(receiver.url))

        assert result == SendResult(error="the address does not begin with https://")
        assert receiver.asked == []


async def test_tls_asks_for_the_name_and_not_for_the_address() -> None:
    asked: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: asked.set_result(name)

    async def closes(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(closes, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sender = to_loopback(resolve=lambda _host, _port: ["127.0.0.1"])
        result = await send(sender, an_endpoint(f"https://calls.example.org:{port}/"))

        assert await asked == "calls.example.org"
    assert result == SendResult(error="the connection failed: ConnectError")


def test_the_shown_address_has_no_values_and_the_id_tells_agents_apart() -> None:
    endpoint = an_endpoint("https://example.org/calls?key=secret")

    assert endpoint.shown == "https://example.org/calls?key=…"
    assert endpoint.endpoint_id == an_endpoint("https://example.org/calls?key=secret", OLD).endpoint_id
    assert endpoint.endpoint_id != WebhookEndpoint(endpoint.url, endpoint.secrets, agent="clinic").endpoint_id
