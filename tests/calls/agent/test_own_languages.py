"""Agents in languages without standard lines."""

from pathlib import Path

import pytest

from app.calls.agent.from_settings import agent_of_file, agent_profile
from app.calls.agent.lines_schema import LinesShape
from app.calls.agent.profile import AgentProfile
from app.errors import SettingsError
from app.settings import Settings

MANY = ("idle", "fillers", "long_wait")
UNUSED = ("consent", "not_recorded", "keypad_option", "keypad_human")
PLAIN = [name for name in LinesShape.model_fields if name not in UNUSED]


def a_file(language: str = "de", *, without: str = "", more: str = "") -> str:
    """A whole agent in that language."""
    lines = {name: f"[{name}]" if name in MANY else name for name in PLAIN if name != without}
    written = ", ".join(f"{name}: {text}" for name, text in lines.items())
    return (
        f"prompt: Hilf.\nlanguage: {language}\ngreeting: {{{language}: Hallo!}}\n"
        f"voices: {{{language}: voice-of-anna}}\nlines: {{{language}: {{{written}}}}}\n{more}"
    )


def agent_of(folder: Path, text: str) -> AgentProfile:
    path = folder / "praxis.yaml"
    path.write_text(text, encoding="utf-8")
    return agent_of_file(path, Settings())


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("language", ["de", "es", "fr", "pl", "kk"])
def test_any_language_can_be_an_agents(tmp_path: Path, language: str) -> None:
    agent = agent_of(tmp_path, a_file(language))

    assert (agent.language, agent.stt.language, agent.voices[language]) == (language, language, "voice-of-anna")
    assert agent.policy.lines[language].greeting == "Hallo!"
    assert agent.policy.lines[language].fillers == ("fillers",)
    assert list(agent.policy.lines) == ["ru", "en", language]
    assert len(agent.weekdays[language]) == 7


@pytest.mark.parametrize("name", PLAIN)
def test_a_line_that_lacks_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        agent_of(tmp_path, a_file(without=name))

    problem = f"line 5: lines.de.{name}: is missing: this language has no standard lines"
    assert [found.partition(".yaml ")[2] for found in caught.value.problems] == [problem]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("disclosure: true\n", "disclosure.de: is missing"),
        ("notice: {en: x}\n", "notice.de: is missing"),
        ("consent: ask\n", "lines.de.consent: is missing"),
        ("keypad: {'1': {label: {en: hours}, say: {de: x, en: x}}}\n", "keypad.1.label.de: is missing"),
        (
            "tools: [{name: t, description: d, method: GET, url: 'https://x.org', waiting_phrase: {fr: x}}]\n",
            "tools[0].waiting_phrase.fr: is not one of the agent's languages",
        ),
    ],
)
def test_texts_of_an_agents_own_language_are_complete(tmp_path: Path, more: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        agent_of(tmp_path, a_file(more=more))

    assert any(problem in found for found in caught.value.problems)


def test_a_language_alone_names_all_that_lacks(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        agent_of(tmp_path, "prompt: x\nlanguage: fr\n")

    places = {found.partition(": ")[2].partition(":")[0] for found in caught.value.problems}
    assert places == {"greeting.fr", "voices.fr", *(f"lines.fr.{name}" for name in PLAIN)}


def test_a_setting_can_name_a_language_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "praxis.yaml"
    path.write_text(a_file().replace("language: de\n", ""), encoding="utf-8")

    agent = agent_profile(Settings(language="de", agent_prompt_file=path))

    assert (agent.language, agent.stt.language) == ("de", "de")


def test_a_setting_in_which_the_agent_has_no_texts_names_its_languages(tmp_path: Path) -> None:
    path = tmp_path / "praxis.yaml"
    path.write_text(a_file(), encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        agent_profile(Settings(language="fr", agent_prompt_file=path))

    [problem] = caught.value.problems
    assert problem.startswith("VA_LANGUAGE: the agent praxis has no texts in fr; use one of de, en, ru or multi,")


def test_a_german_file_names_every_line_that_lacks(tmp_path: Path) -> None:
    some = "prompt: x\nlanguage: de\ngreeting: {de: Hallo!}\nvoices: {de: v}\nlines: {de: {repeat: Wie bitte?}}\n"
    with pytest.raises(SettingsError) as caught:
        agent_of(tmp_path, some)

    places = {found.partition(": ")[2].partition(":")[0] for found in caught.value.problems}
    assert places == {f"lines.de.{name}" for name in PLAIN if name != "repeat"}
