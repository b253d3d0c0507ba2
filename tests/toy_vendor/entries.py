"""What the registry offers of the toy vendor."""

from functools import partial

from app.clients.entry import Entry, LlmEntry, SttEntry, TtsEntry
from app.settings import Settings
from tests.toy_vendor.clients import ToyLLM, ToySTT, ToyTTS


def entries(provider: str = "toy") -> tuple[Entry, ...]:
    """Models of that vendor begin with its name."""

    def serves(model: str, _settings: Settings) -> bool:
        return model.startswith(f"{provider}-")

    return (
        SttEntry(f"{provider}-hear", serves, partial(ToySTT, provider)),
        LlmEntry(f"{provider}-think", serves, partial(ToyLLM, provider)),
        TtsEntry(f"{provider}-speak", serves, partial(ToyTTS, provider)),
    )


ENTRIES = entries()
