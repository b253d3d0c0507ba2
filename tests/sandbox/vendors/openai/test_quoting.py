"""The stand-in for the model answers from what the request says is known."""

import pytest

from sandbox.vendors.openai.quoting import quoted_answer

KNOWN = """\
Rules.
<knowledge>
[prices.md: Prices › First visit]
The first visit costs **fifty dollars**. A follow-up visit costs thirty.

[way.md]
# Parking
- The yard has a free place for every patient.
| X-ray | 40 dollars |
</knowledge>
More."""


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("How much does the first visit cost?", "The first visit costs fifty dollars."),
        ("And a follow-up visit?", "A follow-up visit costs thirty."),
        ("Is there a parking place?", "The yard has a free place for every patient."),
        ("Tell me of dragons", None),
        ("Is it free?", None),
    ],
)
def test_the_sentence_that_fits_is_said(heard: str, said: str | None) -> None:
    answer = quoted_answer(["You are kind.", KNOWN], heard)

    assert (answer.text if answer else None) == said


def test_what_was_found_for_this_answer_wins() -> None:
    later = "<knowledge>\n[new.md]\nThe first visit costs sixty dollars.\n</knowledge>"

    answer = quoted_answer([KNOWN, later], "How much does the first visit cost?")

    assert answer is not None
    assert answer.text == "The first visit costs sixty dollars."


def test_nothing_is_known() -> None:
    assert quoted_answer(["You are kind."], "How much does the first visit cost?") is None
