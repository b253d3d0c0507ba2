"""What the registry offers of Deepgram: its two families of models that hear, and Aura, which speaks."""

from app.clients.deepgram.client import DeepgramOptions, DeepgramSTTClient
from app.clients.deepgram.messages import PROVIDER
from app.clients.deepgram.speak import DeepgramTTSClient, aura_voice
from app.clients.entry import ClientSetup, SttEntry, TtsEntry, key_of
from app.ports.vendors import SttOptions, TtsOptions
from app.settings import Settings
from media.formats import AudioFormat


def _make(setup: ClientSetup, options: SttOptions, audio_format: AudioFormat) -> DeepgramSTTClient:
    settings = setup.settings
    return DeepgramSTTClient(
        api_key=key_of(settings.deepgram_api_key),
        base_url=settings.deepgram_base_url,
        audio_format=audio_format,
        options=DeepgramOptions(
            model=options.model,
            language=options.language,
            language_hints=options.language_hints,
            eager_eot_threshold=settings.eager_eot_threshold or None,
            eot_threshold=settings.eot_threshold,
            keyterms=settings.keyterms,
        ),
        prices=setup.prices,
        retry=setup.retry,
        observer=setup.observer,
        limiter=setup.limiters.of("deepgram-listen", PROVIDER, concurrent=settings.deepgram_sockets),
    )


def _make_aura(setup: ClientSetup, _options: TtsOptions) -> DeepgramTTSClient:
    return DeepgramTTSClient(
        api_key=key_of(setup.settings.deepgram_api_key),
        base_url=setup.settings.deepgram_base_url,
        prices=setup.prices,
        retry=setup.retry,
        observer=setup.observer,
        limiter=setup.limiters.of("deepgram-speak", PROVIDER),
    )


def _is_flux(model: str, _settings: Settings) -> bool:
    return model.startswith("flux-")


ENTRIES = (
    SttEntry("deepgram-flux", serves=_is_flux, make=_make),
    SttEntry("deepgram-nova", serves=lambda model, settings: not _is_flux(model, settings), make=_make),
    TtsEntry(
        "deepgram-aura",
        serves=lambda model, _settings: model.startswith("aura-"),
        make=_make_aura,
        stand_in_voice=aura_voice,
    ),
)
