"""Prepared phrases: fixed lines as sound, ready at once, even when the TTS vendor is down."""

import asyncio
import fcntl
import hashlib
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import structlog

from app.calls.live.speech_track import SpeechTrack
from app.clock import utc_now
from app.errors import ProviderError, StorageError
from app.models import VoiceConfig
from app.observability.listeners import Listeners
from app.observability.outages import Outage
from app.ports.priority import Priority, requests_at
from app.ports.streams import SpokenWord, VoiceAudio, VoiceFailed, VoiceWords
from app.ports.vendors import TextToSpeech
from app.speech_text.verbalize import speakable
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_KEPT_IN_MEMORY = 256
_READ_SECONDS = 0.1
"""How long a call waits for a phrase from the disk. After that, the vendor says the line."""
_LOCK_SECONDS = 0.5
"""The time between two checks whether another process has prepared its phrases."""
_OLD_SECONDS = 24 * 3600.0
_WRITES_WAITING = 64
"""While the disk is slow, further phrases are kept in memory only."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text as sound, with the times of its words."""

    audio: bytes
    words: tuple[SpokenWord, ...]

    def play_on(self, track: SpeechTrack, text: str, voice: VoiceConfig) -> None:
        """Put the phrase on a track, which is then complete."""
        audio_format = AudioFormat(voice.encoding, voice.sample_rate)
        track.add_clause(text, speakable(text, voice.language))
        track.add_words(self.words, 0.0)
        track.add_audio(self.audio, audio_format.samples(self.audio))
        track.complete = True


class PhraseCache:
    """Phrases by text, voice and TTS vendor. All calls of the process share one cache.

    Without a directory, phrases are kept in memory only. The cache's own threads read and write the disk: no call
    waits for a write, and a read takes 0.1 s at most.
    """

    def __init__(self, directory: Path | None, *, on_spent: Callable[[str, float | None], None] | None = None) -> None:
        """``on_spent`` is called with the vendor and the cost in US dollars of what is voiced in advance."""
        self._directory = directory
        self._phrases: OrderedDict[str, Phrase] = OrderedDict()
        self._readers = ThreadPoolExecutor(2, "phrases")
        self._writer = ThreadPoolExecutor(1, "phrases.writer")
        self._writes = 0
        self._on_spent = Listeners("phrase.voiced", on_spent)
        self._outage = Outage("phrases.not_kept", "phrases.kept", level="warning")

    async def get(self, text: str, voice: VoiceConfig, tts: TextToSpeech) -> Phrase | None:
        """The phrase, or None."""
        key = _key(text, voice, tts)
        phrase = self._phrases.get(key)
        if phrase is None and self._directory is not None:
            phrase = await self._read(self._directory / key)
            if phrase is not None:
                self._remember(key, phrase)
        return phrase

    async def keep(self, text: str, voice: VoiceConfig, tts: TextToSpeech, track: SpeechTrack) -> None:
        """Keep the sound of a track that was made to keep it and has just been filled."""
        self._keep(text, voice, tts, Phrase(b"".join(track.kept_audio), tuple(track.kept_words)))

    async def prepare(self, texts: Iterable[str], voice: VoiceConfig, tts: TextToSpeech) -> bool:
        """Prepare the texts. When the vendor fails, leaves out the rest and returns False."""
        for text in texts:
            if await self.get(text, voice, tts) is None:
                try:
                    with requests_at(Priority.BACKGROUND):
                        phrase = await self._synthesize(text, voice, tts.first_choice)
                    self._keep(text, voice, tts, phrase)
                except ProviderError as error:
                    log.warning("phrase.failed", code=error.code)
                    return False
        return True

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Keep out the other processes of this machine: what one prepares, the others find on the disk."""
        if self._directory is None:
            yield
            return
        lock = await asyncio.to_thread(_open_lock, self._directory)
        try:
            while lock is not None and not _locked(lock):  # noqa: ASYNC110 - another process holds it
                await asyncio.sleep(_LOCK_SECONDS)
            yield
        finally:
            if lock is not None:
                os.close(lock)

    async def prune(self, used: Iterable[tuple[str, VoiceConfig, TextToSpeech]]) -> None:
        """Delete the phrases of other texts and voices, unless younger than a day: they may be needed again."""
        if self._directory is None:
            return
        kept = {_key(text, voice, tts) for text, voice, tts in used}
        work = partial(_prune, self._directory, kept)
        removed = await asyncio.get_running_loop().run_in_executor(self._writer, work)
        if removed:
            log.info("phrases.pruned", phrases=removed)

    def _keep(self, text: str, voice: VoiceConfig, tts: TextToSpeech, phrase: Phrase) -> None:
        words_are_lost = tts.capabilities.word_times and not phrase.words
        if not phrase.audio or words_are_lost or not all(word.is_exact for word in phrase.words):
            return  # phrases are kept for long, so they need exact word times
        key = _key(text, voice, tts)
        self._remember(key, phrase)
        if self._directory is None:
            return
        if self._writes >= _WRITES_WAITING:
            self._outage.failed(StorageError("the disk is slow"))
            return
        self._writes += 1
        writing = asyncio.get_running_loop().run_in_executor(self._writer, _write, self._directory / key, phrase)
        writing.add_done_callback(self._note_written)

    async def _synthesize(self, text: str, voice: VoiceConfig, tts: TextToSpeech) -> Phrase:
        utterance = tts.utterance(voice, call_id="phrases")
        audio: list[bytes] = []
        words: list[SpokenWord] = []
        try:
            await utterance.say(speakable(text, voice.language).text)
            await utterance.finish()
            async for event in utterance:
                match event:
                    case VoiceAudio(sound):
                        audio.append(sound)
                    case VoiceWords(times):
                        words.extend(times)
                    case VoiceFailed():
                        pass  # its end raises
        finally:
            utterance.cancel()
            for charge in utterance.charges():
                self._on_spent(charge.provider, charge.cost)
        return Phrase(b"".join(audio), tuple(words))

    def _note_written(self, writing: asyncio.Future[None]) -> None:
        self._writes -= 1
        error = None if writing.cancelled() else writing.exception()
        if error is None:
            self._outage.over()
        else:
            reason = error.strerror if isinstance(error, OSError) else None
            self._outage.failed(StorageError(reason or type(error).__name__))

    async def _read(self, path: Path) -> Phrase | None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._readers, _read, path)
        except TimeoutError:
            return None

    def _remember(self, key: str, phrase: Phrase) -> None:
        self._phrases[key] = phrase
        self._phrases.move_to_end(key)
        while len(self._phrases) > _KEPT_IN_MEMORY:
            self._phrases.popitem(last=False)


def _key(text: str, voice: VoiceConfig, tts: TextToSpeech) -> str:
    identity = json.dumps([text, asdict(voice), tts.variant, tts.provider], ensure_ascii=False)
    return hashlib.sha256(identity.encode()).hexdigest()[:32] + ".phrase"


def _open_lock(directory: Path) -> int | None:
    """A file to lock; None when the disk does not take it, which then loses phrases as well."""
    with suppress(OSError):
        directory.mkdir(mode=0o700, exist_ok=True)
        return os.open(directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    return None


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _prune(directory: Path, kept: set[str]) -> int:
    """Delete old phrases. Returns how many."""
    removed, newest = 0, utc_now().timestamp() - _OLD_SECONDS
    for path in directory.glob("*.phrase"):
        with suppress(OSError):
            if path.name not in kept and path.stat().st_mtime < newest:
                path.unlink()
                removed += 1
    return removed


def _read(path: Path) -> Phrase | None:
    """Read a file: a line of JSON with the words, then the sound. Returns None when it cannot be read."""
    try:
        head, audio = path.read_bytes().split(b"\n", 1)
        words = tuple(SpokenWord(*word) for word in json.loads(head))
    except (OSError, ValueError, TypeError):
        return None
    return Phrase(audio, words)


def _write(path: Path, phrase: Phrase) -> None:
    """Write a file in one step: it exists whole or not at all. Raises OSError."""
    head = json.dumps([[word.text, word.start, word.end] for word in phrase.words], ensure_ascii=False)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    partial = path.with_suffix(f".{secrets.token_hex(4)}")
    try:
        partial.touch(mode=0o600)
        partial.write_bytes(head.encode() + b"\n" + phrase.audio)
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
