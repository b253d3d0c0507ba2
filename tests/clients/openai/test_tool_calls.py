from typing import Any

import pytest

from app.clients.openai.requests import OpenAIOptions, request_body
from app.clients.openai.tool_calls import ChatCalls
from app.clients.openai.values import readable_arguments
from app.models import Message
from app.ports.streams import ToolCall

Piece = dict[str, Any]


def piece(name: str | None = None, arguments: Any = "", call_id: str | None = None, index: int | None = None) -> Piece:
    """A piece of a call with the fields that are given."""
    named = {"name": name} if name is not None else {}
    place: Piece = {"index": index} if index is not None else {}
    return place | ({"id": call_id} if call_id else {}) | {"function": named | {"arguments": arguments}}


def taken(*pieces: Piece, cut_off: bool = False) -> list[ToolCall]:
    calls = ChatCalls()
    for each in pieces:
        calls.add(each)
    return calls.take(cut_off=cut_off)


TWO_CALLS: dict[str, tuple[Piece, ...]] = {
    "as OpenAI": (
        *(piece("book", "", "a", 0), piece(arguments='{"x":', index=0), piece(arguments="1}", index=0)),
        *(piece("look", "", "b", 1), piece(arguments="{}", index=1)),
    ),
    "both index 0, no ids": (piece("book", '{"x":1}', index=0), piece("look", "{}", index=0)),
    "both index 0, no ids, in pieces": (
        *(piece("book", "", index=0), piece(arguments='{"x":', index=0), piece(arguments="1}", index=0)),
        *(piece("look", "", index=0), piece(arguments="{}", index=0)),
    ),
    "no index and no ids": (piece("book", '{"x":1}'), piece("look", "{}")),
    "no index and no ids, in pieces": (
        *(piece("book"), piece(arguments='{"x":'), piece(arguments="1}"), piece("look"), piece(arguments="{}")),
    ),
    "no index, mixed by their ids": (
        *(piece("book", '{"x":', "a"), piece("look", "{", "b"), piece(arguments="1}", call_id="a")),
        piece(arguments="}", call_id="b"),
    ),
    "the name again with each piece": (
        *(piece("book", '{"x":', index=0), piece("book", "1}", index=0), piece("look", "{}", index=1)),
    ),
    "arguments as objects": (piece("book", {"x": 1}), piece("look", {})),
}


@pytest.mark.parametrize("pieces", TWO_CALLS.values(), ids=TWO_CALLS)
def test_two_calls_are_two_calls_however_they_are_numbered(pieces: tuple[Piece, ...]) -> None:
    calls = taken(*pieces)
    assert [(call.name, call.arguments.replace(" ", "")) for call in calls] == [("book", '{"x":1}'), ("look", "{}")]


def test_two_calls_of_one_tool_are_two_calls_without_any_number() -> None:
    assert [call.arguments for call in taken(piece("book", '{"x":1}'), piece("book", '{"x":2}'))] == [
        '{"x":1}',
        '{"x":2}',
    ]


@pytest.mark.parametrize("nothing", [None, "", " ", "\n", "null", {}, "{}"])
def test_a_call_without_arguments_has_none(nothing: Any) -> None:
    (call,) = taken(piece("book", nothing))
    assert call.arguments.strip() == "{}"
    (call,) = taken({"function": {"name": "book"}})
    assert call.arguments == "{}"


def test_of_an_answer_that_was_cut_off_only_whole_calls_are_taken() -> None:
    pieces = piece("book", '{"x":1}', "a", 0), piece("look", '{"y', "b", 1), piece("hear", "", "c", 2)
    assert [call.name for call in taken(*pieces, cut_off=True)] == ["book"]
    assert [call.name for call in taken(*pieces)] == ["book", "look", "hear"]


def test_a_call_is_taken_once_and_one_without_a_name_never() -> None:
    calls = ChatCalls()
    calls.add(piece("book", "{}", "a", 0))
    calls.add(piece(None, "{}", "b", 1))
    assert len(calls.take(cut_off=False)) == 1
    assert calls.take(cut_off=False) == []


@pytest.mark.parametrize(
    "unreadable", ["{", '{"x": 1', "[1]", "5", "book it", '{"x": NaN}', '{"x": "\\ud800"}', "{" * 100_000, "{}{}"]
)
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_arguments_that_cannot_be_read_are_kept_as_written_and_go_back_as_none(unreadable: str, api: Any) -> None:
    (call,) = taken(piece("book", unreadable))
    assert call.arguments == unreadable
    assert readable_arguments(unreadable) is None
    asked = {"id": "a", "name": call.name, "arguments": call.arguments}
    dialogue = [
        Message("user", "Hi"),
        Message("assistant", "", metadata={"tool_calls": [asked]}),
        Message("tool", "not run", metadata={"tool_call_id": "a"}),
    ]
    body = request_body(OpenAIOptions(api=api), dialogue, ())
    sent = body["messages"][1]["tool_calls"][0]["function"] if api == "chat" else body["input"][1]
    assert (sent["name"], sent["arguments"]) == ("book", "{}")


def test_a_name_that_no_server_would_take_back_goes_back_as_one_that_it_does() -> None:
    for name, sent in (("functions.book", "functions_book"), ("b" * 99, "b" * 64), ("", "unknown")):
        asked = {"id": "a", "name": name, "arguments": "{}"}
        dialogue = [Message("assistant", "", metadata={"tool_calls": [asked]})]
        body = request_body(OpenAIOptions(api="chat"), dialogue, ())
        assert body["messages"][0]["tool_calls"][0]["function"]["name"] == sent


def test_an_object_within_a_string_is_taken_out() -> None:
    (call,) = taken(piece("book", '"{\\"x\\": 1}"'))
    assert call.arguments == '{"x": 1}'
