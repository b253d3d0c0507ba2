"""An agent's file: what it may say, and how its mistakes are reported."""

import hashlib
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.calls.agent.file import AgentFile, read_agent_file
from app.calls.agent.lines_schema import LinesShape
from app.conversation.policy import ENGLISH, RUSSIAN, Lines
from app.errors import SettingsError
from app.models import CALL_EVENTS
from sandbox.clinic.clinic import Clinic
from tests.support.sources import ROOT

SECRET = "s3cret-token"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENVIRONMENT = {"TOKEN": SECRET, "SCHEDULE_TOKEN": SECRET, "SCHEDULE_WEBHOOK_SECRET": WEBHOOK_SECRET}
TOOL = """\
prompt: Help.
tools:
  - name: find_times
    description: Free times.
    method: GET
    url: https://example.org/times
"""

FULL_OF_MISTAKES = """\
greting: x
greeting:
  xy: Hallo
lines:
  en:
    greeting: Hi
    fillers: []
language: xx
tools:
  - name: transfer
    method: FETCH
    url: ftp://example.org
    timeout_seconds: 0
    headers:
      Authorization: Bearer ${NOT_THERE}
      Host: example.org
      Number: 5
      bad name: x
    parameters:
      type: object
      properties:
        day: {type: strin}
        way: {$ref: "#/x"}
  - name: transfer
    description: x
    method: GET
    url: https://user:word@example.org/
"""


def written(folder: Path, text: str, name: str = "agent.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str, name: str = "agent.yaml") -> AgentFile:
    return read_agent_file(written(folder, text, name), ENVIRONMENT, setting="AGENT_PROMPT_FILE")


def problems(folder: Path, text: str) -> list[str]:
    """Without the folder."""
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    return [problem.removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_the_example_is_a_whole_agent() -> None:
    path = ROOT / "docs" / "agent.example.yaml"
    agent = read_agent_file(path, ENVIRONMENT, setting="AGENT_PROMPT_FILE")

    assert agent.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert agent.language == "ru"
    assert set(agent.lines) == set(agent.voices) == {"ru", "en"}
    assert [tool.spec.name for tool in agent.tools] == ["find_free_times", "book_visit"]
    assert agent.tools[0].endpoint.headers["Authorization"].get_secret_value() == f"Bearer {SECRET}"
    [webhook] = agent.webhooks
    assert (webhook.url, webhook.agent) == ("https://schedule.example.org/calls", agent.name)
    assert [secret.get_secret_value() for secret in webhook.secrets] == [WEBHOOK_SECRET]
    assert (webhook.events, webhook.has_transcript) == ({"call.ended", "call.analyzed"}, False)


def test_the_demo_plays_the_example() -> None:
    example = (ROOT / "docs" / "agent.example.yaml").read_text(encoding="utf-8")

    assert Clinic.agent("https://schedule.example.org") == example, (
        "cp docs/agent.example.yaml sandbox/clinic/agent.yaml"
    )


def test_the_example_names_every_line() -> None:
    text = (ROOT / "docs" / "agent.example.yaml").read_text(encoding="utf-8")

    assert [name for name in LinesShape.model_fields if f" {name}" not in text] == []


def test_every_prepared_line_may_be_changed() -> None:
    elsewhere = {"greeting", "disclosure", "notice", "keypad_labels", "keypad_texts"}
    assert {*LinesShape.model_fields, *elsewhere} == set(get_type_hints(Lines))


def test_what_a_file_leaves_out_is_as_it_was(tmp_path: Path) -> None:
    agent = read(tmp_path, "prompt: Help.\ngreeting: {en: Hi!}\nlines: {ru: {fillers: [Так.], repeat: no}}\n")

    assert agent.name == "agent"
    assert agent.prompt == "Help."
    assert agent.lines["en"].greeting == "Hi!"
    assert agent.lines["en"].repeat == ENGLISH.repeat
    assert (agent.lines["ru"].fillers, agent.lines["ru"].repeat) == (("Так.",), "no")
    assert agent.lines["ru"].greeting == RUSSIAN.greeting
    assert agent.language is None
    assert not agent.voices
    assert not agent.tools


def test_any_other_file_is_the_prompt_alone(tmp_path: Path) -> None:
    agent = read(tmp_path, "prompt: [not yaml\n", "clinic.txt")

    assert (agent.name, agent.prompt) == ("clinic", "prompt: [not yaml\n")
    assert agent.sha256 == hashlib.sha256(b"prompt: [not yaml\n").hexdigest()


def test_a_mistake_is_reported_with_file_line_and_key(tmp_path: Path) -> None:
    assert problems(tmp_path, TOOL + "    # a minute\n    timeout_seconds: 61\n") == [
        "agent.yaml line 8: tools[0].timeout_seconds: 61 is more than 60"
    ]


def test_a_tool_says_how_long_it_may_take_before_its_phrase(tmp_path: Path) -> None:
    assert read(tmp_path, TOOL).tools[0].waiting_phrase_after_seconds == 0.4
    assert read(tmp_path, TOOL + "    waiting_phrase_after_seconds: 2.0\n").tools[0].waiting_phrase_after_seconds == 2.0
    assert problems(tmp_path, TOOL + "    waiting_phrase_after_seconds: -1\n") == [
        "agent.yaml line 7: tools[0].waiting_phrase_after_seconds: -1 is less than 0"
    ]


def test_all_mistakes_are_reported_at_once_from_top_to_bottom(tmp_path: Path) -> None:
    reported = problems(tmp_path, FULL_OF_MISTAKES)

    assert [problem.rpartition(": ")[0] for problem in reported] == [
        "agent.yaml line 1: greting",
        "agent.yaml line 1: prompt",
        "agent.yaml line 3: greeting.xy",
        "agent.yaml line 6: lines.en.greeting",
        "agent.yaml line 7: lines.en.fillers",
        "agent.yaml line 8: language",
        "agent.yaml line 10: tools[0].description",
        "agent.yaml line 10: tools[0].name",
        "agent.yaml line 11: tools[0].method",
        "agent.yaml line 12: tools[0].url",
        "agent.yaml line 13: tools[0].timeout_seconds",
        "agent.yaml line 15: tools[0].headers.Authorization",
        "agent.yaml line 16: tools[0].headers.Host",
        "agent.yaml line 17: tools[0].headers.Number",
        "agent.yaml line 18: tools[0].headers.bad name",
        "agent.yaml line 22: tools[0].parameters.properties.day.type: is no JSON schema here",
        "agent.yaml line 23: tools[0].parameters.properties.way.$ref",
        "agent.yaml line 24: tools[1].name",
        "agent.yaml line 24: tools[1].name",
        "agent.yaml line 27: tools[1].url",
    ]


@pytest.mark.parametrize(
    "schema",
    [
        "{type: object, properties: {day: {pattern: '['}}}",
        "{type: object, patternProperties: {'(': {}}}",
        "{type: object, properties: {day: {multipleOf: 0}}}",
        "{type: object, properties: {day: {$dynamicRef: '#day'}}}",
        "{type: object, properties: {day: {minimum: .nan}}}",
        "{type: object, required: day}",
        "{type: array}",
        "{properties: {}}",
        "[]",
    ],
)
def test_a_schema_that_would_fail_in_a_call_fails_at_the_start(tmp_path: Path, schema: str) -> None:
    reported = problems(tmp_path, TOOL + f"    parameters: {schema}\n")

    assert all(problem.startswith("agent.yaml line 7: tools[0].parameters") for problem in reported)


@pytest.mark.parametrize("name", ["end_call", "transfer", "send_dtmf"])
def test_a_built_in_tool_cannot_be_redefined(tmp_path: Path, name: str) -> None:
    (problem,) = problems(tmp_path, TOOL.replace("find_times", name))

    assert problem == f"agent.yaml line 3: tools[0].name: {name} is built in; choose another name"


@pytest.mark.parametrize("key", ["waiting_phrase", "one_moment"])
def test_the_waiting_phrase_may_have_the_key_that_it_had_before(tmp_path: Path, key: str) -> None:
    (tool,) = read(tmp_path, TOOL + f"    {key}: {{ru: Секунду.}}\n").tools
    assert tool.waiting_phrase == {"ru": "Секунду."}


def test_two_tools_have_two_names(tmp_path: Path) -> None:
    tools = TOOL.partition("tools:\n")[2]

    (problem,) = problems(tmp_path, TOOL + tools)

    assert problem == "agent.yaml line 7: tools[1].name: find_times is also the name of an earlier tool"


@pytest.mark.parametrize(
    ("url", "more", "reported"),
    [
        ("?tenant=7", "parameters: {type: object, properties: {tenant: {}}}", "parameters.properties.tenant"),
        ("?tenant=7", "parameters: {type: object, properties: {TENANT: {}}}", "parameters.properties.TENANT"),
        ("?tenant=7", "parameters: {type: object, properties: {'tenant[]': {}}}", "parameters.properties.tenant[]"),
        ("?a=1&te%6eant[]=7", "parameters: {type: object, properties: {tenant: {}}}", "parameters.properties.tenant"),
        ("?tenant", "parameters: {type: object, properties: {tenant: {}}}", "parameters.properties.tenant"),
        (
            "",
            "headers: {Tenant: '7'}\n    parameters: {type: object, properties: {tenant: {}}}",
            "parameters.properties.tenant",
        ),
        ("", "headers: {X-Tenant: '7', x-tenant: '8'}", "headers.x-tenant"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_a_tool_fixes_cannot_be_an_argument(
    tmp_path: Path, url: str, more: str, reported: str, method: str
) -> None:
    tool = TOOL.replace("/times", f"/times{url}").replace("GET", method)

    (problem,) = problems(tmp_path, f"{tool}    {more}\n")

    line = 7 + more.count("\n")
    assert problem.startswith(f"agent.yaml line {line}: tools[0].{reported}: is ")


def test_an_argument_with_another_name_is_one(tmp_path: Path) -> None:
    tool = TOOL.replace("/times", "/times?tenant=7")
    agent = read(tmp_path, tool + "    parameters: {type: object, properties: {tenants: {}}}\n")
    assert "tenants" in agent.tools[0].spec.parameters["properties"]


def test_a_variable_that_is_not_there_is_named(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, TOOL + "    headers: {X-Key: '${NOT_THERE}'}\n")

    assert problem.endswith("headers.X-Key: NOT_THERE is not set in the environment")


@pytest.mark.parametrize("header", ["'${TOKEN} ${not-a-name}'", "'${TOKEN}\\u0007é'", '"${TOKEN}\\r\\nX-Other: 1"'])
def test_a_wrong_header_is_refused_without_showing_its_value(tmp_path: Path, header: str) -> None:
    (problem,) = problems(tmp_path, TOOL + f"    headers:\n      X-Key: {header}\n")

    assert "line 8: tools[0].headers.X-Key" in problem
    assert SECRET not in problem


def test_no_secret_is_shown(tmp_path: Path) -> None:
    agent = read(tmp_path, TOOL + "    headers: {X-Key: '${TOKEN}'}\n")

    assert SECRET not in repr(agent)
    described = agent.tools[0].describe()
    assert SECRET not in repr(described)
    assert described["headers"] == ["X-Key"]
    assert described["url"] == "https://example.org/times"


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("", "agent.yaml line 1: an agent's file begins with keys, such as prompt: ..."),
        ("Help the caller.", "agent.yaml line 1: an agent's file begins with keys, such as prompt: ..."),
        ("prompt: [Help\n", "agent.yaml line 2 column 1: expected ',' or ']', but got '<stream end>'"),
        ("prompt: Help.\nprompt: Do.\n", "agent.yaml line 2 column 1: prompt: appears twice"),
        ("prompt: '  '\n", "agent.yaml line 1: prompt: string should have at least 1 character"),
        ("prompt: 5\n", "agent.yaml line 1: prompt: input should be a valid string"),
    ],
)
def test_an_invalid_file_is_reported_by_line(tmp_path: Path, text: str, reported: str) -> None:
    assert problems(tmp_path, text) == [reported]


def test_an_unreadable_file_is_reported_by_its_setting(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_bytes(b"prompt: \xff\n")
    others = {tmp_path / "other.yaml": "cannot be read: No such file", tmp_path: "cannot be read: Is a directory"}
    for unreadable, reported in {path: "is not UTF-8 text", **others}.items():
        with pytest.raises(SettingsError) as caught:
            read_agent_file(unreadable, ENVIRONMENT, setting="AGENT_PROMPT_FILE")
        assert caught.value.problems[0].startswith(f"AGENT_PROMPT_FILE: {unreadable} {reported}")


@given(st.text(alphabet=st.sampled_from("promt:-[]{}&*!|>'\"#%@ \n\t\x00é3"), max_size=60))
def test_any_text_is_an_agent_or_its_mistakes_are_reported(text: str) -> None:
    with TemporaryDirectory() as folder:
        try:
            read(Path(folder), text)
        except SettingsError as error:
            assert all(" line " in problem for problem in error.problems)


def test_what_a_call_needs_of_a_tool_is_loaded_at_the_start(tmp_path: Path) -> None:
    """In a call it would stop all voices for a fifth of a second."""
    path = written(tmp_path, TOOL)
    code = (
        "import sys, pathlib; from app.calls.agent.file import read_agent_file;"
        f"assert 'jsonschema' not in sys.modules; path = pathlib.Path({str(path)!r});"
        "read_agent_file(path, {}, setting='AGENTS_DIR');"
        "assert 'jsonschema' in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_webhook_has_all_events_and_one_or_two_secrets(tmp_path: Path) -> None:
    text = "prompt: Help.\nwebhooks: [{url: 'https://a.example/', secret: '${TOKEN}'}]\n"
    both = {"TOKEN": f"{WEBHOOK_SECRET},{WEBHOOK_SECRET}"}
    [webhook] = read_agent_file(written(tmp_path, text), both, setting="AGENT_PROMPT_FILE").webhooks

    assert webhook.events == set(CALL_EVENTS)
    assert len(webhook.secrets) == 2
    assert WEBHOOK_SECRET not in repr(webhook)


@pytest.mark.parametrize(
    ("webhook", "problem"),
    [
        ("{url: 'ftp://a.example', secret: '%s'}", "webhooks[0].url: use an address that begins with https://"),
        ("{url: 'https://u:p@a.example', secret: '%s'}", "webhooks[0].url: write the address without a user"),
        ("{url: 'https://a.example', secret: plain}", "webhooks[0].secret: write whsec_ and 24 to 64 random bytes"),
        ("{url: 'https://a.example', secret: whsec_c2hvcnQ=}", "webhooks[0].secret: write whsec_"),
        ("{url: 'https://a.example'}", "webhooks[0].secret: is missing"),
        ("{url: 'https://a.example', secret: '%s', events: []}", "webhooks[0].events: list should have at least 1"),
        ("{url: 'https://a.example', secret: '%s', events: [call.lost]}", "webhooks[0].events[0]: input should be"),
        ("{url: 'https://a.example', secret: '%s'}, {url: 'https://a.example', secret: '%s'}",
         "webhooks[1].url: is also the address of an earlier webhook"),
    ],
)  # fmt: skip
def test_a_wrong_webhook_is_named(tmp_path: Path, webhook: str, problem: str) -> None:
    [found] = problems(tmp_path, f"prompt: Help.\nwebhooks: [{webhook.replace('%s', WEBHOOK_SECRET)}]\n")

    assert problem in found


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("timezone: 5", ["timezone: is not a time zone; use an IANA name, such as Europe/Moscow"]),
        (r'timezone: "\ud800"', ["timezone: is not a time zone; use an IANA name, such as Europe/Moscow"]),
        ("webhooks: 5", ["webhooks: input should be a valid list"]),
        ("disclosure: {xx: Hi}", ["disclosure.xx: is not the code of a language, such as de"]),
        ("disclosure: {ru: ''}", ["disclosure.ru: string should have at least 1 character"]),
        (
            "notice: Hi",
            ["notice: input should be a valid boolean", "notice: input should be a valid dictionary"],
        ),
        ("variables: {a: {default: x, requird: 1}}", ["variables.a.requird: is not a key of an agent's file here"]),
    ],
)
def test_a_value_of_a_wrong_kind_is_named_as_the_file_has_it(tmp_path: Path, text: str, named: list[str]) -> None:
    assert problems(tmp_path, f"prompt: x\n{text}\n") == [f"agent.yaml line 2: {problem}" for problem in named]
