"""Files are cut where their author cut them."""

from app.calls.agent.passages import LETTERS_MAX, passages_of
from app.ports.knowledge import Passage

PRICES = """\
# Prices

Ask at the desk.

## First visit
Fifty dollars.

```
# not a heading
```

Parking
-------
In the yard.

Free of charge.
"""


def test_a_passage_has_the_headings_above_it_and_its_line() -> None:
    assert passages_of("prices.md", PRICES) == [
        Passage("prices.md", "Prices", 3, "Ask at the desk."),
        Passage("prices.md", "Prices › First visit", 6, "Fifty dollars.\n\n```\n# not a heading\n```"),
        Passage("prices.md", "Prices › Parking", 14, "In the yard.\n\nFree of charge."),
    ]


def test_a_heading_in_a_plain_text_is_text() -> None:
    assert passages_of("notes.txt", "# One\ntwo\n\n\n  three\n") == [
        Passage("notes.txt", "", 1, "# One\ntwo\n\n  three")
    ]


def test_long_sections_become_passages_that_lose_no_word() -> None:
    paragraphs = [" ".join(f"w{number}x{word}" for word in range(30)) for number in range(20)]
    for name in ("long.md", "long.txt"):
        passages = passages_of(name, "\n\n".join(paragraphs))

        assert len(passages) > 3
        assert all(len(passage.text) <= LETTERS_MAX for passage in passages)
        assert " ".join(passage.text for passage in passages).split() == " ".join(paragraphs).split()


def test_a_line_without_an_end_is_cut_between_its_words() -> None:
    words = [f"word{number}" for number in range(1000)]
    passages = passages_of("one.txt", " ".join(words))

    assert all(len(passage.text) <= LETTERS_MAX for passage in passages)
    assert " ".join(passage.text for passage in passages).split() == words
    assert len(passages_of("one.txt", "x" * LETTERS_MAX * 3)) == 3


def test_each_part_of_a_long_table_begins_with_the_names_of_its_columns() -> None:
    rows = [f"| Test {number} of blood, with all that belongs to it | {number} |" for number in range(60)]
    passages = passages_of("tests.md", "\n".join(["# Tests", "", "| Test | Price |", "|---|---|", *rows]))

    assert len(passages) > 2
    assert all(passage.text.startswith("| Test | Price |\n|---|---|\n") for passage in passages)
    second = passages[1].text.splitlines()[2]
    assert rows[passages[1].line - 5] == second


def test_nothing_but_headings_is_nothing_to_find() -> None:
    assert passages_of("empty.md", "# One\n## Two\n") == []
