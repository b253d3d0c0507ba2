"""``keypad`` of an agent's file: what the keys of the telephone do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.calls.agent.file import AgentFile, read_agent_file
from app.calls.agent.from_settings import agent_of_file
from app.conversation.policy import CallPolicy, KeyMeaning
from app.errors import SettingsError
from app.settings import load_settings
from tests.calls.fakes import World
from tests.calls.far_end import TELEPHONE

TOOL = """
tools:
  - name: order_status
    description: Where the order is.
    method: GET
    url: https://example.org/order
"""
KEYPAD = """
keypad:
  1:
    label: {ru: узнать часы работы, en: hear our opening hours}
    say: {ru: С девяти до шести., en: From nine to six.}
  "2":
    label: {en: hear about your order}
    tool: order_status
    arguments: {of: caller}
  0: {transfer: sales}
"""


def read(tmp_path: Path, text: str) -> AgentFile:
    path = tmp_path / "agent.yaml"
    path.write_text(f"prompt: Help.\n{text}", encoding="utf-8")
    return read_agent_file(path, {}, setting="AGENT_PROMPT_FILE")


def test_keys_have_a_line_a_tool_or_a_transfer(tmp_path: Path) -> None:
    agent = read(tmp_path, TOOL + KEYPAD)
    assert agent.keypad == (
        KeyMeaning("1"),
        KeyMeaning("2", tool="order_status", arguments='{"of": "caller"}'),
        KeyMeaning("0", transfers_to="sales"),
    )
    english, russian = agent.lines["en"], agent.lines["ru"]
    assert english.keypad_labels == ("hear our opening hours", "hear about your order", "talk to a person")
    assert russian.keypad_labels == ("узнать часы работы", "", "поговорить с сотрудником")
    assert (english.keypad_texts, russian.keypad_texts) == (
        ("From nine to six.", "", ""), ("С девяти до шести.", "", ""),
    )  # fmt: skip


def test_without_the_key_nothing_changes(tmp_path: Path) -> None:
    assert read(tmp_path, "").keypad == ()
    assert CallPolicy().keypad == ()


def test_the_sentence_of_the_menu_is_a_line_of_the_agent(tmp_path: Path) -> None:
    agent = read(tmp_path, f"{TOOL}{KEYPAD}lines:\n  en: {{keypad_option: 'For {{label}}, {{key}}.'}}\n")
    policy = CallPolicy(lines=dict(agent.lines), keypad=agent.keypad)
    assert policy.with_menu(agent.lines["en"], "Well.").startswith("Well. For hear our opening hours, 1.")


@pytest.mark.parametrize(
    ("keypad", "problem"),
    [
        ("1: {label: {en: x}}", "keypad.1: needs one of say, tool and transfer"),
        ("1: {label: {en: x}, say: {en: y}, transfer: sales}", "keypad.1: needs one of say, tool and transfer"),
        ("1: {say: {en: y}}", "keypad.1: needs a label"),
        ("1: {label: {en: x}, tool: nothing}", "keypad.1.tool: there is no tool nothing"),
        ("1: {label: {en: x}, say: {en: y}, arguments: {a: 1}}", "keypad.1.arguments: are for a tool"),
        ("12: {transfer: sales}", "keypad.12: is not a key that can have a meaning"),
        ("'#': {transfer: sales}", "keypad.#: is not a key that can have a meaning"),
        ("1: {transfer: sales, sound: x}", "keypad.1.sound: is not a key of an agent's file here"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(keypad: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, f"keypad:\n  {keypad}\n")
    assert any(problem in found for found in refused.value.problems), refused.value.problems


SERVERS = """
mcp_servers:
  - {name: schedule, url: "https://example.org/mcp", tools: [book]}
  - {name: prices, url: "https://example.org/prices"}
"""


def test_a_tool_of_a_server_is_known_by_its_name_here(tmp_path: Path) -> None:
    agent = read(tmp_path, f"{SERVERS}keypad:\n  1: {{label: {{en: x}}, tool: prices_list}}\n")
    assert agent.keypad == (KeyMeaning("1", tool="prices_list", arguments="{}"),)
    with pytest.raises(SettingsError, match=r"line 7: keypad\.1\.tool: there is no tool schedule_cancel; name one of"):
        read(tmp_path, f"{SERVERS}keypad:\n  1: {{label: {{en: x}}, tool: schedule_cancel}}\n")


def test_without_a_key_the_others_keep_their_texts() -> None:
    own: dict[str, Any] = {"keypad_labels": ("one", "two", "three"), "keypad_texts": ("1!", "", "3!")}
    lines = {"en": replace(CallPolicy().lines["en"], **own)}
    policy = CallPolicy(lines=lines, keypad=(KeyMeaning("1"), KeyMeaning("2", tool="gone"), KeyMeaning("3")))

    left = policy.without_keys(["2"])

    assert left.with_menu(left.lines["en"], "Well.") == "Well. Press 1 to one. Press 3 to three."
    assert left.lines["en"].keypad_texts == ("1!", "3!")


def test_a_template_in_a_line_of_a_key_is_rendered_and_a_wrong_one_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "default.yaml"
    said = "say:\n      en: 'It is {{ caller_number }}.'"
    text = f"prompt: Help.\nkeypad:\n  1:\n    label: {{en: ask who called}}\n    {said}\n"
    path.write_text(text, encoding="utf-8")
    agent = agent_of_file(path, load_settings(None))
    assert agent.texts is not None
    path.write_text(text.replace("caller_number", "nobody_knows"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"line 6: keypad\.1\.say\.en: nobody_knows is not known"):
        agent_of_file(path, load_settings(None))


def test_a_transfer_needs_its_target_and_what_is_said_is_prepared() -> None:
    world = World()
    policy = CallPolicy(keypad=(KeyMeaning("0", transfers_to="nobody"),))
    with pytest.raises(SettingsError, match="keypad: 0: there is no transfer target nobody"):
        world.planner.plan(TELEPHONE, agent=replace(world.agent, policy=policy))
    own: dict[str, Any] = {"keypad_labels": ("hear our opening hours",), "keypad_texts": ("From nine to six.",)}
    lines = {language: replace(each, **own) for language, each in CallPolicy().lines.items()}
    plan = world.planner.plan(
        TELEPHONE, agent=replace(world.agent, policy=CallPolicy(lines=lines, keypad=(KeyMeaning("1"),)))
    )
    prepared = dict(plan.phrases())["en"]
    assert "From nine to six." in prepared
    assert f"{lines['en'].deaf} Press 1 to hear our opening hours." in prepared
