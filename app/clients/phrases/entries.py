"""What the registry offers of the standard lines."""

from app.clients.entry import ClientSetup, TtsEntry
from app.clients.phrases.client import PhrasesClient, packaged_voice
from app.ports.vendors import TtsOptions


def _make(setup: ClientSetup, _options: TtsOptions) -> PhrasesClient:
    return PhrasesClient(retry=setup.retry, observer=setup.observer)


ENTRIES = (TtsEntry("phrases", serves=lambda _model, _settings: False, make=_make, fallback_voice=packaged_voice),)
