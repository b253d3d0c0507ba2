"""The local voice: a program that is there, one that fails, and one that is not there at all."""

import shutil
from pathlib import Path

import pytest

from app.clients.espeak.client import EspeakClient, local_voice
from app.errors import ProviderProtocolError, ProviderTimeout, ProviderUnavailable
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio
from media.formats import SAMPLE_RATES, AudioFormat
from sandbox.vendors.espeak_program import install

FORMATS = [AudioFormat("mulaw", 8000), *(AudioFormat("pcm_s16le", rate) for rate in SAMPLE_RATES)]


def voice(audio_format: AudioFormat, language: str = "ru") -> VoiceConfig:
    asked = VoiceConfig(
        "voice-1", "sonic-3.5", language, encoding=audio_format.encoding, sample_rate=audio_format.sample_rate
    )
    return local_voice(asked)


async def spoken(program: Path | str, config: VoiceConfig, text: str = "Мы открыты с девяти.") -> bytes:
    client = EspeakClient(program=str(program))
    utterance = client.utterance(config, call_id="call-1")
    await utterance.say(text)
    await utterance.finish()
    sound = b"".join([event.audio async for event in utterance if isinstance(event, VoiceAudio)])
    assert [(charge.provider, charge.cost) for charge in utterance.charges()] == [("espeak", 0.0)]
    return sound


@pytest.mark.parametrize("audio_format", FORMATS)
async def test_it_speaks_in_the_format_of_every_leg(audio_format: AudioFormat, tmp_path: Path) -> None:
    program = shutil.which("espeak-ng") or install(tmp_path)
    sound = await spoken(program, voice(audio_format))
    assert 0.8 < audio_format.seconds(sound) < 4.0


async def test_the_stand_in_takes_the_same_options(tmp_path: Path) -> None:
    for language in ("ru", "en"):
        assert await spoken(install(tmp_path), voice(FORMATS[0], language))


async def test_a_program_that_is_not_there_fails_as_a_vendor_does() -> None:
    with pytest.raises(ProviderUnavailable):
        await spoken("no-such-program", voice(FORMATS[0]))


@pytest.mark.parametrize(
    ("script", "error"),
    [("exit 3", ProviderUnavailable), ("cat > /dev/null", ProviderProtocolError), ("echo RIFF", ProviderProtocolError)],
)
async def test_a_program_that_fails_or_says_nothing_fails_as_a_vendor_does(
    script: str, error: type[Exception], tmp_path: Path
) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(error):
        await spoken(program, voice(FORMATS[0]))


async def test_the_program_sees_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "CRM_PASSWORD"):
        monkeypatch.setenv(name, "abc-1")
    program = tmp_path / "espeak-ng"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(ProviderUnavailable):
        await spoken(program, voice(FORMATS[0]))
    seen = (tmp_path / "seen").read_text()
    assert "PATH=" in seen
    assert "abc-1" not in seen


async def test_a_program_that_hangs_is_killed_with_the_utterance(tmp_path: Path) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    program.chmod(0o755)
    client = EspeakClient(program=str(program))
    utterance = client.utterance(voice(FORMATS[0]), call_id="call-1")
    await utterance.say("Алло.")
    with pytest.raises(ProviderTimeout):
        [event async for event in utterance]
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
