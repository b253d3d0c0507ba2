"""Languages of an agent besides those with standard lines: their texts and their voice come from the agent's file."""

from collections.abc import Collection, Iterator

from app.calls.agent.lines_schema import LinesShape
from app.calls.agent.schema import AgentShape
from app.conversation.policy import CallPolicy

Place = tuple[str | int, ...]
_MISSING = "is missing: this language has no standard lines"
_OF_CONSENT = frozenset({"consent", "not_recorded"})
_OF_KEYPAD = frozenset({"keypad_option", "keypad_human"})


def own_languages(shape: AgentShape) -> list[str]:
    """The languages that the file names and that have no standard lines."""
    openings = [texts for texts in (shape.disclosure, shape.notice) if isinstance(texts, dict)]
    named = [
        shape.language,
        *shape.greeting,
        *shape.lines,
        *shape.voices,
        *(code for each in openings for code in each),
    ]
    return [code for code in dict.fromkeys(named) if code is not None and code not in CallPolicy().lines]


def missing_texts(shape: AgentShape) -> Iterator[tuple[Place, str]]:
    """What such a language lacks, and texts in a language that the agent does not speak; each with its place."""
    own = own_languages(shape)
    for language in own:
        yield from _missing_lines(shape, language)
        for place, texts in _translated(shape):
            if language not in texts:
                yield (*place, language), _MISSING
        if language not in shape.voices:
            yield ("voices", language), "is missing: this language has no standard voice"
    spoken = {*CallPolicy().lines, *own}
    for index, tool in enumerate(shape.tools):
        for language in tool.waiting_phrase.keys() - spoken:
            yield ("tools", index, "waiting_phrase", language), "is not one of the agent's languages"


def _missing_lines(shape: AgentShape, language: str) -> Iterator[tuple[Place, str]]:
    lines = shape.lines.get(language) or LinesShape()
    unused = (frozenset() if shape.consent else _OF_CONSENT) | (frozenset() if shape.keypad else _OF_KEYPAD)
    for name in LinesShape.model_fields.keys() - unused:
        if getattr(lines, name) is None:
            yield ("lines", language, name), _MISSING


def _translated(shape: AgentShape) -> Iterator[tuple[Place, Collection[str]]]:
    """Texts that are needed in every language, each with the languages that it is there in."""
    yield ("greeting",), shape.greeting
    for key, texts in (("disclosure", shape.disclosure), ("notice", shape.notice)):
        if texts:
            yield (key,), texts if isinstance(texts, dict) else ()
    for digit, pressed in shape.keypad.items():
        for part, said in (("label", pressed.label), ("say", pressed.say)):
            if said:
                yield ("keypad", digit, part), said
