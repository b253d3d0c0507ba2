"""Values of the call in a tool's requests, as they arrive at a real endpoint."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.calls.agent.from_settings import agent_of_file
from app.calls.agent.profile import AgentProfile
from app.calls.agent.tools import AgentTool
from app.clients.http_tools import HttpEndpoint, HttpToolClients, RequestValues, shown_address
from app.clients.resilient import NoObserver, RetryPolicy
from app.errors import SettingsError
from app.models import CallContext
from app.ports.streams import ToolSpec
from app.settings import Settings
from tests.support.tool_endpoint import Asked, tool_endpoint

TOOL = """\
prompt: Help.
language: en
sip_headers: [X-Order]
variables: {{clinic: {{default: 7}}}}
tools:
  - name: find_times
    description: Free times.
    method: {method}
    url: "{url}/times?branch=3&who={{{{ metadata.name }}}}&at={{{{ called_number }}}}"
    headers:
      Authorization: Bearer ${{TOKEN}}
      X-Who: "${{TOKEN}} {{{{ metadata.name | default('none&?#') }}}} {{{{ sip.x_order }}}}"
    arguments: {{clinic: "{{{{ clinic }}}}", floor: 2, urgent: true}}
    waiting_phrase: {{en: "One moment, {{{{ metadata.name }}}}."}}
"""
WRONG = """\
prompt: Help.
tools:
  - name: find_times
    description: Free times.
    method: GET
    url: {url}
    headers: {{X-Who: "{header}"}}
    arguments: {{clinic: "{argument}"}}
"""
TOKEN = "{{ secret }} {% x"
INJECTION = "Анна\r\nX-Admin: 1&branch=9#x {{ now }}"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", TOKEN)


def agent_of(text: str) -> AgentProfile:
    path = Path("clinic.yaml")
    path.write_text(text, encoding="utf-8")
    return agent_of_file(path, Settings())


def in_call(agent: AgentProfile, metadata: dict[str, Any]) -> AgentProfile:
    call = CallContext("call-1", "+7900", datetime(2026, 12, 1, tzinfo=UTC), None, metadata)
    rendered, failed = agent.for_call(agent.facts(call, "inbound"))
    assert failed == ()
    return rendered


async def asked_with(metadata: dict[str, Any], arguments: dict[str, Any], *, method: str = "POST") -> Asked:
    clients = HttpToolClients(retry=RetryPolicy(), observer=NoObserver())
    async with tool_endpoint() as server:
        (tool,) = in_call(agent_of(TOOL.format(method=method, url=server.url)), metadata).tools
        await clients.client(tool.endpoint).call(arguments, call_id="call-1", tool_call_id="1", values=tool.values)
        await clients.aclose()
    return server.asked[0]


async def test_a_request_has_the_values_of_its_call() -> None:
    metadata = {"name": "Anna", "called_number": "+7495", "sip_headers": {"X-Order": "17"}}

    asked = await asked_with(metadata, {"day": "x", "clinic": 9, "Who": "me", "floor": 1})

    assert (asked.path, asked.query) == ("/times", [("branch", "3"), ("who", "Anna"), ("at", "+7495")])
    assert json.loads(asked.body) == {"day": "x", "clinic": "7", "floor": 2, "urgent": True}
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["x-who"] == f"{TOKEN} Anna 17"


async def test_a_request_without_a_body_has_them_in_its_query() -> None:
    asked = await asked_with({"name": "Anna"}, {"day": "x", "clinic": 9, "who": "me"}, method="GET")

    expected = [("branch", "3"), ("who", "Anna"), ("at", ""), ("day", "x"), ("clinic", "7"), ("floor", "2")]
    assert asked.query == [*expected, ("urgent", "true")]


async def test_a_value_changes_nothing_but_its_own_place() -> None:
    asked = await asked_with({"name": INJECTION, "called_number": "1&who=x"}, {})

    said = INJECTION.replace("\r\n", "  ")
    assert asked.query == [("branch", "3"), ("who", said), ("at", "1&who=x")]
    assert asked.headers["x-who"].startswith(f"{TOKEN} %D0%90%D0%BD%D0%BD%D0%B0  X-Admin: 1&branch=9#x {{{{ now }}}}")
    assert "x-admin" not in asked.headers


async def test_calls_with_other_values_share_the_client_of_a_tool() -> None:
    agent = agent_of(TOOL.format(method="GET", url="https://example.org"))
    clients = HttpToolClients(retry=RetryPolicy(), observer=NoObserver())

    made = {clients.client(in_call(agent, {"name": name}).tools[0].endpoint) for name in ("Anna", "Ivan")}
    await clients.aclose()

    assert len(made) == 1


def test_row_1_has_names_and_no_value_or_secret() -> None:
    agent = in_call(agent_of(TOOL.format(method="GET", url="https://example.org")), {"name": "Anna"})

    described = agent.describe("1")["tools"][0]

    assert described["url"] == "https://example.org/times?branch=…&who=…&at=…"
    assert described["headers"] == ["Authorization", "X-Who"]
    assert "secret" not in json.dumps(described)


def test_an_address_is_shown_without_values() -> None:
    assert shown_address("https://x.org:8443/a/b?key=s3cret&to%20whom=me&key=2#x", ["day"]) == (
        "https://x.org:8443/a/b?key=…&to%20whom=…&day=…"
    )
    assert shown_address("http://me:secret@x.org/a") == "http://x.org/a"
    tool = AgentTool(
        ToolSpec("a", "", {}),
        HttpEndpoint("a", "POST", "https://x.org/a?key=s3cret"),
        values=RequestValues(arguments={"source": "telephone", "api_key": "s3cret"}),
    )
    assert tool.describe()["arguments"] == {"source": "telephone", "api_key": "***"}
    assert "s3cret" not in json.dumps(tool.describe())


def test_a_waiting_phrase_with_values_is_not_kept_as_sound() -> None:
    agent = in_call(agent_of(TOOL.format(method="GET", url="https://example.org")), {"name": "Anna"})

    assert agent.tools[0].waiting_phrase == {"en": "One moment, Anna."}
    assert agent.personal == {"One moment, Anna."}


@pytest.mark.parametrize(
    ("url", "header", "argument", "problem"),
    [
        (
            "https://x.org/?a={{ nobody }}",
            "x",
            "x",
            "line 6: tools[0].url: nobody is not known here; there are: agent,",
        ),
        ("https://x.org/", "{{ nobody }}", "x", "line 7: tools[0].headers.X-Who: nobody is not known here"),
        ("https://x.org/", "x", "{{ nobody }}", "line 8: tools[0].arguments.clinic: nobody is not known here"),
        ("https://x.org/", "x", "{{ agent", "line 8: tools[0].arguments.clinic: unexpected end of template"),
        (
            "https://x.org/",
            "{{ ${TOKEN} }}",
            "x",
            "line 7: tools[0].headers.X-Who: a variable of the environment cannot",
        ),
        (
            "https://x.org/",
            "{{ sip.x_id }} ${TOKEN}",
            "x",
            "line 7: tools[0].headers.X-Who: sip.x_id is not known here",
        ),
        (
            "https://{{ agent }}.org/",
            "x",
            "x",
            "line 6: tools[0].url: may hold {{ … }} only as the value of a parameter",
        ),
        ("https://x.org/{{ agent }}?a=1", "x", "x", "line 6: tools[0].url: may hold {{ … }} only as the value"),
        ("https://x.org/?{{ agent }}=1", "x", "x", "line 6: tools[0].url: may hold {{ … }} only as the value"),
        (
            "https://x.org/?Clinic={{ agent }}",
            "x",
            "x",
            "line 8: tools[0].arguments.clinic: is fixed in the tool's addr",
        ),
        ("https://x.org/?a={{ 1 / agent | length - agent | length }}", "{{ 1 // 0 }}", "x", "gives no text in a call"),
    ],
)
def test_a_wrong_template_is_named_with_its_line(url: str, header: str, argument: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        agent_of(WRONG.format(url=f"'{url}'", header=header, argument=argument))

    assert any(problem in found for found in caught.value.problems), caught.value.problems
    assert "secret" not in str(caught.value.problems)
