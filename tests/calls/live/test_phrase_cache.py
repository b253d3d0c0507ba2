"""Prepared lines on a disk: kept beside the calls, and not waited for."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from app.calls.live.phrase_cache import PhraseCache
from app.calls.live.speech_track import SpeechTrack
from app.ports.streams import SpokenWord
from media.formats import AudioFormat
from tests.calls.fakes import AGENT
from tests.calls.vendors import ScriptedVoice

VOICE = AGENT.voice("en", AudioFormat("pcm_s16le", 8000))


async def until_there(folder: Path) -> Path:
    async with asyncio.timeout(60):
        while not (found := list(folder.glob("*.phrase"))):
            await asyncio.sleep(0.001)
    return found[0]


async def test_a_phrase_outlives_the_process_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    phrases = tmp_path / "phrases"
    assert await PhraseCache(phrases).prepare(["Hello!"], VOICE, ScriptedVoice())
    kept = await until_there(phrases)
    assert (oct(phrases.stat().st_mode & 0o777), oct(kept.stat().st_mode & 0o777)) == ("0o700", "0o600")

    voice = ScriptedVoice()
    phrase = await PhraseCache(phrases).get("Hello!", VOICE, voice)
    assert phrase is not None
    assert phrase.audio
    assert voice.utterances == []


async def test_what_is_voiced_in_advance_is_paid_for_once_and_counted() -> None:
    spent: list[tuple[str, float | None]] = []
    phrases = PhraseCache(None, on_spent=lambda provider, cost: spent.append((provider, cost)))
    for _ in range(2):
        assert await phrases.prepare(["Hello!"], VOICE, ScriptedVoice())
    assert spent == [("cartesia", pytest.approx(39e-6 * len("Hello!")))]


async def test_a_disk_that_does_not_answer_has_no_phrase_and_delays_no_call(tmp_path: Path) -> None:
    """A FIFO that nobody writes to is a disk that never answers."""
    phrases = tmp_path / "phrases"
    assert await PhraseCache(phrases).prepare(["Hello!"], VOICE, ScriptedVoice())
    kept = await until_there(phrases)
    kept.unlink()
    os.mkfifo(kept)
    try:
        assert await PhraseCache(phrases).get("Hello!", VOICE, ScriptedVoice()) is None
    finally:
        with kept.open("wb"):  # its thread goes on, and finds no clip
            pass


async def test_a_phrase_whose_word_times_were_lost_is_not_kept(tmp_path: Path) -> None:
    phrases = PhraseCache(None)
    for is_exact in (False, True):
        track = SpeechTrack(8000, keep_sound=True)
        track.add_audio(bytes(1600), 800)
        track.add_words([SpokenWord("Hello!", 0.0, 0.1, is_exact=is_exact)], 0.0)
        await phrases.keep("Hello!", VOICE, ScriptedVoice(), track)
        assert (await phrases.get("Hello!", VOICE, ScriptedVoice()) is not None) == is_exact


async def test_old_phrases_that_nobody_uses_are_deleted_and_young_ones_stay(tmp_path: Path) -> None:
    folder = tmp_path / "phrases"
    cache, voice = PhraseCache(folder), ScriptedVoice()
    other = replace(VOICE, voice_id="voice-2")
    assert await cache.prepare(["Hello!", "Goodbye!", "Once."], VOICE, voice)
    assert await cache.prepare(["Hello!"], other, voice)
    async with asyncio.timeout(60):
        while len(list(folder.glob("*.phrase"))) < 4:
            await asyncio.sleep(0.001)

    await cache.prune([("Hello!", VOICE, voice)])
    assert len(list(folder.glob("*.phrase"))) == 4, "they are younger than a day"
    for path in folder.glob("*.phrase"):
        os.utime(path, (0, 0))
    await cache.prune([("Hello!", VOICE, voice), ("Goodbye!", VOICE, voice)])

    kept = PhraseCache(folder)
    assert [
        await kept.get(text, config, voice) is not None
        for text, config in (("Hello!", VOICE), ("Goodbye!", VOICE), ("Once.", VOICE), ("Hello!", other))
    ] == [True, True, False, False]


async def test_two_processes_prepare_one_after_the_other(tmp_path: Path) -> None:
    one, other = PhraseCache(tmp_path / "phrases"), PhraseCache(tmp_path / "phrases")
    order = []

    async def prepare(name: str, cache: PhraseCache) -> None:
        async with cache.alone():
            order.append(f"{name} in")
            await asyncio.sleep(0.1)
            order.append(f"{name} out")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(prepare("one", one), name="one")
        tasks.create_task(prepare("other", other), name="other")

    assert order in (["one in", "one out", "other in", "other out"], ["other in", "other out", "one in", "one out"])
