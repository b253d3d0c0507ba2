"""A stand-in for the program ``espeak-ng`` on machines without it, with the options that the service uses.

``python -m sandbox.vendors.espeak_program -v ru -s 160 -b 1 --stdin --stdout`` reads a text and writes a WAV file whose
header has no length, as espeak-ng(1) does.
"""

import argparse
import struct
import sys
from pathlib import Path

from sandbox.vendors.voice import synthesize

_RATE = 22050
_WORDS_PER_MINUTE = 175
_NO_LENGTH = 0x7FFFF000


def main() -> None:
    """Read the text from the standard input and write its sound to the standard output."""
    parser = argparse.ArgumentParser(prog="espeak-ng")
    parser.add_argument("-v", dest="voice", default="en")
    parser.add_argument("-s", dest="speed", type=int, default=_WORDS_PER_MINUTE)
    parser.add_argument("-b", dest="encoding", type=int, choices=[1], default=1)
    parser.add_argument("--stdin", action="store_true", required=True)
    parser.add_argument("--stdout", action="store_true", required=True)
    options = parser.parse_args()
    text = sys.stdin.buffer.read().decode()
    language = options.voice.partition("-")[0]
    sound = synthesize(text, language, _RATE, options.speed / _WORDS_PER_MINUTE).pcm
    layout = struct.pack("<HHIIHH", 1, 1, _RATE, _RATE * 2, 2, 16)
    head = b"RIFF" + struct.pack("<I", _NO_LENGTH + 36) + b"WAVEfmt " + struct.pack("<I", len(layout)) + layout
    sys.stdout.buffer.write(head + b"data" + struct.pack("<I", _NO_LENGTH) + sound)


def install(folder: Path) -> Path:
    """Put the stand-in into the folder as ``espeak-ng``. Returns its path."""
    program = folder / "espeak-ng"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sandbox.vendors.espeak_program "$@"\n')
    program.chmod(0o755)
    return program


if __name__ == "__main__":
    main()
