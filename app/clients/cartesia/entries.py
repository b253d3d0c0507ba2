"""Cartesia's entries of the registry: speech by websocket, speech by one HTTP request a text, and ink-whisper."""

from dataclasses import replace
from typing import TypeVar

from app.clients.cartesia.client import CartesiaOptions, CartesiaTTSClient
from app.clients.cartesia.messages import PROVIDER, SONIC_LANGUAGES
from app.clients.cartesia.over_http import CartesiaHttpClient
from app.clients.cartesia.stt_client import CartesiaSTTClient
from app.clients.cartesia.stt_messages import InkOptions
from app.clients.entry import ClientSetup, SttEntry, TtsEntry, key_of
from app.models import base_language
from app.ports.vendors import SttOptions, TtsOptions
from media.formats import AudioFormat

_DETECT = "multi"
_WHISPER = "ink-whisper"
_SONIC = "sonic"
_Client = TypeVar("_Client", bound=CartesiaTTSClient)


def _make(client: type[_Client], setup: ClientSetup, options: TtsOptions) -> _Client:
    settings = setup.settings
    languages = SONIC_LANGUAGES if options.model.startswith(_SONIC) else None  # a compatible server has its own models
    return client(
        api_key=key_of(settings.cartesia_api_key),
        base_url=settings.cartesia_base_url,
        options=CartesiaOptions(languages=languages, pronunciation_dict_id=settings.tts_pronunciations),
        prices=setup.prices,
        retry=setup.retry,
        observer=setup.observer,
        limiter=setup.limiters.of("cartesia", PROVIDER, concurrent=settings.cartesia_contexts),
    )


def _socket(setup: ClientSetup, options: TtsOptions) -> CartesiaTTSClient:
    return _make(CartesiaTTSClient, setup, options)


def _http(setup: ClientSetup, options: TtsOptions) -> CartesiaHttpClient:
    return _make(CartesiaHttpClient, setup, options)


def _ink(setup: ClientSetup, options: SttOptions, audio_format: AudioFormat) -> CartesiaSTTClient:
    settings = setup.settings
    detects = options.language == _DETECT
    language = base_language(options.likely_language if detects else options.language)
    is_any = detects or len(options.language_hints) > 1
    return CartesiaSTTClient(
        api_key=key_of(settings.cartesia_api_key),
        base_url=settings.cartesia_base_url,
        audio_format=audio_format,
        options=InkOptions(options.model, language, is_any),
        prices=setup.prices,
        retry=setup.retry,
        observer=setup.observer,
        limiter=setup.limiters.of("cartesia-listen", PROVIDER),
    )


def _whisper(options: SttOptions) -> SttOptions:
    return replace(options, model=_WHISPER, vendor=None)


ENTRIES = (
    SttEntry(
        "cartesia-whisper",
        serves=lambda model, _settings: model.startswith(_WHISPER),
        make=_ink,
        fallback_options=_whisper,
        late_seconds=6.0,  # it need not send anything before a pause
    ),
    TtsEntry("cartesia-websocket", serves=lambda _model, _settings: True, make=_socket),
    TtsEntry("cartesia-http", serves=lambda _model, _settings: False, make=_http),
)
