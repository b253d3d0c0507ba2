"""YAML that remembers the line of everything, so that an error can name the line."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

LETTERS_MAX = 256 * 1024
"""The largest file, and the largest data after repeated parts have been copied."""
DEPTH_MAX = 50
PARTS_MAX = 20_000
"""Of a file, with those that it uses again: each costs some 50 µs, during which calls may wait."""

_BLOCKS = ("|", ">")
"""Styles of texts that begin on the line after their key."""

Path = Sequence[str | int]
"""Keys and positions from the top of the document down."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a place; line and column count from 1."""

    line: int
    column: int
    text: str


class BadYaml(ValueError):
    """The text cannot be read as one document of plain values."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} problems")


class MarkedYaml:
    """A document of YAML 1.2: its ``data``, and the line of each part. Raises BadYaml."""

    def __init__(self, text: str) -> None:
        try:
            _check_size(text)
            loader = _loader()
            root: Node | None = loader.compose(text)
            if root is not None and (problems := list(_misuses(root, ()))):
                raise BadYaml(problems)
            self.data: Any = loader.constructor.construct_document(root) if root is not None else None
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise BadYaml([Problem(line, column, str(error.problem or error.context))]) from None
        except ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            column = error.position - text.rfind("\n", 0, error.position)
            raise BadYaml([Problem(line, column, f"a character that YAML does not allow: {error.reason}")]) from None
        self._root = root
        self._text = text

    def line(self, path: Path) -> int:
        """The line of that part, or of the innermost part around it that exists."""
        return self._find(path)[1]

    def text_line(self, path: Path) -> int:
        """The line of the text's first letter. For a block (``prompt: |``), that is not the line of its key."""
        node, _ = self._find(path)
        if not isinstance(node, ScalarNode):
            return self.line(path)
        first: int = node.start_mark.line + 1
        blank = len(node.value[: len(node.value) - len(node.value.lstrip())].splitlines())
        return first + blank + (1 if node.style in _BLOCKS else 0)

    def written(self, path: Path) -> tuple[int, str]:
        """A part as it is written, quotes and folded lines included, and the line where it begins."""
        node, line = self._find(path)
        if node is None:
            return line, ""
        first: int = node.start_mark.line + 1
        return first, self._text[node.start_mark.index : node.end_mark.index]

    def _find(self, path: Path) -> tuple[Node | None, int]:
        node, line = self._root, 1
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            node, line = found
        return node, line


def _check_size(text: str) -> None:
    """Read only the parser's events, without recursion. Raises BadYaml for data that would take long to build."""
    if len(text) > LETTERS_MAX:
        raise BadYaml([Problem(1, 1, f"the file has more than {LETTERS_MAX} letters")])
    size = _Size()
    for event in _loader().parse(text):
        size.take(event)
        if (wrong := size.problem()) and event.start_mark is not None:
            raise BadYaml([Problem(event.start_mark.line + 1, event.start_mark.column + 1, wrong)])


class _Part(NamedTuple):
    """A part of the data. Each ``*a`` repeats the part named ``&a``, with everything in it."""

    letters: int
    parts: int
    levels: int


@dataclass(slots=True)
class _Open:
    anchor: str | None
    letters_before: int
    parts_before: int
    levels: int = 0


class _Size:
    """How large the data of a text would be, read event by event."""

    def __init__(self) -> None:
        self._letters = self._parts = 0
        self._levels_max = 0
        self._named: dict[str, _Part] = {}
        self._open: list[_Open] = []

    def take(self, event: Event) -> None:
        """The next event of the parser."""
        self._parts += 1
        match event:
            case AliasEvent():
                part = self._named.get(str(event.anchor), _Part(0, 0, 0))
                self._letters += part.letters
                self._parts += part.parts
                self._note_levels(part.levels)
            case CollectionEndEvent():
                self._close(self._open.pop())
            case CollectionStartEvent():
                self._open.append(_Open(event.anchor, self._letters, self._parts - 1))
                self._levels_max = max(self._levels_max, len(self._open))
                self._letters += 1
            case ScalarEvent():
                before = self._letters
                self._letters += len(event.value) + 1
                self._close(_Open(event.anchor, before, self._parts - 1, levels=-1))
            case _:
                pass

    def problem(self) -> str:
        """What is too large so far, if anything."""
        if self._levels_max > DEPTH_MAX:
            return f"it is nested deeper than {DEPTH_MAX}"
        for count, limit, what in ((self._letters, LETTERS_MAX, "letters"), (self._parts, PARTS_MAX, "parts")):
            if count > limit:
                return f"with the parts that it repeats, the file has more than {limit} {what}"
        return ""

    def _close(self, part: _Open) -> None:
        """Note that a part is complete, and how many levels it has."""
        levels = part.levels + 1
        self._note_levels(levels)
        if part.anchor:
            letters, parts = self._letters - part.letters_before, self._parts - part.parts_before
            self._named[part.anchor] = _Part(letters, parts, levels)

    def _note_levels(self, levels: int) -> None:
        self._levels_max = max(self._levels_max, len(self._open) + levels)
        if self._open:
            self._open[-1].levels = max(self._open[-1].levels, levels)


_WORDS = ("str", "timestamp", "value")
"""A date stays as it is written, and so does ``=``."""
_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("seq", "map", "null", "bool", "int", "float", "merge", *_WORDS)
)


class _Constructor(SafeConstructor):
    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """See ruamel.yaml. What does not fit its tag (``!!int two``) has a place, too; ``.inf`` is not a JSON number,
        and stays a word."""
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError):
            raise ConstructorError(problem="a value does not fit its tag", problem_mark=node.start_mark) from None
        return node.value if isinstance(value, float) and not math.isfinite(value) else value


for _name in _WORDS:
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_name}", SafeConstructor.construct_yaml_str)


def _loader() -> YAML:
    loader = YAML(typ="safe", pure=True)
    loader.Constructor = _Constructor
    return loader


def _child(node: Node | None, step: str | int) -> tuple[Node, int] | None:
    """The part under that key or at that position, and its line. A value under a key has the line of the key."""
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item, item.start_mark.line + 1
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
    return None


def _misuses(node: Node, around: tuple[Node, ...]) -> Iterator[Problem]:
    """Duplicate keys, of which YAML would silently take the last, and values that are not plain."""
    if node in around:
        yield _problem(node, "it holds itself")
        return
    if node.tag not in _TAGS:
        yield _problem(node, f"the tag {node.tag} is not known here")
    seen: set[str] = set()
    for key, value in node.value if isinstance(node, MappingNode) else ():
        if not isinstance(key, ScalarNode):
            yield _problem(key, "a key is a plain word")
            continue
        if key.value in seen:
            yield _problem(key, f"{key.value}: appears twice")
        seen.add(key.value)
        yield from _misuses(value, (*around, node))
    for item in node.value if isinstance(node, SequenceNode) else ():
        yield from _misuses(item, (*around, node))


def _problem(node: Node, text: str) -> Problem:
    return Problem(node.start_mark.line + 1, node.start_mark.column + 1, text)
