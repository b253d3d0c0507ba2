"""Cartesia's entries of the registry: its websocket, and one HTTP request for each text."""

from typing import TypeVar

from app.clients.cartesia.client import CartesiaOptions, CartesiaTTSClient
from app.clients.cartesia.messages import PROVIDER
from app.clients.cartesia.over_http import CartesiaHttpClient
from app.clients.entry import ClientSetup, TtsEntry, key_of
from app.ports.vendors import TtsOptions

_Client = TypeVar("_Client", bound=CartesiaTTSClient)


def _make(client: type[_Client], setup: ClientSetup) -> _Client:
    settings = setup.settings
    return client(
        api_key=key_of(settings.cartesia_api_key),
        base_url=settings.cartesia_base_url,
        options=CartesiaOptions(pronunciation_dict_id=settings.tts_pronunciations),
        prices=setup.prices,
        retry=setup.retry,
        observer=setup.observer,
        limiter=setup.limiters.of("cartesia", PROVIDER, concurrent=settings.cartesia_contexts),
    )


def _socket(setup: ClientSetup, _options: TtsOptions) -> CartesiaTTSClient:
    return _make(CartesiaTTSClient, setup)


def _http(setup: ClientSetup, _options: TtsOptions) -> CartesiaHttpClient:
    return _make(CartesiaHttpClient, setup)


ENTRIES = (
    TtsEntry("cartesia-websocket", serves=lambda _model, _settings: True, make=_socket),
    TtsEntry("cartesia-http", serves=lambda _model, _settings: False, make=_http),
)
