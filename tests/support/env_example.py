"""Writes .env.example from the source of app/settings.py: ``python -m tests.support.env_example``."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

import app.settings
from app.settings import Settings

ROOT = Path(__file__).parents[2]
_HEAD = """\
# Every setting of the service. Copy this file to .env and fill in what you need; the environment goes before it.
# An empty value counts as not set; a line behind a # shows the default.
# Written from app/settings.py by: make env-example
"""
_TITLE = re.compile(r"\s+# --- (?P<title>.+?) -+")


def env_example() -> str:
    """The text of the file: in the order of the class, each setting under the first line of its docstring."""
    return "\n".join((_HEAD, *_lines(Path(app.settings.__file__).read_text(encoding="utf-8"))))


def environment_names(key: str, field: FieldInfo) -> tuple[str, ...]:
    """Names under which the setting is read, the first choice first."""
    alias = field.validation_alias
    return tuple(str(choice) for choice in alias.choices) if isinstance(alias, AliasChoices) else (key.upper(),)


def _lines(source: str) -> Iterator[str]:
    titles = list(_titles(source))
    for line, key, meaning in _documented_fields(source):
        while titles and titles[0][0] < line:
            yield f"# --- {titles.pop(0)[1]}\n"
        field = Settings.model_fields[key]
        value = _written(field.default)
        yield f"# {meaning.replace('``', '`')}"
        yield f"{'#' if value else ''}{environment_names(key, field)[0]}={value}\n"


def _titles(source: str) -> Iterator[tuple[int, str]]:
    """Line and words of every ``# --- title ---``."""
    for number, line in enumerate(source.splitlines(), start=1):
        if found := _TITLE.match(line):
            yield number, found["title"]


def _documented_fields(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, name and first docstring line of every setting; AssertionError when a setting has no docstring."""
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    for node, after in pairwise(classes["Settings"].body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert isinstance(after, ast.Expr), f"{node.target.id} has no docstring"
            yield node.lineno, node.target.id, ast.literal_eval(after.value).strip().splitlines()[0]


def _written(default: object) -> str:
    """The default as the environment would give it; empty when there is none."""
    match default:
        case None:
            return ""
        case bool():
            return str(default).lower()
        case tuple():
            return ",".join(default)
        case dict():
            return ",".join(f"{name}={value}" for name, value in default.items())
        case _:
            return str(default)


if __name__ == "__main__":
    (ROOT / ".env.example").write_text(env_example(), encoding="utf-8")
