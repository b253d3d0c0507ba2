"""Every error has its place in the tree that app/errors.py draws, and its category and strategy in ARCHITECTURE.md."""

import re
from collections.abc import Iterator
from pathlib import Path

from app import errors
from app.clients.fallback.race import FallbackFailed
from media.errors import MediaError

ARCHITECTURE = Path(__file__).parent.parent / "ARCHITECTURE.md"
BASES = {"ProviderError", "CallStateError", "AdmissionError", "TokenError", "MediaError"}
"""They are only caught, never raised."""
CATEGORIES = ("the connection", "the limit", "the refusal", "the content", "our own")


def all_below(cls: type[Exception]) -> Iterator[type[Exception]]:
    for below in cls.__subclasses__():
        yield below
        yield from all_below(below)


def of_the_service() -> dict[str, type[Exception]]:
    found = [*all_below(errors.VoiceAgentError), MediaError, *all_below(MediaError)]
    ours = {cls.__name__: cls for cls in found if cls.__module__.split(".")[0] in ("app", "media")}
    return {name: cls for name, cls in ours.items() if name not in BASES}


def rows() -> list[tuple[str, list[str], str]]:
    """Category, names of errors, and whether they may be tried again."""
    section = ARCHITECTURE.read_text(encoding="utf-8").partition("## Errors\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:2] == "| "]
    return [(category, re.findall(r"`(\w+)`", names), again) for category, names, again, _ in cells[1:]]


def test_there_are_five_categories() -> None:
    assert tuple(dict.fromkeys(category for category, _, _ in rows())) == CATEGORIES


def test_every_error_is_in_one_category() -> None:
    told = [name for _, names, _ in rows() for name in names]
    assert sorted(told) == sorted(of_the_service())


def test_what_may_be_tried_again_says_so_itself() -> None:
    known = of_the_service()
    for _, names, again in rows():
        for name in names:
            if again != "-":
                assert getattr(known[name], "retryable", False) is (again == "yes"), name


def test_the_tree_is_drawn_whole() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    in_tree = [cls.__name__ for cls in all_below(errors.VoiceAgentError) if cls.__module__ == errors.__name__]
    assert sorted(drawn) == sorted(in_tree)
    assert issubclass(FallbackFailed, errors.ProviderError)
