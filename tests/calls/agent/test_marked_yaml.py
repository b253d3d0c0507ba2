from typing import Any

import pytest

from app.calls.agent.marked_yaml import BadYaml, MarkedYaml

TEXT = """\
name: clinic   # a comment
lines:
  ru:
    fillers: [one, two]
tools:
  - name: first
  - name: second
    timeout_seconds: 60
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ((), 1),
        (("lines",), 2),
        (("lines", "ru", "fillers"), 4),
        (("lines", "ru", "fillers", 1), 4),
        (("tools", 1), 7),
        (("tools", 1, "timeout_seconds"), 8),
        (("tools", 1, "url"), 7),
        (("tools", 7), 5),
        (("lines", "de"), 2),
    ],
)
def test_each_part_has_a_line_and_a_missing_part_has_the_line_of_its_parent(
    place: tuple[str | int, ...], line: int
) -> None:
    assert MarkedYaml(TEXT).line(place) == line


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("10:30", "10:30"),
        ("2026-11-26", "2026-11-26"),
        ("=", "="),
        (".inf", ".inf"),
        ("-1e999", "-1e999"),
        ("0x1f", 31),
        ("0o17", 15),
        ("017", 17),
        ("3", 3),
        ("-1.5", -1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("~", None),
        ("", None),
        ("'3'", "3"),
    ],
)
def test_words_that_look_like_something_else_stay_words(written: str, meant: Any) -> None:
    assert MarkedYaml(f"key: {written}").data == {"key": meant}


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a: 1\nb: [2\nc: 3\n", 3, 2, "expected ',' or ']'"),
        ("a: 1\n\tb: 2\n", 2, 1, "cannot start any token"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "a: appears twice"),
        ("a:\n  - b: 1\n    b: 2\n", 3, 5, "b: appears twice"),
        ("a: 1\n--- \nb: 2\n", 2, 1, "another document"),
        ("a: &x\n  - *x\n", 1, 4, "it holds itself"),
        ("a: \x07\n", 1, 4, "a character that YAML does not allow"),
        ("a: !!python/object:os.system x\n", 1, 4, "is not known here"),
        ("? [a]\n: 1\n", 1, 3, "a key is a plain word"),
        ("a: 1\nb: !!int two\n", 2, 4, "does not fit its tag"),
        ("a: 1\nb: !!bool maybe\n", 2, 4, "does not fit its tag"),
        ("a: 1\nb: [" + "9" * 5000 + "]\n", 2, 5, "does not fit its tag"),
        ("a: 1\nb: *c\n", 2, 4, "undefined alias"),
    ],
)
def test_what_cannot_be_read_is_shown_by_line_and_column(text: str, line: int, column: int, says: str) -> None:
    with pytest.raises(BadYaml) as caught:
        MarkedYaml(text)

    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (line, column)
    assert says in problem.text


def test_parts_may_be_named_and_used_again() -> None:
    read = MarkedYaml("a: &who {x: 1}\nb:\n  <<: *who\n  y: 2\n")

    assert read.data["b"] == {"x": 1, "y": 2}


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]\n" for n in range(1, 10)
)
MERGED = "a0: &a0 {k: x}\n" + "".join(f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}\n" for n in range(1, 40))
LADDER = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 10_000))
LONG = f"a: &a {'x' * 200_000}\nb: [*a, *a]\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (BOMB, 5, "with the parts that it repeats,"),
        (MERGED, 11, "with the parts that it repeats,"),
        (LONG, 2, "with the parts that it repeats,"),
        (LADDER, 50, "nested deeper than 50"),
        ("a: " + "[" * 10_000 + "]" * 10_000, 1, "nested deeper than 50"),
        ("a: " + "{a: " * 10_000 + "}" * 10_000, 1, "nested deeper than 50"),
        ("a:\n" + "".join(f"{' ' * n}- \n" for n in range(1, 600)), 51, "nested deeper than 50"),
        ("- " * 10_000 + "x", 1, "nested deeper than 50"),
        ("? " * 10_000 + "x", 1, "nested deeper than 50"),
        ("a: " + "x" * 300_000, 1, "more than 262144 letters"),
        ("[" + "a," * 130_000 + "a]", 1, "more than 20000 parts"),
        ("".join(f"a{n}: b\n" for n in range(12_000)), 9_999, "more than 20000 parts"),
        ("---\n" * 60_000, 6_668, "more than 20000 parts"),
    ],
    ids=["lists", "keys", "long", "ladder", "flow lists", "flow keys", "lines", "dashes", "questions", "large", "items",
         "many keys", "documents"],
)  # fmt: skip
def test_what_would_take_long_to_read_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(BadYaml) as caught:
        MarkedYaml(text)
    (problem,) = caught.value.problems
    assert says in problem.text
    assert problem.line == line


def test_fifty_levels_are_read() -> None:
    MarkedYaml("a: " + "[" * 48 + "]" * 48)


def test_an_empty_text_is_a_document_too() -> None:
    assert MarkedYaml("# only a comment\n").data is None
