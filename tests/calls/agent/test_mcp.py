"""Which tools of a server an agent has, and under which names."""

import importlib.util
from pathlib import Path

import pytest

from app.calls.agent.facts import UNKNOWN_CALL
from app.calls.agent.from_settings import agent_of_file
from app.calls.agent.mcp import McpServer, may_offer, offer
from app.calls.agent.profile import AgentProfile
from app.clients.http_tools import HttpEndpoint, RequestValues
from app.clients.mcp_tools import ListedTool
from app.conversation.policy import KeyMeaning
from app.errors import SettingsError
from app.settings import Settings

FIND = ListedTool("find.times", "Find", {"type": "object"}, is_read_only=True)
BOOK = ListedTool("book", "Book", {"type": "object"})
MOVE = ListedTool("move", "Move", {"type": "object"}, is_idempotent=True)


def a_server(name: str = "schedule", *allowed: str) -> McpServer:
    endpoint = HttpEndpoint(name, "POST", "https://mcp.example.org/mcp", {}, 5.0)
    return McpServer(endpoint, RequestValues(), allowed or None)


def test_a_tool_has_the_name_of_its_server_and_a_method_for_what_it_does() -> None:
    offered = offer([a_server()], {"schedule": [FIND, BOOK, MOVE]}, [])

    tools = [each.tool for each in offered.tools]
    assert [(tool.spec.name, tool.endpoint.method) for tool in tools] == [
        ("schedule_find_times", "GET"), ("schedule_book", "POST"), ("schedule_move", "PUT"),
    ]  # fmt: skip
    assert offered.problems == ()
    assert tools[0].describe()["url"] == "https://mcp.example.org/mcp"


def test_only_tools_on_the_list_are_offered_and_those_that_are_not_there_are_named() -> None:
    offered = offer([a_server("schedule", "book", "gone")], {"schedule": [FIND, BOOK]}, [])

    assert [each.listed for each in offered.tools] == [BOOK]
    assert offered.problems == ("schedule lists no tool gone",)


def test_nothing_is_missing_while_the_list_is_not_known() -> None:
    assert offer([a_server("schedule", "book")], {"schedule": None}, []).problems == ()


def test_a_name_that_is_taken_is_left_out_with_both_owners_named() -> None:
    lists = {
        "do": [ListedTool("not_call", "x", {})],
        "a": [ListedTool("b_c", "x", {}), BOOK],
        "a_b": [ListedTool("c", "x", {})],
    }

    offered = offer([a_server(name) for name in lists], lists, ["a_book"])

    assert [each.tool.spec.name for each in offered.tools] == ["a_b_c"]
    assert offered.problems == (
        "not_call of do is left out: its name here, do_not_call, is also that of a built-in tool",
        "book of a is left out: its name here, a_book, is also that of a tool of the file",
        "c of a_b is left out: its name here, a_b_c, is also that of b_c of a",
    )


def test_what_no_model_can_be_given_is_left_out() -> None:
    long, odd = ListedTool("x" * 60, "x", {}), ListedTool("odd", "x", {}, problem="its arguments are no object")
    many = [ListedTool(f"t{number}", "x", {}) for number in range(65)]

    problems = offer([a_server()], {"schedule": [long, odd, *many]}, []).problems

    assert [problem.partition(": ")[2] for problem in problems] == [
        f"its name here, schedule_{'x' * 60}, has more than 64 letters",
        "its arguments are no object",
        "an agent has 64 tools of servers at most; name some",
    ]


def test_a_key_whose_tool_is_not_there_is_named() -> None:
    keypad = [KeyMeaning("1", tool="schedule_book"), KeyMeaning("2", tool="schedule_gone"), KeyMeaning("3", tool="own")]
    problem = "the key 2 does nothing: schedule offers no tool schedule_gone"

    offered = offer([a_server(), a_server("other")], {"schedule": [BOOK], "other": []}, ["own"], keypad)
    unknown = offer([a_server()], {"schedule": None}, ["own"], keypad[1:])

    assert offered.problems == unknown.problems == (problem,)
    assert offered.missing == {"schedule": (problem,), "other": ()}


def test_a_key_may_name_what_a_server_may_offer() -> None:
    assert may_offer("schedule", None, "schedule_book")
    assert may_offer("schedule", ["find.times"], "schedule_find_times")
    assert not may_offer("schedule", ["find.times"], "schedule_book")
    assert not may_offer("schedule", None, "schedule_")
    assert not may_offer("schedule", None, "book")


def an_agent(folder: Path, servers: str) -> AgentProfile:
    path = folder / "clinic.yaml"
    path.write_text(f"prompt: Be kind.\nmcp_servers:\n{servers}")
    return agent_of_file(path, Settings())


def test_a_header_may_hold_values_of_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    agent = an_agent(
        tmp_path,
        "  - name: a\n    url: https://a.example/mcp\n"
        '    headers: {Authorization: "Bearer ${TOKEN}", X-To: "{{ language }}"}\n',
    )

    [server] = agent.for_call(agent.facts(UNKNOWN_CALL, "inbound"))[0].mcp_servers

    assert server.endpoint.headers["Authorization"].get_secret_value() == "Bearer secret"
    assert server.headers.headers["X-To"].get_secret_value() == agent.language
    described = agent.describe("1")["mcp_servers"]
    assert described == [
        {"name": "a", "url": "https://a.example/mcp", "headers": ["Authorization", "X-To"], "timeout_seconds": 5.0}
    ]


@pytest.mark.parametrize(
    ("servers", "problem"),
    [
        ("  - {name: A, url: 'https://a.example'}\n", "line 3: mcp_servers[0].name: string should match pattern"),
        ("  - {name: a, url: 'ftp://a.example'}\n", "mcp_servers[0].url: is not an address that begins with"),
        ("  - {name: a, url: 'https://a.example/{{ x }}'}\n", "mcp_servers[0].url: "),
        ("  - {name: a, url: 'https://a.example', timeout_seconds: 99}\n", "99 is more than 60"),
        ("  - {name: a, url: 'https://a.example', headers: {X-A: '{{ docter }}'}}\n", "docter is not known here"),
        (
            "  - {name: a, url: 'https://a.example'}\n  - {name: a, url: 'https://b.example'}\n",
            "line 4: mcp_servers[1].name: is also the name of an earlier server",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_its_line(tmp_path: Path, servers: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        an_agent(tmp_path, servers)

    assert problem in str(raised.value)


def test_without_the_package_the_file_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("app.clients.mcp_tools.find_spec", lambda name: None if name == "mcp" else found(name))

    with pytest.raises(SettingsError, match=r"mcp_servers: the package mcp is not installed; .* pip install \.\[mcp\]"):
        an_agent(tmp_path, "  - {name: a, url: 'https://a.example'}\n")
