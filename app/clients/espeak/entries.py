"""What the registry offers of eSpeak NG, where it is installed."""

import shutil

from app.clients.entry import ClientSetup, TtsEntry
from app.clients.espeak.client import PROGRAM, EspeakClient, local_voice
from app.ports.vendors import TtsOptions
from app.settings import Settings


def _make(setup: ClientSetup, _options: TtsOptions) -> EspeakClient:
    return EspeakClient(retry=setup.retry, observer=setup.observer)


def _is_installed(_settings: Settings) -> bool:
    return shutil.which(PROGRAM) is not None


ENTRIES = (
    TtsEntry(
        "espeak",
        serves=lambda model, _settings: model == PROGRAM,
        make=_make,
        fallback_voice=local_voice,
        is_available=_is_installed,
    ),
)
