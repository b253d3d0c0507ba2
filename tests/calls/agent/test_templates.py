"""Templates of an agent: what they may ask for, and what is wrong with them."""

import pytest

from app.calls.agent.templates import RenderError, Template, TemplateProblem, names_of

NAMES = names_of({"agent", "doctor"}, metadata=None, sip={"x_order"})


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(TemplateProblem) as caught:
        Template(text, NAMES)
    return caught.value.problems


def test_a_plain_text_stays_as_it_is() -> None:
    text = "A price of {5} for 100 % of {them}."
    template = Template(text, NAMES)

    assert template.is_plain
    assert template.render({}) == text


def test_values_take_their_places_and_are_not_rendered_again() -> None:
    template = Template("{{ agent }} asks {% if doctor %}for {{ doctor }}{% endif %}", NAMES)

    assert template.render({"agent": "{{ 7 * 7 }}", "doctor": "{% raw %}"}) == "{{ 7 * 7 }} asks for {% raw %}"


def test_what_is_not_known_is_named_with_its_line_and_the_choices() -> None:
    found = problems("{{ agent }}\n{{ docter }}\n{{ sip.x_ordre }} {{ sip['x_ordre'] }} {{ docter }}")

    choices = "agent, doctor, sip.x_order, metadata.…"
    assert found == [
        (2, f"docter is not known here; there are: {choices}"),
        (3, f"sip.x_ordre is not known here; there are: {choices}"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{{ agent", 1),
        ("a\n{% if agent %}\nb", 3),
        ("\n{{ agent | shout }}", 2),
        ("{% include 'secrets' %}", 1),
        ("{% import 'a' as b %}", 1),
        ("{{ range(10) }}", 1),
        ("{{ lipsum() }}", 1),
        ("{{ self.__init__ }}", 1),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", 1),
        ("{{ " + "1 + " * 5000 + "1 }}", 1),
        ("{% if agent %}" * 200 + "x" + "{% endif %}" * 200, 1),
    ],
)
def test_what_is_not_a_template_has_a_line(text: str, line: int) -> None:
    assert problems(text)[0][0] == line


@pytest.mark.parametrize(
    "text",
    [
        "{{ agent.__class__.__mro__ }}",
        "{{ metadata.__class__.__init__.__globals__ }}",
        "{{ ''.__class__ }}",
        "{{ agent / 2 }}",
        "{{ metadata.append(1) }}",
        "{{ agent.missing.more }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_what_a_call_cannot_give_is_one_error_that_quotes_nothing(text: str) -> None:
    with pytest.raises(RenderError) as caught:
        Template(text, NAMES).render({"agent": "secret words", "metadata": [], "doctor": ""})

    assert "secret" not in str(caught.value)


def test_an_error_has_the_line_where_it_arose() -> None:
    with pytest.raises(RenderError) as caught:
        Template("{{ agent }}\n{% if agent %}\n{{ agent / 2 }}\n{% endif %}", NAMES).render({"agent": "clinic"})

    assert caught.value.line == 3
