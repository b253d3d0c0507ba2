"""Writes the sound of the agent's standard lines, which the package brings, by the sandbox's voice.

Run it when a line of ``app/conversation/policy.py`` changes: ``python -m bench.make_phrases``. It needs eSpeak NG as
the ``sandbox`` extra brings it.
"""

from dataclasses import astuple, replace

from app.clients.phrases.archive import write
from app.conversation.policy import DISCLOSURES, NOTICES, CallPolicy, Lines
from app.speech_text.verbalize import speakable
from media.g711 import pcm_to_mulaw
from sandbox.vendors.espeak import load_espeak
from sandbox.vendors.voice import synthesize

_RATE = 8000


def texts(lines: Lines, language: str) -> list[str]:
    """The lines as a voice is given them, with the standard disclosure and notice, alone and together."""
    opening = replace(lines, disclosure=DISCLOSURES[language], notice=NOTICES[language])
    said = [text for value in astuple(opening) for text in ((value,) if isinstance(value, str) else value)]
    said = [text for text in said if text not in (opening.keypad_option, opening.keypad_human)]  # parts of a sentence
    return [speakable(text, language).text.strip() for text in (*said, opening.opening)]


def main() -> None:
    """Write the archives, and say how large they are."""
    if load_espeak() is None:
        raise SystemExit("eSpeak NG is not here: pip install '.[sandbox]'")
    for language, lines in CallPolicy().lines.items():
        sounds = {text: pcm_to_mulaw(synthesize(text, language, _RATE).pcm) for text in texts(lines, language)}
        path = write(language, sounds)
        print(f"{path}: {len(sounds)} lines, {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
