"""The prompt and the lines of an agent in one call."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.calls.agent.facts import BUILT_IN, CallFacts
from app.calls.agent.templates import names_of
from app.calls.agent.texts import AgentTexts, BadTexts
from app.conversation.policy import ENGLISH, RUSSIAN, Lines

NAMES = names_of(BUILT_IN | {"doctor"}, metadata=None)
BLANK = CallFacts(
    call_id="",
    direction="inbound",
    started=datetime(2026, 1, 1, tzinfo=UTC),
    timezone="UTC",
    agent="clinic",
    language="en",
    weekday="Thursday",
    variables={"doctor": "a doctor"},
)
ANNA = replace(BLANK, variables={"doctor": "Dr Smith"}, metadata={"name": "Anna", "age": "none"})
HELLO = replace(ENGLISH, greeting="Hello {{ metadata.name }}!", idle=("{{ doctor }} is here.", "Hello?"))


def texts(prompt: str = "Help.", **lines: Lines) -> AgentTexts:
    return AgentTexts(prompt, lines, NAMES, BLANK)


def test_an_agent_without_values_is_plain() -> None:
    plain = texts(en=ENGLISH, ru=RUSSIAN)

    assert plain.are_plain
    assert plain.render(ANNA).lines == {"en": ENGLISH, "ru": RUSSIAN}
    assert plain.render(ANNA).personal == frozenset()


def test_each_text_has_the_values_of_the_call() -> None:
    rendered = texts("Book with {{ doctor }}.", en=HELLO, ru=RUSSIAN).render(ANNA)

    assert rendered.prompt == "Book with Dr Smith."
    assert rendered.lines["en"].greeting == "Hello Anna!"
    assert rendered.lines["en"].idle == ("Dr Smith is here.", "Hello?")
    assert rendered.lines["en"].goodbye == ENGLISH.goodbye
    assert rendered.lines["ru"] == RUSSIAN
    assert rendered.personal == {"Hello Anna!", "Dr Smith is here."}


def test_a_call_without_known_facts_has_the_defaults() -> None:
    rendered = texts("Book with {{ doctor }}.", en=HELLO).render()

    assert rendered.prompt == "Book with a doctor."
    assert rendered.lines["en"].greeting == "Hello !"


def test_values_that_do_not_fit_cost_their_own_text_alone() -> None:
    odd = replace(ENGLISH, goodbye="{{ (metadata.age | default(1)) / 2 }}", greeting="Hello {{ metadata.name }}!")

    rendered = texts(en=odd).render(ANNA)

    assert rendered.failed == ("lines.en.goodbye",)
    assert rendered.lines["en"].goodbye == "0.5"
    assert rendered.lines["en"].greeting == "Hello Anna!"


@pytest.mark.parametrize(
    ("variables", "metadata", "said"),
    [
        ({"doctor": "Smith"}, {"age": "none"}, "2026-11-30 Smith 0.5"),
        ({"doctor": "x" * 30}, {"age": 4}, "2026-11-30 a doctor 0.5"),
    ],
)
def test_a_text_whose_values_do_not_fit_keeps_what_is_true_of_the_call(
    variables: dict[str, Any], metadata: dict[str, Any], said: str
) -> None:
    fits = "{% if doctor | length == 30 %}{{ 1 / 0 }}{% endif %}"
    odd = replace(ENGLISH, greeting="{{ date }} {{ doctor }} {{ (metadata.age | default(1)) / 2 }}" + fits)
    call = replace(BLANK, started=datetime(2026, 11, 30, tzinfo=UTC), variables=variables, metadata=metadata)

    rendered = texts(en=odd).render(call)

    assert rendered.failed == ("lines.en.greeting",)
    assert rendered.lines["en"].greeting == said


def test_every_wrong_text_is_named() -> None:
    wrong = replace(ENGLISH, idle=("fine", "{{ nobody }}"), apology="{{ metadata.a / 2 }}")

    with pytest.raises(BadTexts) as caught:
        texts("One\n{{ nothing }}", en=wrong)

    assert [(place, line) for place, line, _ in caught.value.problems] == [
        (("prompt",), 2),
        (("lines", "en", "idle", 1), 1),
        (("lines", "en", "apology"), 1),
    ]
    assert "use default" in caught.value.problems[2][2]
