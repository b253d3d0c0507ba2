from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clients.openai.spoken_text import SpeechFilter

PIECES = (
    *("<think>", "</think>", "<thinking>", "</thinking>", "<reasoning>", "</reasoning>", "<thought>", "</thought>"),
    *("<tool_call>", "</tool_call>", "<function=book>", "</function>", '{"name": "book", ', '"arguments": {"a": "}"}}'),
    *("[TOOL_CALLS]", "[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "<|im_end|>", "<|channel|>", "analysis"),
    *("<|message|>", "<|end|>", "<|start|>assistant", "<|channel|>final<|message|>", "```", "<｜tool▁calls▁begin｜>"),
    *(
        "Of course.",
        " Is 3 < 4?",
        "I {do}",
        " [laughs] ",
        "<b>",
        "<",
        ">",
        "[",
        "{",
        '"',
        "\\",
        "/",
        " ",
        "\n",
        "İ",
        "и",
    ),
)


def spoken(*pieces: str, thinks_first: bool = False) -> str:
    """What is left of an answer that comes in these pieces."""
    speech, text = SpeechFilter(thinks_first=thinks_first), ""
    for each in [*map(speech.feed, pieces), speech.finish()]:
        text = each.text if each.retracts else text + each.text
    return text


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(borders)]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.lists(st.integers(0, 200), max_size=12))
def test_what_is_spoken_does_not_depend_on_how_the_text_is_cut(text: str, cuts: list[int]) -> None:
    assert spoken(*pieces_of(text, cuts)) == spoken(text) == spoken(*text)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<{[`◁"), max_size=80))
def test_text_without_a_beginning_of_a_block_is_given_at_once_and_unchanged(text: str) -> None:
    speech = SpeechFilter()
    assert "".join(speech.feed(character).text for character in text) == text.lstrip()
    assert speech.finish().text == ""


@pytest.mark.parametrize(
    "answer",
    [
        "<think>Shall I?</think>Of course.",
        "<think>\nShall I?\n</think>\n\nOf course.",
        "<THINKING>Shall I?</Thinking> Of course.",
        "<reasoning>Shall I?</reasoning>Of course.",
        '<thought id="1">Shall I?</thought>Of course.',
        "<think></think>Of course.",
        "Shall I? I think so, yes.</think>Of course.",
        "Shall I?\n</thinking >\nOf course.",
        "<think>Shall I?</think>Of <think>Really?</think>course.",
        "<think>One.</think>Two.</think>Of course.",
        "[THINK]Shall I?[/THINK]Of course.",
        "◁think▷Shall I?◁/think▷Of course.",
        "<|channel|>analysis<|message|>Shall I?<|end|><|channel|>final<|message|>Of course.<|return|>",
        'Of course.<tool_call>{"name": "book", "arguments": {"day": "fri"}}</tool_call>',
        "<tool_call><function=book><parameter=day>fri</parameter></function></tool_call>Of course.",
        '{"name": "book", "arguments": {"note": "a } and a \\" too"}}Of course.',
        'Of course.[TOOL_CALLS][{"name": "book", "arguments": {}}]',
        'Of course.[TOOL_CALLS]book{"day": "fri"}',
        '[{"name": "book", "parameters": {}}] Of course.',
        '```json\n{"name": "book"}\n```\nOf course.',
        'Of course.<|python_tag|>book.call(day="fri")',
        "Of course.<｜tool▁calls▁begin｜>function<｜tool▁sep｜>book<｜tool▁calls▁end｜>",
        'Of course.<function_calls><invoke name="book"></invoke></function_calls>',
        "Of course.<|im_end|>",
        "Of course.<think>And then",
        "Of course.<thi",
    ],
)
def test_only_what_is_meant_for_ears_is_left(answer: str) -> None:
    assert spoken(answer) == "Of course."
    assert spoken(*answer) == "Of course."


@pytest.mark.parametrize(
    "answer",
    ["<think>I wonder", '<tool_call>{"name": "book"', '{"name": "book", "argum', "Hm.</think>", "<|im_end|>", ""],
)
def test_an_answer_without_anything_else_is_empty(answer: str) -> None:
    assert spoken(answer) == spoken(*answer) == ""


@pytest.mark.parametrize(
    "text",
    ["Is 3 < 4 or 5 > 4?", "I <b>do</b> {mean} it [really].", "Press <1>, <2> or <#>.", "`x`", "a < think", "[1] [2]"],
)
def test_text_that_only_looks_alike_is_spoken(text: str) -> None:
    assert spoken(text) == spoken(*text) == text


def test_a_tag_in_pieces_holds_back_no_more_than_itself() -> None:
    speech = SpeechFilter()
    assert speech.feed("Yes, <thi").text == "Yes, "
    assert speech.feed("nk>Hm.").text == ""
    assert speech.feed("</thi").text == ""
    assert speech.feed("nk>of course").text == "of course"
    assert speech.feed(".").text == "."


def test_a_thought_without_a_beginning_takes_back_what_was_given() -> None:
    speech = SpeechFilter()
    assert speech.feed("I wonder.").text == "I wonder."
    assert speech.feed("</think>Yes.") == ("Yes.", True)
    assert speech.thought_first


def test_of_a_model_that_thinks_first_nothing_is_given_before_its_thought_is_over() -> None:
    speech = SpeechFilter(thinks_first=True)
    assert speech.feed("I wonder. ").text == speech.feed("</thi").text == ""
    assert speech.feed("nk>Yes.") == ("Yes.", False)
    assert speech.thought_first
    no_thought = SpeechFilter(thinks_first=True)
    assert no_thought.feed("Yes.").text == ""
    assert no_thought.finish() == ("Yes.", False)
    assert not no_thought.thought_first


def test_a_call_that_is_left_out_is_noted() -> None:
    for text, is_noted in (("<tool_call>x</tool_call>", True), ('{"name": "x"}', True), ("<think>x</think>", False)):
        speech = SpeechFilter()
        speech.feed(text)
        speech.finish()
        assert speech.dropped_call is is_noted
