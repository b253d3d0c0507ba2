"""The sentence that a probe has a recogniser hear."""

from app.clients.phrases.archive import LANGUAGES, sound
from app.conversation.policy import CallPolicy
from media.formats import AudioFormat
from media.resample import Converter

_PACKAGED = AudioFormat("mulaw", 8000)
_LANGUAGE = "en"
"""Any speech will do for a recogniser of another language."""


def sentence(language: str, audio_format: AudioFormat) -> bytes:
    """The standard goodbye in that language, or in English, as sound. Reads a file."""
    code = language if language in LANGUAGES else _LANGUAGE
    return Converter(_PACKAGED, audio_format).convert(sound(code, CallPolicy().lines[code].goodbye) or b"")
