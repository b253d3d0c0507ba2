"""The fallbacks that the settings choose."""

import shutil
from dataclasses import replace
from typing import Any, get_args

import pytest
from cartesia.types.supported_language import SupportedLanguage

from app.calls.agent.plan import CallPlanner
from app.clients.cartesia.messages import SONIC_LANGUAGES
from app.clients.entry import ClientSetup
from app.clients.registry import VendorRegistry
from app.conversation.policy import ENGLISH, CallPolicy
from app.errors import SettingsError
from app.ports.vendors import LlmOptions, SttOptions, TtsOptions
from app.settings import load_settings
from media.formats import AudioFormat
from tests.calls.fakes import AGENT, only

MODEL, VOICE = LlmOptions("gpt-6-luna"), TtsOptions("sonic-3.5")
PHONE = AudioFormat("mulaw", 8000)


def registry(**settings: Any) -> VendorRegistry:
    return VendorRegistry(ClientSetup(load_settings(None).model_copy(update=settings)))


async def test_the_default_fallbacks_need_no_key_beyond_the_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _program: "/usr/bin/espeak-ng")
    made = registry()
    assert repr(made.llm(MODEL)) == "<FallbackModel <Chain openai-responses > again > gpt-6.1-terra>>"
    voices = "cartesia-websocket > cartesia-http > deepgram-aura > espeak > phrases"
    assert repr(made.tts(VOICE)) == f"<FallbackVoice <Chain {voices}>>"
    await made.aclose()


async def test_the_other_family_hears_next_and_then_the_other_vendor() -> None:
    made = registry()
    for model, order in (
        ("flux-general-multi", "deepgram-flux > deepgram-nova > cartesia-whisper"),
        ("nova-3", "deepgram-nova > deepgram-flux > cartesia-whisper"),
        ("ink-whisper", "cartesia-whisper > deepgram-nova > deepgram-flux"),
    ):
        assert repr(made.stt(SttOptions(model, "ru"), PHONE)) == f"<FallbackHearing <Chain {order}>>"
    assert made.kinds("cartesia") == ["stt"]
    await made.aclose()


async def test_a_family_that_does_not_know_the_language_is_left_out() -> None:
    made = registry()
    hearing = made.stt(SttOptions("nova-3", "uk"), PHONE)
    assert repr(hearing) == "<FallbackHearing <Chain deepgram-nova > cartesia-whisper>>"
    await made.aclose()


async def test_a_local_voice_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    made = registry(tts_fallbacks=("espeak", "phrases"))
    assert repr(made.tts(VOICE)) == "<FallbackVoice <Chain cartesia-websocket > phrases>>"
    await made.aclose()


async def test_a_second_server_is_asked_where_its_address_is_set() -> None:
    made = registry(llm_fallbacks=("endpoint", "again"), llm_fallback_base_url="http://127.0.0.1:9/v1")
    assert repr(made.llm(MODEL)) == "<FallbackModel <Chain openai-responses > endpoint > again>>"
    assert made.providers == ["openai", "openai-fallback"]
    await made.aclose()


async def test_none_means_no_fallback_and_the_first_choice_is_no_fallback_of_itself() -> None:
    for fallbacks in (("none",), ("gpt-6-luna",)):
        made = registry(stt_fallbacks=("none",), llm_fallbacks=fallbacks, tts_fallbacks=("none",))
        assert type(made.stt(SttOptions("nova-3"), PHONE)).__name__ == "DeepgramSTTClient"
        assert type(made.llm(MODEL)).__name__ == "OpenAILLMClient"
        assert type(made.tts(VOICE)).__name__ == "CartesiaTTSClient"
        await made.aclose()


async def test_an_unknown_fallback_is_named_with_the_known_ones() -> None:
    made = registry(stt_fallbacks=("anna",), tts_fallbacks=("cartesia-http", "anna"))
    with pytest.raises(SettingsError, match=r"STT_FALLBACKS: there is no anna; use some of .*cartesia-whisper"):
        made.stt(SttOptions("nova-3"), PHONE)
    with pytest.raises(SettingsError, match=r"TTS_FALLBACKS: there is no anna; use some of .*deepgram-aura"):
        made.tts(VOICE)
    await made.aclose()


async def test_a_language_that_the_model_does_not_know_is_a_wrong_setting() -> None:
    made = registry()

    with pytest.raises(SettingsError, match="does not know the language 'pl': use nova-3, or one of de, en, es"):
        made.stt(SttOptions("flux-general-multi", "pl", ("pl", "ru")), PHONE)
    assert made.stt(SttOptions("flux-general-multi", "ru", ("ru", "pl")), PHONE)
    assert made.stt(SttOptions("nova-3", "pl", ("pl", "ru")), PHONE)
    await made.aclose()


async def test_the_languages_of_the_voice_are_those_of_the_vendors_library() -> None:
    library = set(get_args(get_args(SupportedLanguage)[0]))
    made = registry()

    assert made.tts(VOICE).capabilities.languages == SONIC_LANGUAGES == library
    assert made.tts(TtsOptions("my-own-voice")).capabilities.languages is None
    await made.aclose()


@pytest.mark.parametrize(
    ("heard_by", "language", "problem"),
    [
        ("nova-3", "kk", "speech synthesis: sonic-3.5 does not speak kk; choose another model, or one of ar, bg, bn,"),
        ("flux-general-multi", "pl", "does not know the language 'pl': use nova-3, or one of de, en, es, fr, hi,"),
    ],
)
async def test_a_language_that_one_of_the_vendors_lacks_is_refused_with_those_to_choose_from(
    heard_by: str, language: str, problem: str
) -> None:
    made = registry()
    policy = CallPolicy(lines={"en": ENGLISH, language: ENGLISH})
    agent = replace(
        AGENT, policy=policy, language=language, stt=SttOptions(heard_by, language), tts=VOICE, voices={language: "v"}
    )
    planner = CallPlanner(
        lambda: only(agent),
        made,
        endpoints=lambda _agent: {},
        transfer_targets={},
        playout_lead_seconds=0.2,
        version="1",
    )

    with pytest.raises(SettingsError) as caught:
        planner.plan(PHONE)
    await made.aclose()

    assert problem in caught.value.problems[0]
