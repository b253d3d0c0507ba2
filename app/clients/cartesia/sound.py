"""Checks audio from Cartesia: removes a WAV header, refuses text and other formats.

We request raw audio. A proxy, a gateway or a bug of the vendor may put a header before it, or send an error as audio,
which the caller would hear as a click or as noise.
"""

import struct

from app.clients.cartesia.messages import PROVIDER
from app.errors import WrongSound
from media.formats import AudioFormat

_TEXT_BYTES_MIN = 32
"""Shorter pieces are too short to judge, and to be heard."""
_TEXT_BYTES_READ = 256
_TEXT_LETTERS_MIN = 6
"""How many different characters text must have; silence may repeat a single byte."""
_HEADER_BYTES_MAX = 4096
_WAV_CODES = {"pcm_s16le": 1, "mulaw": 7}
_EXTENSIBLE = 0xFFFE
_CONTAINERS = (b"OggS", b"ID3", b"fLaC", b"\x1aE\xdf\xa3", b"FORM")


class SoundReader:
    """Reads the audio of one context in pieces of any size; returns whole samples."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._head = b""
        """The first bytes, while they are or may be an incomplete header."""
        self._has_begun = False
        self._half_sample = b""

    def take(self, piece: bytes) -> bytes:
        """The samples of the next piece. Raises WrongSound."""
        if not piece:
            return b""
        if self._head or _is_header(piece) or (not self._has_begun and _may_be_header(piece)):
            piece = self._without_header(self._head + piece)
            if not piece:
                return b""
        _refuse_text(piece)
        if not self._has_begun and piece.startswith(_CONTAINERS):
            raise WrongSound(PROVIDER, "a file instead of raw sound")
        self._has_begun = True
        piece = self._half_sample + piece
        whole = self._format.samples(piece) * self._format.sample_bytes
        self._half_sample = piece[whole:]
        return piece[:whole]

    def _without_header(self, piece: bytes) -> bytes:
        """The bytes after the header; while the header is incomplete, nothing, and the piece is kept."""
        self._head = b""
        if not _is_header(piece):
            if not _may_be_header(piece):
                return piece
            self._head = piece
            return b""
        at = 12
        while at + 8 <= len(piece):
            name, size = piece[at : at + 4], struct.unpack_from("<I", piece, at + 4)[0]
            if name == b"data":
                return piece[at + 8 :]
            if name == b"fmt " and at + 24 <= len(piece):
                self._check(piece[at + 8 : at + 24])
            at += 8 + size + size % 2
        if max(at, len(piece)) > _HEADER_BYTES_MAX:
            raise WrongSound(PROVIDER, "a WAV header without an end")
        self._head = piece
        return b""

    def _check(self, described: bytes) -> None:
        code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", described)
        wanted = (self._format.sample_rate, 1, 8 * self._format.sample_bytes)
        if (rate, channels, bits) != wanted or code not in (_WAV_CODES[self._format.encoding], _EXTENSIBLE):
            raise WrongSound(PROVIDER, f"sound of another format: code {code}, {rate} Hz, {channels} x {bits} bits")


def _is_header(piece: bytes) -> bool:
    return len(piece) >= 12 and piece.startswith(b"RIFF") and piece[8:12] == b"WAVE"


def _may_be_header(piece: bytes) -> bool:
    return b"RIFF".startswith(piece[:4]) and (len(piece) < 12 or piece[8:12] == b"WAVE")


def _refuse_text(piece: bytes) -> None:
    """Raise WrongSound for printable text. Audio has samples of both signs and all sizes, and never reads as text."""
    if len(piece) < _TEXT_BYTES_MIN:
        return
    beginning = piece[:_TEXT_BYTES_READ]
    for cut in range(4):  # the last character may be cut in the middle of its bytes
        try:
            text = beginning[: len(beginning) - cut].decode()
        except UnicodeDecodeError:
            continue
        is_text = all(letter.isprintable() or letter in "\r\n\t" for letter in text)
        if is_text and len(set(text)) >= _TEXT_LETTERS_MIN:
            raise WrongSound(PROVIDER, "text instead of sound")
        return
