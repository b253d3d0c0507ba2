"""What OpenAI's two APIs share: the request, the answer and its timing, and the token usage."""

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sandbox.vendors.openai.quoting import quoted_answer
from sandbox.vendors.openai.roles import role_answer
from sandbox.vendors.openai.spoiling import finish_reason, spoilt_reply
from sandbox.vendors.openai.structured import structured_answer
from sandbox.vendors.small_talk import talk
from sandbox.vendors.stage import Reply, ScriptedToolCall, Stage

_CHARACTERS_PER_TOKEN = 3.5
_CACHED_FROM_TOKENS = 1024
_CACHED_STEP_TOKENS = 128
_KEPT_PREFIXES = 4096
_TOKEN = re.compile(r"\s*\S{1,6}|\s+")
_ARGUMENT_PIECE = 5


class BadRequest(ValueError):
    """The request gets 400, or 404 for an unknown model, with this message."""

    def __init__(self, message: str, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, independent of the API it came through."""

    model: str
    messages: list[dict[str, Any]]
    heard: str
    """The user's last line."""
    after_tool: bool
    """Whether the last message is a tool's result."""
    tools: dict[str, Any]
    """The JSON schemas of the tools' arguments, by tool name."""
    stream: bool
    include_usage: bool
    max_tokens: int | None
    schema: dict[str, Any] | None = None
    """The JSON schema that the answer has to fit."""
    echoed: dict[str, Any] = field(default_factory=dict)
    """The parts of the request that the answer repeats."""


class Usage(NamedTuple):
    """Token counts."""

    prompt: int
    cached: int
    completion: int


@dataclass(frozen=True, slots=True)
class TextPiece:
    """One token of text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolStart:
    """A tool call begins; its arguments follow."""

    index: int
    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolPiece:
    """A fragment of a tool call's arguments; not JSON by itself."""

    index: int
    text: str


Piece = TextPiece | ToolStart | ToolPiece


class PromptCache:
    """The prompt prefixes seen so far; the least recently seen is dropped first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()

    def cached_tokens(self, messages: list[dict[str, Any]], tools: dict[str, Any]) -> int:
        """The tokens of the longest prefix seen before; adds this prompt."""
        prefix = json.dumps(tools, ensure_ascii=False)
        longest = 0
        for message in messages:
            prefix += json.dumps(message, ensure_ascii=False)
            key = f"{len(prefix)}:{hash(prefix)}"
            if key in self._seen:
                longest = len(prefix)
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > _KEPT_PREFIXES:
            self._seen.popitem(last=False)
        tokens = int(longest / _CHARACTERS_PER_TOKEN)
        return tokens // _CACHED_STEP_TOKENS * _CACHED_STEP_TOKENS if tokens >= _CACHED_FROM_TOKENS else 0


def count_tokens(text: str) -> int:
    """An estimate, at least 1."""
    return max(1, round(len(text) / _CHARACTERS_PER_TOKEN))


class Answering:
    """One answer being written: the scripted reply, or small talk."""

    def __init__(
        self,
        stage: Stage,
        asked: Asked,
        call_id: str | None,
        received_at: float,
        cache: PromptCache,
        *,
        breaks_off: bool,
        fault: str | None = None,
    ) -> None:
        """``breaks_off``: a fault will cut the answer short. ``fault`` is the kind of a content fault, if any."""
        self.fault = fault
        self.asked = asked
        self._stage = stage
        self._call_id = call_id
        self._received_at = received_at
        self._chance = stage.chance("openai", call_id)
        self.request_id = f"req_{self._chance.getrandbits(64):016x}"
        self.id = f"{self._chance.getrandbits(96):024x}"
        if asked.schema is None:
            scripted = stage.next_reply(call_id, _conversation_before(asked), asked.heard, keep=breaks_off)
            quoted = None if asked.after_tool else quoted_answer(_instructions(asked), asked.heard)
            reply = scripted or quoted or talk(asked.heard, asked.tools, found=_tool_result(asked))
            reply = replace(reply, text=_rest(reply.text, asked.messages))
        else:
            reply = Reply(role_answer(asked.schema, asked.heard) or structured_answer(asked.schema, asked.heard))
        self.reply: Reply = spoilt_reply(fault, reply)
        self.text = ""
        """The text so far."""
        self.tool_calls: list[dict[str, str]] = []
        """The tool calls so far, each with ``id``, ``name`` and ``arguments``."""
        self.finish_reason = finish_reason(fault, "stop")
        self._cached = cache.cached_tokens(asked.messages, asked.tools)
        self._completion = 0

    async def pieces(self) -> AsyncGenerator[Piece]:
        """The answer, token by token, at the speed of the profile."""
        profile = self._stage.profile
        delay = profile.first_token.draw(self._chance) if self.reply.delay is None else self.reply.delay
        await asyncio.sleep(max(0.0, self._received_at + delay - asyncio.get_running_loop().time()))
        for number, piece in enumerate(self._cut()):
            if number:
                await asyncio.sleep(profile.token.draw(self._chance))
            if self._completion == self.asked.max_tokens:
                self.finish_reason = "length"
                break
            self._completion += 1
            self._take(piece)
            # Before sending: the client may have passed it on before this task continues.
            self._note("delta" if number else "first_delta", characters=len(self.text))
            yield piece
        if self.asked.schema is None:
            self._stage.reply_given(self._call_id)
        self._note("done", characters=len(self.text))

    def usage(self) -> Usage:
        """The token counts so far."""
        prompt = json.dumps(self.asked.messages, ensure_ascii=False) + json.dumps(self.asked.tools, ensure_ascii=False)
        return Usage(count_tokens(prompt), min(self._cached, count_tokens(prompt)), self._completion)

    def _cut(self) -> list[Piece]:
        pieces: list[Piece] = [TextPiece(token) for token in _TOKEN.findall(self.reply.text)]
        for index, call in enumerate(self.reply.tool_calls):
            arguments = _as_text(call)
            pieces.append(ToolStart(index, f"call_{self.id[:16]}{index}", call.name))
            cuts = range(0, len(arguments), _ARGUMENT_PIECE)
            pieces += [ToolPiece(index, arguments[cut : cut + _ARGUMENT_PIECE]) for cut in cuts]
        return pieces

    def _take(self, piece: Piece) -> None:
        match piece:
            case TextPiece(text):
                self.text += text
            case ToolStart(_, call_id, name):
                self.finish_reason = "tool_calls"
                self.tool_calls.append({"id": call_id, "name": name, "arguments": ""})
            case ToolPiece(index, text):
                self.tool_calls[index]["arguments"] += text

    def _note(self, event: str, *, characters: int) -> None:
        if self.asked.schema is None:  # else it is no answer to the caller
            self._stage.note("openai", event, self._call_id, chars=characters, requested_at=self._received_at)


def _rest(text: str, messages: list[dict[str, Any]]) -> str:
    """The text without its beginning, when that is the model's own last message, which it is to continue."""
    said = [message for message in messages if message.get("role") not in ("system", "developer")]
    begun = text_of(said[-1].get("content")) if said and said[-1].get("role") == "assistant" else ""
    return text.removeprefix(begun)


def _tool_result(asked: Asked) -> str | None:
    """What a tool has just answered, in either API; None if none has."""
    last = asked.messages[-1]
    return str(last.get("output") or last.get("content") or "") if asked.after_tool else None


def _conversation_before(asked: Asked) -> str:
    """The conversation without the user's last line and without the instructions, as a key.

    A message of the model after the user's last line is the beginning of the answer, and not before it.
    """
    said = [message for message in asked.messages if message.get("role") not in ("system", "developer")]
    if said and said[-1].get("role") == "assistant" and not said[-1].get("tool_calls"):
        said.pop()
    last = max((index for index, message in enumerate(said) if message.get("role") == "user"), default=-1)
    return json.dumps([message for index, message in enumerate(said) if index != last], ensure_ascii=False)


def _instructions(asked: Asked) -> list[str]:
    """What stands in the request besides the conversation."""
    roles = ("system", "developer")
    return [text_of(message.get("content")) for message in asked.messages if message.get("role") in roles]


def _as_text(call: ScriptedToolCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def check_model(body: dict[str, Any]) -> str:
    """The model's name; raises :class:`BadRequest`."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter")
    if not model.startswith("gpt-"):
        raise BadRequest("The model does not exist or you do not have access to it.", "model_not_found", 404)
    return model
