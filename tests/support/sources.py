"""The project's own files, read once, for tests of rules about them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOADED_LATER = ("aiohttp", "alembic", "cartesia", "deepgram", "httpx", "livekit.api", "livekit.rtc", "mcp", "openai")
"""What a start does not wait for, or does not need."""
PACKAGES = ("app", "routers", "media", "sandbox")
"""What is installed."""
_MADE = {"data", "build", "dist", "node_modules"}
"""Folders that hold what was made, not written."""


def python_files(*folders: str) -> list[str]:
    """Paths of the modules below the folders, from the root of the project, in order."""
    files = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in files)


def documents() -> list[str]:
    """Paths of the Markdown files, from the root of the project, in order."""
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(path.as_posix() for path in paths if not any(part in _MADE or part[0] == "." for part in path.parts))


@cache
def text(path: str) -> str:
    """What the file says."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree(path: str) -> ast.Module:
    """The syntax of the module."""
    return ast.parse(text(path), path)


@cache
def imports(path: str) -> tuple[str, ...]:
    """Full name of every module the module imports, wherever in it the import stands."""
    return tuple(_imports(tree(path)))


def _imports(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str, *folders: str) -> set[str]:
    """Modules below the folders that import the package or a part of it."""
    return {
        path
        for path in python_files(*folders)
        if any(name == package or name.startswith(f"{package}.") for name in imports(path))
    }
