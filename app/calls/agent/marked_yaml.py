"""YAML that remembers where everything stands, so that what is wrong with it can be shown by line."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

LETTERS_MAX = 256 * 1024
"""Of a file, and of what it becomes when it uses parts again."""
DEPTH_MAX = 50

Path = Sequence[str | int]
"""Keys and positions from the top of the document down."""

_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
)
"""YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): in 1.1 ``no`` is false and ``10:30`` is 630."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a place; line and column count from 1."""

    line: int
    column: int
    text: str


class BadYaml(ValueError):
    """It cannot be read as one document of plain values."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} problems")


class MarkedYaml:
    """A document: its ``data``, and the line of each part. Raises BadYaml."""

    def __init__(self, text: str) -> None:
        try:
            _check_size(text)
            loader = _Loader(text)
            root = loader.get_single_node()
            if root is not None and (problems := list(_misuses(root, ()))):
                raise BadYaml(problems)
            self.data: Any = loader.construct_document(root) if root is not None else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise BadYaml([Problem(line, column, str(error.problem or error.context))]) from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            column = error.position - text.rfind("\n", 0, error.position)
            raise BadYaml([Problem(line, column, f"a character that YAML does not allow: {error.reason}")]) from None
        except BadYaml:
            raise
        except ValueError as error:  # such as !!int two
            raise BadYaml([Problem(1, 1, "a value does not fit the tag before it")]) from error
        self._root = root

    def line(self, path: Path) -> int:
        """Where that part stands, or the innermost part around it that exists."""
        node, line = self._root, 1
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            node, line = found
        return line


def _check_size(text: str) -> None:
    """Read the marks of the text alone, without recursion. Raises BadYaml for what would take long to build."""
    if len(text) > LETTERS_MAX:
        raise BadYaml([Problem(1, 1, f"the file has more than {LETTERS_MAX} letters")])
    size = _Size()
    for event in yaml.parse(text, Loader=_Loader):
        size.take(event)
        if (wrong := size.problem()) and event.start_mark is not None:
            raise BadYaml([Problem(event.start_mark.line + 1, event.start_mark.column + 1, wrong)])


class _Size:
    """Of what a text becomes: a part that is named (``&a``) counts again, with all that is in it, at each ``*a``."""

    def __init__(self) -> None:
        self._total = 0
        self._named: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []

    def take(self, event: Any) -> None:
        """The next event of the parser."""
        if isinstance(event, yaml.AliasEvent):
            self._total += self._named.get(str(event.anchor), 0)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._name(*self._open.pop())
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, self._total))
            self._total += 1
        elif isinstance(event, yaml.ScalarEvent):
            before = self._total
            self._total += len(event.value) + 1
            self._name(event.anchor, before)

    def problem(self) -> str:
        """What is too much, so far."""
        if len(self._open) > DEPTH_MAX:
            return f"it is nested deeper than {DEPTH_MAX}"
        return (
            f"with what it uses again the file has more than {LETTERS_MAX} letters" if self._total > LETTERS_MAX else ""
        )

    def _name(self, name: str | None, before: int) -> None:
        if name:
            self._named[name] = self._total - before


_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map", *(name for name, *_ in _CORE_SCHEMA)))


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - so is the one of the class above


for _name, _pattern, _first in _CORE_SCHEMA:
    _firsts = [*_first.rstrip("\0"), *([""] if _first.endswith("\0") else [])]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), _firsts)


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, int] | None:
    """The part under that key or at that position, and its line: of a value under a key, the line of the key."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item, item.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
    return None


def _misuses(node: yaml.Node, around: tuple[yaml.Node, ...]) -> Iterator[Problem]:
    """Keys that are there twice, of which YAML would silently take the last, and what is no plain value."""
    if node in around:
        yield _problem(node, "it holds itself")
        return
    if node.tag not in _TAGS:
        yield _problem(node, f"the tag {node.tag} is not known here")
    seen: set[str] = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode):
            yield _problem(key, "a key is a plain word")
            continue
        if key.value in seen:
            yield _problem(key, f"{key.value}: is there twice")
        seen.add(key.value)
        yield from _misuses(value, (*around, node))
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        yield from _misuses(item, (*around, node))


def _problem(node: yaml.Node, text: str) -> Problem:
    return Problem(node.start_mark.line + 1, node.start_mark.column + 1, text)
