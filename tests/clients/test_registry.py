"""Who stands in for whom, as the settings say it."""

import shutil
from typing import Any

import pytest

from app.clients.entry import ClientSetup
from app.clients.registry import VendorRegistry
from app.errors import SettingsError
from app.ports.vendors import LlmOptions, TtsOptions
from app.settings import load_settings

MODEL, VOICE = LlmOptions("gpt-6-luna"), TtsOptions("sonic-3.5")


def registry(**settings: Any) -> VendorRegistry:
    return VendorRegistry(ClientSetup(load_settings(None).model_copy(update=settings)))


async def test_by_default_nobody_needs_a_key_beyond_the_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _program: "/usr/bin/espeak-ng")
    made = registry()
    assert repr(made.llm(MODEL)) == "<FallbackModel <Chain openai-responses > again > gpt-6.1-terra>>"
    voices = "cartesia-websocket > cartesia-http > deepgram-aura > espeak > phrases"
    assert repr(made.tts(VOICE)) == f"<FallbackVoice <Chain {voices}>>"
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


async def test_none_is_nobody_and_the_first_choice_does_not_stand_in_for_itself() -> None:
    for fallbacks in (("none",), ("gpt-6-luna",)):
        made = registry(llm_fallbacks=fallbacks, tts_fallbacks=("none",))
        assert type(made.llm(MODEL)).__name__ == "OpenAILLMClient"
        assert type(made.tts(VOICE)).__name__ == "CartesiaTTSClient"
        await made.aclose()


async def test_who_is_not_there_is_named_with_those_who_are() -> None:
    made = registry(tts_fallbacks=("cartesia-http", "anna"))
    with pytest.raises(SettingsError, match=r"TTS_FALLBACKS: there is no anna; use some of .*deepgram-aura"):
        made.tts(VOICE)
    await made.aclose()
