"""eSpeak NG through its C interface (``speak_lib.h``), synchronous and with word events."""

import ctypes
import importlib.util
from functools import cache
from typing import NamedTuple

import numpy as np

from sandbox.vendors.encodings import Samples

_OUTPUT_SYNCHRONOUS = 2
_BUFFER_MS = 200
_EVENT_END = 0
_EVENT_WORD = 1
_UTF8 = 1
_PARAMETER_RATE = 1
_WORDS_PER_MINUTE = 175
_OK = 0
_VOICES = {"en": "en-us"}
_FALLBACK_VOICE = "en-us"


class Mark(NamedTuple):
    """The beginning of a word: the index of its first character in the text, and seconds since the first sample."""

    position: int
    at: float


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """The library. It has one global state for the process: it is not thread-safe, and only one instance may exist."""

    def __init__(self, library: ctypes.CDLL, data_path: str) -> None:
        self._library = library
        self.sample_rate: int = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data_path.encode(), 0)
        """Hertz."""
        self._pieces: list[bytes] = []
        self._marks: list[Mark] = []
        self._callback = _Callback(self._receive)  # the library keeps only a bare pointer to it
        library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, language: str, speed: float) -> tuple[Samples, list[Mark]]:
        """Synthesize the text; returns its samples and the marks of its words, in the order they are spoken."""
        voice = _VOICES.get(language, language)
        if self._library.espeak_SetVoiceByName(voice.encode()) != _OK:
            self._library.espeak_SetVoiceByName(_FALLBACK_VOICE.encode())
        self._library.espeak_SetParameter(_PARAMETER_RATE, int(_WORDS_PER_MINUTE * speed), 0)
        self._pieces, self._marks = [], []
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
        return np.frombuffer(b"".join(self._pieces), np.int16), self._marks

    def _receive(self, wave: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        if count:
            self._pieces.append(ctypes.string_at(wave, count * 2))
        index = 0
        while events[index].type != _EVENT_END:
            event = events[index]
            if event.type == _EVENT_WORD:
                self._marks.append(Mark(event.text_position - 1, event.audio_position / 1000))
            index += 1
        return 0


@cache
def load_espeak() -> Espeak | None:
    """Load the library; None if ``espeakng_loader`` is not installed."""
    if importlib.util.find_spec("espeakng_loader") is None:
        return None
    import espeakng_loader

    return Espeak(ctypes.CDLL(espeakng_loader.get_library_path()), espeakng_loader.get_data_path())
