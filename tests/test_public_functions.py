"""Nothing is public that only a test calls."""

import ast
from collections.abc import Iterator
from functools import cache

from tests.support.sources import PACKAGES, python_files, text, tree

CONTRACT = {
    "process_user_input", "get_conversation_summary", "handle_call_end", "get_health_status", "transcribe_stream",
    "stream_response", "generate_response", "synthesize_stream", "synthesize_batch",
}  # fmt: skip
"""The design's, which the service does not call by itself."""
CALLED_BY_LIBRARIES = {
    "app/cli/__init__.py call_service": "a command",
    "app/cli/__init__.py explain": "a command",
    "app/cli/__init__.py restore": "a command",
    "app/cli/__init__.py run_tests": "a command",
    "app/cli/keys.py list_keys": "a command",
    "app/cli/checks/sip_options.py datagram_received": "asyncio's",
    "app/cli/checks/sip_options.py error_received": "asyncio's",
    "app/cli/trial_service.py capture_signals": "uvicorn's",
    "app/clients/mcp_protocol.py handle_async_request": "httpx2's",
    "app/settings.py settings_customise_sources": "pydantic's",
}


@cache
def used() -> frozenset[str]:
    """Every name that is read, imported or handed over in what is installed and in the benchmarks."""
    return frozenset(name for path in python_files(*PACKAGES, "bench") for name in _names(tree(path)))


def _names(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.alias(name=name):
                yield name.rpartition(".")[2]
            case ast.keyword(arg=str(name)) | ast.Constant(value=str(name)):
                yield name


def public(path: str) -> Iterator[str]:
    """Names of the functions and methods of a module."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name


def test_every_public_function_is_used_or_is_the_designs() -> None:
    unused = {f"{path} {name}" for path in python_files("app") for name in public(path) if name not in used()}

    assert {name for name in unused if name.rpartition(" ")[2] not in CONTRACT} == set(CALLED_BY_LIBRARIES)


def test_the_map_names_what_is_the_designs_alone() -> None:
    documented = text("ARCHITECTURE.md")

    assert [name for name in sorted(CONTRACT) if f"`{name}`" not in documented] == []
    assert {name for path in python_files("app") for name in public(path)} >= CONTRACT
