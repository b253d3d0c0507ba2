"""Probes a SIP address: ``OPTIONS`` over UDP (RFC 3261, 11), sent again until it is answered."""

import asyncio
import re
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress

RESEND_SECONDS = (0.5, 1.0, 1.0, 1.5)
"""The wait after each sending. Their sum is the time that an answer may take."""
_STATUS_LINE = re.compile(rb"SIP/2\.0 (\d{3}) ")
_DEFAULT_PORT = 5060


def host_and_port(address: str) -> tuple[str, int]:
    """Host and port of ``sip:host`` or ``sip:host:port``, with or without parameters."""
    host, _, port = address.partition(";")[0].removeprefix("sip:").removeprefix("sips:").partition(":")
    return host, int(port) if port else _DEFAULT_PORT


async def ask_options(host: str, port: int, waits: Sequence[float] = RESEND_SECONDS) -> int | None:
    """The status of the answer; None if none came in time. Raises OSError if nothing can be sent."""
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_datagram_endpoint(
        _Listener, remote_addr=(host, port), family=socket.AF_INET
    )
    try:
        message = options_request(host, port, transport.get_extra_info("sockname")[:2], secrets.token_hex(8))
        for wait in waits:
            transport.sendto(message)
            with suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(listener.answer), wait)
        return None
    finally:
        transport.close()
        await listener.closed


def options_request(host: str, port: int, local: tuple[str, int], token: str) -> bytes:
    """The request. ``token`` makes it unique."""
    here = f"{local[0]}:{local[1]}"
    lines = (
        f"OPTIONS sip:{host}:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP {here};branch=z9hG4bK{token};rport",
        "Max-Forwards: 70",
        f"From: <sip:doctor@{here}>;tag={token}",
        f"To: <sip:{host}:{port}>",
        f"Call-ID: {token}@{local[0]}",
        "CSeq: 1 OPTIONS",
        f"Contact: <sip:doctor@{here}>",
        "Accept: application/sdp",
        "User-Agent: voice-agent",
        "Content-Length: 0",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


class _Listener(asyncio.DatagramProtocol):
    """Waits for the final answer. A provisional one (1xx) does not count."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[int] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        found = _STATUS_LINE.match(data)
        if found and not found[1].startswith(b"1") and not self.answer.done():
            self.answer.set_result(int(found[1]))

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.answer.cancel()
        self.closed.set_result(None)
