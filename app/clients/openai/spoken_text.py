"""Filters a model's text for speech: drops its reasoning, and tool calls written into the text.

A server that knows the model's format removes both itself. Other servers leave them in the text: reasoning between tags
(DeepSeek, Qwen, Mistral, Kimi, gpt-oss), tool calls between tags or as bare JSON (Hermes, Qwen, Llama, Mistral). Such
written calls are dropped and not run, because a caller may have made the model repeat them.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_THOUGHT_TAGS: Final = frozenset(
    {"think", "thinking", "thought", "thoughts", "reasoning", "reflection", "analysis", "scratchpad", "inner_monologue"}
    | {"seed:think"}
)
_CALL_TAGS: Final = frozenset(
    {"tool_call", "tool_calls", "toolcall", "function_call", "function_calls", "functioncall", "function", "tool_use"}
    | {"tool_code", "invoke", "minimax:tool_call"}
)
_TAG_MAX = 240
"""The longest tag with its attributes, in characters."""
_TAG = re.compile(r"<(/?)([a-z_][\w:.-]*)((?:[\s=][^<>]*)?)>", re.IGNORECASE)
_TAG_SO_FAR = re.compile(r"<(/?)([a-z_][\w:.-]*)?((?:[\s=][^<>]*)?)", re.IGNORECASE)
_TOKEN = re.compile(r"<[|｜][^<>|｜]{1,60}[|｜]>")
_TOKEN_SO_FAR = re.compile(r"<(?:[|｜](?:[^<>|｜]{1,60}[|｜]?)?)?")
_JSON = re.compile(r'\{\s*["}]|\[\s*\{\s*"')
_JSON_SO_FAR = re.compile(r"\{\s*|\[\s*(?:\{\s*)?")
_FENCE = "```"
_END_MAX = 48
"""The longest end of a block, in characters."""


def _ends(*texts: str) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, texts)), re.IGNORECASE)


_END_OF_THOUGHT = re.compile(rf"</(?:{'|'.join(_THOUGHT_TAGS)})\s{{0,9}}>|\[/THINK\]|◁/think▷", re.IGNORECASE)
_END_OF_ANSWER = re.compile(r"(?!)")
_BLOCKS: Final[dict[str, re.Pattern[str] | None]] = {
    "[TOOL_CALLS]": _END_OF_ANSWER,
    "<|python_tag|>": _END_OF_ANSWER,
    "<|tool_call|>": _END_OF_ANSWER,
    "<|tool_calls_section_begin|>": _ends("<|tool_calls_section_end|>"),
    "<|tool_call_begin|>": _ends("<|tool_call_end|>"),
    "<｜tool▁calls▁begin｜>": _ends("<｜tool▁calls▁end｜>"),
    "<|channel|>analysis": _ends("<|end|>", "<|channel|>final<|message|>"),
    "<|channel|>commentary": _ends("<|end|>", "<|call|>", "<|channel|>final<|message|>"),
    "<|channel|>final<|message|>": None,
    "<|start|>assistant": None,
    "<|begin_of_thought|>": _ends("<|end_of_thought|>"),
    "[THINK]": _END_OF_THOUGHT,
    "◁think▷": _END_OF_THOUGHT,
    _FENCE: _ends(_FENCE),
}
"""How blocks begin and end; without an end only the beginning is dropped."""
_LONE_ENDS: Final = ("[/THINK]", "◁/think▷")
_MAY_BEGIN = re.compile(r"[<\[{◁`]")


class Spoken(NamedTuple):
    """What a piece of the model's text adds to the spoken text."""

    text: str
    retracts: bool = False
    """Whether all text returned before was reasoning, and must be taken back."""


class SpeechFilter:
    """Filters one answer piece by piece; the result does not depend on how the text is cut.

    Only text that may begin a block waits for the next piece. A closing reasoning tag without an opening one shows that
    all text before it was reasoning, and retracts it. A server whose prompt contains the opening tag does that in every
    answer; with ``thinks_first`` the text waits for the end of the reasoning, or of the answer.
    """

    def __init__(self, *, thinks_first: bool = False) -> None:
        self._waits = thinks_first
        self._text = ""
        """Text that is not processed yet."""
        self._end: re.Pattern[str] | None = None
        """How the current block may end; None outside a block."""
        self._json: _JsonEnd | None = None
        self._given = False
        """Whether any text was returned and not retracted."""
        self._has_thought = False
        self._stray_end = False
        self.thought_first = False
        """Whether the answer had the end of reasoning without its beginning."""
        self.dropped_call = False
        """Whether a tool call was dropped."""

    def feed(self, text: str) -> Spoken:
        """Process the next piece."""
        self._text += text
        if self._waits:
            self._waits = _END_OF_THOUGHT.search(self._text) is None and not _begins_thought(self._text)
        return Spoken("") if self._waits else self._drain(is_end=False)

    def finish(self) -> Spoken:
        """Process the end of the text: a block without an end is dropped, and so is half a tag."""
        self._waits = False
        return self._drain(is_end=True)

    def _drain(self, *, is_end: bool) -> Spoken:
        spoken, retracts = "", False
        while self._text:
            if self._end is not None or self._json is not None:
                if not self._leave_block():
                    break
                continue
            begin = _MAY_BEGIN.search(self._text)
            plain = self._text if begin is None else self._text[: begin.start()]
            if plain:
                self._text = self._text[len(plain) :]
                if self._stray_end and plain.strip():
                    spoken, retracts = self._void(retracts)
                spoken += self._take(plain, has_text=bool(spoken))
                continue
            length = self._read_block(is_end=is_end)
            if length is None:
                break
            if length < 0:  # the reasoning had no opening tag
                spoken, retracts = self._void(retracts)
            elif length == 0:
                spoken += self._take(self._text[0], has_text=bool(spoken))
                self._text = self._text[1:]
        if spoken.strip():
            self._given = True
        return Spoken(spoken, retracts)

    def _void(self, retracts: bool) -> tuple[str, bool]:
        retracts, self._given, self._stray_end = retracts or self._given, False, False
        return "", retracts

    def _take(self, plain: str, *, has_text: bool) -> str:
        """Return plain text; drops white space at the beginning of the answer, which blocks leave behind."""
        return plain if self._given or has_text else plain.lstrip()

    def _read_block(self, *, is_end: bool) -> int | None:
        """Read and remove what may be the beginning of a block.

        Returns its length, 0 when it is not one, -1 at the end of reasoning that had no beginning, and None when the
        next piece decides.
        """
        text = self._text
        length = self._read_known(text)
        if length or not self._is_open(text):
            return length or self._read_token(text)
        if not is_end:
            return None
        if token := self._read_token(text):
            return token
        if len(text) == 1 or text[0] not in "<[◁":
            return 0
        self._text = ""  # half a tag
        return len(text)

    def _read_known(self, text: str) -> int:
        """Read a complete beginning or end of a block; as _read_block."""
        if text[0] in "{[" and _JSON.match(text):
            self._json, self.dropped_call = _JsonEnd(), True
            return len(text)
        for beginning, end in _BLOCKS.items():
            if text.startswith(beginning):
                self.dropped_call = self.dropped_call or "tool" in beginning.lower()
                return self._begin(len(beginning), end, thought=end is _END_OF_THOUGHT)
        if tag := _TAG.match(text, 0, _TAG_MAX):
            return self._read_tag(tag)
        if lone := _END_OF_THOUGHT.match(text):
            return self._end_thought(lone.end())
        return 0

    def _read_token(self, text: str) -> int:
        """Read a token of a chat template, which alone is dropped."""
        token = _TOKEN.match(text)
        return 0 if token is None else self._begin(token.end(), None)

    def _read_tag(self, tag: re.Match[str]) -> int:
        name, closes = tag[2].lower(), bool(tag[1])
        if name in _THOUGHT_TAGS:
            if closes:
                return self._end_thought(tag.end())
            return self._begin(tag.end(), _END_OF_THOUGHT, thought=True)
        if name in _CALL_TAGS:
            self.dropped_call = True
            return self._begin(tag.end(), None if closes else _ends(f"</{name}>"))
        return 0

    def _begin(self, length: int, end: re.Pattern[str] | None, *, thought: bool = False) -> int:
        self._text, self._end = self._text[length:], end
        self._has_thought = self._has_thought or thought
        return length

    def _end_thought(self, length: int) -> int:
        """Handle the end of reasoning. After reasoning with a beginning it is stray, unless the answer follows it."""
        self._text = self._text[length:]
        if self._has_thought:
            self._stray_end = True
            return length
        self._has_thought = self.thought_first = True
        return -1

    def _leave_block(self) -> bool:
        """Drop the text up to the end of the block; False while the end has not arrived."""
        if self._json is not None:
            end = self._json.find(self._text)
            self._text = "" if end is None else self._text[end:]
            if end is not None:
                self._json = None
            return end is not None
        found = None if self._end is None else self._end.search(self._text)
        if found is None:
            self._text = self._text[-_END_MAX:]
            return False
        self._text, self._end = self._text[found.end() :], None
        return True

    @staticmethod
    def _is_open(text: str) -> bool:
        """Whether the text may become the beginning of a block."""
        if any(known.startswith(text) for known in (*_BLOCKS, *_LONE_ENDS)):
            return True
        if len(text) >= _TAG_MAX:
            return False
        if _JSON_SO_FAR.fullmatch(text) or _TOKEN_SO_FAR.fullmatch(text):
            return True
        tag = _TAG_SO_FAR.fullmatch(text)
        if tag is None:
            return False
        name, names = (tag[2] or "").lower(), _THOUGHT_TAGS | _CALL_TAGS
        return name in names if tag[3] else any(known.startswith(name) for known in names)


class _JsonEnd:
    """Finds the end of a JSON object or list."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escaped = False

    def find(self, text: str) -> int | None:
        """The index after the end in the next piece of text, None when it continues."""
        for place, character in enumerate(text):
            if self._in_string:
                self._in_string = self._escaped or character != '"'
                self._escaped = character == "\\" and not self._escaped
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return place + 1
        return None


def is_call_written_out(text: str, names: Iterable[str]) -> bool:
    """Whether a text, sent together with calls of these names, is only the call written out."""
    text = text.strip()
    if re.match(r"[{<]|\[\s*[\[{]|```", text):
        return True
    return any(re.search(rf"(?<!\w){re.escape(name)}\W{{0,3}}[({{\[]", text) for name in names)


def _begins_thought(text: str) -> bool:
    tag = _TAG.match(text.lstrip())
    return tag is not None and not tag[1] and tag[2].lower() in _THOUGHT_TAGS
