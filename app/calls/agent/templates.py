"""Texts of an agent with places for values: ``{{ caller_number }}``, as Jinja2 writes them, in its immutable sandbox.

The service checks a template against the known names when it reads the agent. So a mistake shows at the start and not
during a call. https://jinja.palletsprojects.com/en/stable/templates/ describes the language.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:  # loaded when the first template is read: most agents have none, and it takes 50 ms
    from jinja2 import Template as Compiled
    from jinja2 import nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

_MARKS = ("{{", "{%", "{#")
"""What makes a text a template."""
_NO_FIT = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError)
"""What a template raises when the values do not fit it, besides the errors of Jinja2."""


_CONVERTING = ("int", "float", "round", "abs", "string", "trim", "lower", "upper", "title", "capitalize")
"""Filters that make one value of another. Of a value that the text must not show, they make another such value."""


class TemplateProblem(Exception):
    """Everything that is wrong with one template: each problem with its line in the text, counted from 1."""

    def __init__(self, problems: list[tuple[int, str]]) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} problems")


@dataclass(frozen=True, slots=True)
class Names:
    """What a template may ask for."""

    values: frozenset[str]
    """Names of single values."""
    open_groups: frozenset[str] = frozenset()
    """Groups whose members only the call knows: ``metadata`` allows ``metadata.order``."""
    groups: Mapping[str, frozenset[str]] | None = None
    """Groups whose members are known: ``sip``, with the headers that the agent lists."""

    def choices(self) -> str:
        """The known names, for an error message."""
        closed = [f"{group}.{name}" for group, names in (self.groups or {}).items() for name in names]
        return ", ".join([*sorted(self.values), *sorted(closed), *(f"{group}.…" for group in sorted(self.open_groups))])


def is_template(text: str) -> bool:
    """Whether a text has places for values."""
    return any(mark in text for mark in _MARKS)


class Template:
    """One text. Raises TemplateProblem for an unknown name, or when the text is not a valid template."""

    def __init__(self, text: str, names: Names) -> None:
        self.text = text
        self._compiled = _compile(text, names) if is_template(text) else None

    def __repr__(self) -> str:
        return f"<Template of {len(self.text)} letters>"

    @property
    def is_plain(self) -> bool:
        """Whether the text is the same in every call."""
        return self._compiled is None

    def render(self, values: Mapping[str, Any]) -> str:
        """The text of one call. Raises RenderError when the template cannot use these values."""
        if self._compiled is None:
            return self.text
        from jinja2.exceptions import TemplateError

        try:
            return self._compiled.render(values)
        except (TemplateError, *_NO_FIT) as error:
            raise RenderError(type(error).__name__, _line(error)) from None  # the message may quote a value


class RenderError(Exception):
    """A template could not be rendered. The text is the name of the error, and quotes no value."""

    def __init__(self, name: str, line: int) -> None:
        self.line = line
        """The line of the template, counted from 1."""
        super().__init__(name)


def _line(error: BaseException) -> int:
    """The line of a template where the error arose. Jinja2 has put it into the traceback."""
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == "<template>"]
    return lines[-1] if lines else 1


@runtime_checkable
class Hidden(Protocol):
    """A value that templates may ask about, and must not show."""

    def converted(self, convert: Callable[[Any], Any]) -> Any:
        """The value that ``convert`` makes of this one, hidden as well."""


def _of_value(convert: Callable[..., Any]) -> Callable[..., Any]:
    def of_value(value: Any, *more: Any, **named: Any) -> Any:
        if isinstance(value, Hidden):
            return value.converted(lambda inner: convert(inner, *more, **named))
        return convert(value, *more, **named)

    return of_value


@cache
def _environment() -> "ImmutableSandboxedEnvironment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.clear()
    environment.filters |= {name: _of_value(environment.filters[name]) for name in _CONVERTING}
    return environment


def _compile(text: str, names: Names) -> "Compiled":
    from jinja2 import TemplateSyntaxError, nodes

    environment = _environment()
    try:
        tree = environment.parse(text)
        compiled = environment.from_string(text)
    except TemplateSyntaxError as error:
        raise TemplateProblem([(error.lineno, error.message or "is not a template")]) from None
    except (RecursionError, MemoryError, SyntaxError):
        raise TemplateProblem([(1, "is nested too deep for a template")]) from None
    problems = [(node.lineno, "a template here cannot use another file") for node in tree.find_all(_files(nodes))]
    problems += [
        (line, f"{name} is not known here; there are: {names.choices()}") for line, name in _unknown(tree, names)
    ]
    if problems:
        raise TemplateProblem(problems)
    return compiled


def _files(nodes: Any) -> Any:
    return (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


def _unknown(tree: "nodes.Template", names: Names) -> list[tuple[int, str]]:
    """Names without a value, each once, with the line of its first use."""
    from jinja2 import meta, nodes

    asked = meta.find_undeclared_variables(tree) | {"self"}  # the template itself
    closed = names.groups or {}
    known = names.values | names.open_groups | closed.keys()
    found: dict[str, int] = {}
    for name in tree.find_all(nodes.Name):
        if name.name in asked and name.name not in known:
            found.setdefault(name.name, name.lineno)
    parts: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
    for part in parts:
        group, member = part.node, _member(part)
        if isinstance(group, nodes.Name) and member is not None and member not in closed.get(group.name, {member}):
            found.setdefault(f"{group.name}.{member}", part.lineno)
    return sorted((line, name) for name, line in found.items())


def _member(part: Any) -> str | None:
    from jinja2 import nodes

    if isinstance(part, nodes.Getattr):
        return part.attr
    return part.arg.value if isinstance(part.arg, nodes.Const) and isinstance(part.arg.value, str) else None


def names_of(values: Collection[str], **groups: Collection[str] | None) -> Names:
    """Names of single values and of groups. A group has its members, or None if only the call knows them."""
    return Names(
        frozenset(values),
        frozenset(name for name, members in groups.items() if members is None),
        {name: frozenset(members) for name, members in groups.items() if members is not None},
    )
