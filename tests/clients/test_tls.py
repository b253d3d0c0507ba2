"""Whom the service trusts."""

import ssl
from pathlib import Path

import pytest

from app.clients.cartesia.client import CartesiaTTSClient
from app.clients.deepgram.client import DeepgramSTTClient
from app.clients.http_tools import tool_connections
from app.clients.openai.connections import OpenAIConnections
from app.clients.tls import tls_context, tls_for
from media.formats import AudioFormat


def test_strangers_are_not_trusted() -> None:
    context = tls_context()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    ("url", "encrypted"),
    [("wss://api.example.org", True), ("https://example.org", True), ("ws://127.0.0.1:1", False), ("http://x", False)],
)
def test_all_that_is_encrypted_shares_one_context(url: str, encrypted: bool) -> None:
    assert tls_for(url) is (tls_context() if encrypted else None)


async def test_the_clients_read_the_authorities_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tls_context()
    for way in ("load_verify_locations", "load_default_certs", "set_default_verify_paths"):
        monkeypatch.setattr(ssl.SSLContext, way, _must_not_be_called)
    access = {"api_key": "key", "base_url": "https://vendor.example.org"}

    clients = (
        DeepgramSTTClient(**access, audio_format=AudioFormat("mulaw", 8000)),
        OpenAIConnections(**access, connect_seconds=1, keepalive_seconds=1),
        CartesiaTTSClient(**access),
        tool_connections(),
    )

    for client in clients:
        await client.aclose()


def test_the_operator_may_name_the_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))

    with pytest.raises(FileNotFoundError):
        tls_context.__wrapped__()


def _must_not_be_called(*_: object, **__: object) -> None:
    raise AssertionError("the authorities are read again")
