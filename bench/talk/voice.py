"""The callers' voice: what the lines say, with their pauses."""

import re

from sandbox.vendors.voice import Speech, SpokenWord, synthesize

PAUSE = re.compile(r"\[(\d+\.\d+)\]")
"""A pause in a text, in seconds."""


def speak(text: str, language: str, sample_rate: int) -> Speech:
    """Speak the text; ``[0.7]`` is a pause of that many seconds."""
    pcm = b""
    words: list[SpokenWord] = []
    for index, part in enumerate(PAUSE.split(text)):
        if index % 2:
            pcm += bytes(2 * round(float(part) * sample_rate))
            continue
        spoken = synthesize(part.strip(), language, sample_rate)
        at = len(pcm) / 2 / sample_rate
        words += [SpokenWord(word.text, at + word.start, at + word.end) for word in spoken.words]
        pcm += spoken.pcm
    return Speech(pcm, tuple(words))
