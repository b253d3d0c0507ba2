"""Who answers: the agent's file, and the settings that win over it."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from app.calls.agent.from_settings import agent_profile
from app.conversation.policy import RUSSIAN
from app.errors import SettingsError
from app.settings import Settings, load_settings
from app.start_checks import check_settings

FILE = """\
prompt: You sell flowers.
language: en
greeting: {en: Flowers!, ru: Цветы!}
lines: {en: {goodbye: Bye!}}
voices: {en: voice-of-the-file}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a folder without ``.env``."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "flowers.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def settings(monkeypatch: pytest.MonkeyPatch, **variables: Any) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return load_settings(None)


def test_the_file_is_the_agent(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = agent_profile(settings(monkeypatch, AGENT_PROMPT_FILE=file))

    assert (agent.name, agent.prompt) == ("flowers", "You sell flowers.")
    assert (agent.language, agent.stt.language) == ("en", "en")
    assert agent.policy.lines["en"].greeting == "Flowers!"
    assert agent.policy.lines["en"].goodbye == "Bye!"
    assert agent.policy.lines["ru"].greeting == "Цветы!"
    assert agent.policy.lines["ru"].goodbye == RUSSIAN.goodbye
    assert agent.voices == {"en": "voice-of-the-file", "ru": Settings.model_fields["tts_voice_ru"].default}


def test_settings_win_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = agent_profile(
        settings(monkeypatch, AGENT_PROMPT_FILE=file, GREETING="Алло!", VA_LANGUAGE="ru", TTS_VOICE_EN="voice-set")
    )

    assert (agent.language, agent.stt.language) == ("ru", "ru")
    assert agent.policy.lines["ru"].greeting == "Алло!"
    assert agent.policy.lines["en"].greeting == "Flowers!"
    assert agent.voices["en"] == "voice-set"


def test_an_agent_that_understands_any_language_starts_in_the_first(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agent_profile(settings(monkeypatch, AGENT_PROMPT_FILE=file, VA_LANGUAGE="multi"))

    assert (agent.language, agent.stt.language) == ("ru", "multi")


def test_row_one_says_which_agent_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = agent_profile(settings(monkeypatch, AGENT_PROMPT_FILE=file)).describe("1.2.3")

    assert described["name"] == "flowers"
    assert described["agent_hash"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert described["tools"] == []


def test_the_standard_agent_has_a_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = agent_profile(settings(monkeypatch))

    assert agent.name == "standard"
    assert agent.sha256 == hashlib.sha256(agent.prompt.encode()).hexdigest()


def test_a_secret_may_stand_in_the_file_env(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = "{name: a, description: b, method: GET, url: 'https://example.org', headers: {X-Key: '${A} ${B}'}}"
    file.write_text(f"{FILE}tools: [{tool}]\n", encoding="utf-8")
    (tmp_path / ".env").write_text("A=from-the-file\nB=from-the-file\n", encoding="utf-8")

    (made,) = agent_profile(settings(monkeypatch, AGENT_PROMPT_FILE=file, B="from-the-environment")).tools

    assert made.endpoint.headers["X-Key"].get_secret_value() == "from-the-file from-the-environment"


def test_a_wrong_file_stops_the_start(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(FILE + "tone: warm\n", encoding="utf-8")
    blocked = tmp_path / "data"
    blocked.write_text("", encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        check_settings(settings(monkeypatch, AGENT_PROMPT_FILE=file, DATA_DIR=blocked))

    first, second = caught.value.problems
    assert first == f"{file} line 6: tone: is no key of an agent's file here"
    assert second.startswith("DATA_DIR: ")
