"""The lines that the package brings: every standard line is there, and sounds in the format of every leg."""

from dataclasses import astuple, replace

import pytest

from app.clients.phrases.archive import LANGUAGES, member, members, sound
from app.clients.phrases.client import PhrasesClient, packaged_voice
from app.conversation.policy import DISCLOSURES, NOTICES, CallPolicy
from app.errors import ContentRejected
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio
from app.speech_text.verbalize import speakable
from media.formats import SAMPLE_RATES, AudioFormat

LINES = CallPolicy().lines
GREETING = LINES["en"].greeting


def voice(language: str = "en", audio_format: AudioFormat = AudioFormat("mulaw", 8000)) -> VoiceConfig:  # noqa: B008
    asked = VoiceConfig(
        "voice-1", "sonic-3.5", language, encoding=audio_format.encoding, sample_rate=audio_format.sample_rate
    )
    own = packaged_voice(asked)
    assert own is not None
    return own


async def spoken(text: str, config: VoiceConfig) -> bytes:
    utterance = PhrasesClient().utterance(config, call_id="call-1")
    await utterance.say(f"{text} ")
    await utterance.finish()
    return b"".join([event.audio async for event in utterance if isinstance(event, VoiceAudio)])


def spoken_lines(language: str) -> list[str]:
    """Also the standard disclosure and notice, which an agent may say alone or together."""
    opening = replace(LINES[language], disclosure=DISCLOSURES[language], notice=NOTICES[language])
    said = [text for value in astuple(opening) for text in ((value,) if isinstance(value, str) else value)]
    said = [text for text in said if text not in (opening.keypad_option, opening.keypad_human)]  # parts of a sentence
    return [speakable(text, language).text.strip() for text in (*said, opening.opening)]


def test_there_are_lines_in_every_standard_language() -> None:
    assert set(LINES) == LANGUAGES


@pytest.mark.parametrize("language", sorted(LINES))
def test_the_package_holds_every_standard_line_and_no_other(language: str) -> None:
    """After a change of a line: python -m bench.make_phrases."""
    assert {member(text) for text in spoken_lines(language)} == members(language)
    for text in spoken_lines(language):
        audio = sound(language, text)
        assert audio is not None
        assert len(text) / 30 < len(audio) / 8000 < len(text) / 5, text


@pytest.mark.parametrize(
    "audio_format", [AudioFormat("mulaw", 8000), *(AudioFormat("pcm_s16le", rate) for rate in SAMPLE_RATES)]
)
async def test_a_line_sounds_in_the_format_of_every_leg(audio_format: AudioFormat) -> None:
    stored = sound("en", GREETING)
    assert stored is not None
    audio = await spoken(GREETING, voice("en", audio_format))
    assert audio_format.seconds(audio) == pytest.approx(len(stored) / 8000 + 0.05, abs=0.06)


async def test_another_text_is_refused_without_a_word_of_it() -> None:
    with pytest.raises(ContentRejected) as refused:
        await spoken("The caller's own words.", voice())
    assert "caller" not in str(refused.value)


def test_there_is_no_voice_for_another_language() -> None:
    assert packaged_voice(VoiceConfig("voice-1", "sonic-3.5", "de")) is None
