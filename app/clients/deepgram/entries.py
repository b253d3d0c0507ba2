"""What the registry offers of Deepgram: its two families of models that hear, and Aura, which speaks."""

from dataclasses import replace

from app.clients.deepgram.client import DeepgramOptions, DeepgramSTTClient
from app.clients.deepgram.languages import DETECT, FLUX_LANGUAGES
from app.clients.deepgram.messages import PROVIDER
from app.clients.deepgram.speak import DeepgramTTSClient, aura_voice
from app.clients.entry import ClientSetup, SttEntry, TtsEntry, key_of
from app.models import base_language
from app.ports.vendors import SttOptions, TtsOptions
from app.settings import Settings
from media.formats import AudioFormat

_FLUX, _NOVA = "flux-general-multi", "nova-3"
"""Which models stand in."""


def _make(setup: ClientSetup, options: SttOptions, audio_format: AudioFormat) -> DeepgramSTTClient:
    settings = setup.settings
    return DeepgramSTTClient(
        api_key=key_of(settings.deepgram_api_key),
        base_url=settings.deepgram_base_url,
        audio_format=audio_format,
        options=DeepgramOptions(
            model=options.model,
            language=options.language,
            language_hints=_known_hints(options),
            eager_eot_threshold=settings.eager_eot_threshold or None,
            eot_threshold=settings.eot_threshold,
            keyterms=settings.keyterms,
        ),
        prices=setup.prices,
        retry=setup.retry,
        observer=setup.observer,
        limiter=setup.limiters.of("deepgram-listen", PROVIDER, concurrent=settings.deepgram_sockets),
    )


def _known_hints(options: SttOptions) -> tuple[str, ...]:
    """The hints without those in languages that Flux does not know."""
    hints = options.language_hints
    return (
        hints
        if not options.model.startswith("flux-")
        else tuple(hint for hint in hints if base_language(hint) in FLUX_LANGUAGES)
    )


def _flux(options: SttOptions) -> SttOptions | None:
    spoken = base_language(options.language)
    knows = options.language == DETECT or spoken in FLUX_LANGUAGES
    return replace(options, model=_FLUX, vendor=None) if knows else None


def _nova(options: SttOptions) -> SttOptions:
    language = DETECT if len(options.language_hints) > 1 else options.language  # Flux hears them all, too
    return replace(options, model=_NOVA, vendor=None, language=language)


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


def _is_nova(model: str, _settings: Settings) -> bool:
    """Any other name, because self-hosted models have names of their own; but none that is known to be another's."""
    return not model.startswith(("flux-", "ink-"))


ENTRIES = (
    SttEntry("deepgram-flux", serves=_is_flux, make=_make, fallback_options=_flux, late_seconds=0.7),
    SttEntry(
        "deepgram-nova",
        serves=_is_nova,
        make=_make,
        fallback_options=_nova,
        late_seconds=1.2,
    ),
    TtsEntry(
        "deepgram-aura",
        serves=lambda model, _settings: model.startswith("aura-"),
        make=_make_aura,
        fallback_voice=aura_voice,
    ),
)
