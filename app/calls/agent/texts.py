"""The prompt, the prepared lines and the tools of an agent as templates, and their texts in one call."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from app.calls.agent.facts import CallFacts
from app.calls.agent.templates import Names, RenderError, Template, TemplateProblem
from app.calls.agent.tools import AgentTool, Place
from app.conversation.policy import Lines

_PROMPT: Place = ("prompt",)
_TOOLS = "tools"


@dataclass(frozen=True, slots=True)
class CallTexts:
    """The texts of one call."""

    prompt: str
    lines: dict[str, Lines]
    tools: tuple[AgentTool, ...]
    personal: frozenset[str]
    """Lines that hold values of this call. No cache keeps their sound."""
    failed: tuple[str, ...]
    """Places whose template does not fit the values that were set for this call: their text is without these."""


class BadTexts(Exception):
    """Everything that is wrong with the templates of an agent: the place, the line within the text, and the problem."""

    def __init__(self, problems: list[tuple[Place, int, str]]) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} problems")


class AgentTexts:
    """The templates of one agent. Raises BadTexts.

    A text that uses no value is not a template. Most agents have no template at all.
    """

    def __init__(
        self,
        prompt: str,
        lines: Mapping[str, Lines],
        names: Names,
        blank: CallFacts,
        tools: Sequence[AgentTool] = (),
    ) -> None:
        """``blank`` holds the facts of a call about which nothing is known. Each template must render with them."""
        self._prompt, self._lines, self._tools = prompt, dict(lines), tuple(tools)
        self._blank = blank
        problems: list[tuple[Place, int, str]] = []
        self._templates: dict[Place, Template] = {}
        for place, text in ((_PROMPT, prompt), *_places(lines), *_places_of_tools(self._tools)):
            try:
                template = Template(text, names)
                template.render(_values(place, blank))
            except TemplateProblem as error:
                problems += [(place, line, problem) for line, problem in error.problems]
            except RenderError as error:
                problems.append(
                    (place, error.line, f"gives no text in a call without values ({error}): use default(…)")
                )
            else:
                if not template.is_plain:
                    self._templates[place] = template
        if problems:
            raise BadTexts(problems)

    @property
    def are_plain(self) -> bool:
        """Whether no text uses a value."""
        return not self._templates

    @property
    def has_values_in_prompt(self) -> bool:
        """Whether the prompt uses a value, so that it differs from call to call."""
        return _PROMPT in self._templates

    def render(self, facts: CallFacts | None = None) -> CallTexts:
        """The texts of a call with these facts, or of a call about which nothing is known."""
        facts = facts or self._blank
        failed: list[str] = []
        texts: dict[Place, str] = {}
        for place, template in self._templates.items():
            try:
                texts[place] = template.render(_values(place, facts))
            except RenderError:
                failed.append(".".join(map(str, place)))
                texts[place] = self._without_values(place, template, facts)
        of_tools = {place: texts.pop(place) for place in list(texts) if place[0] == _TOOLS}
        phrases = (text for place, text in of_tools.items() if "waiting_phrase" in place)
        return CallTexts(
            prompt=texts.pop(_PROMPT, self._prompt),
            lines=_with(self._lines, texts),
            tools=tuple(tool.with_texts(_below(index, of_tools)) for index, tool in enumerate(self._tools)),
            personal=frozenset((*texts.values(), *phrases)),
            failed=tuple(failed),
        )

    def _without_values(self, place: Place, template: Template, facts: CallFacts) -> str:
        """The text without what strangers wrote, else without the request's variables, too. The rest is still true."""
        own = replace(facts, metadata={}, sip={}, lookup={})
        for left in (own, replace(own, variables=self._blank.variables)):
            with suppress(RenderError):
                return template.render(_values(place, left))
        return template.render(_values(place, self._blank))


def _values(place: Place, facts: CallFacts) -> dict[str, Any]:
    return facts.prompt_values() if place == _PROMPT else facts.values()


def _places(lines: Mapping[str, Lines]) -> Iterator[tuple[Place, str]]:
    for language, of_language in lines.items():
        for name, text in asdict(of_language).items():
            if isinstance(text, str):
                yield ("lines", language, name), text
            else:
                yield from ((("lines", language, name, number), one) for number, one in enumerate(text))


def _places_of_tools(tools: Sequence[AgentTool]) -> Iterator[tuple[Place, str]]:
    for index, tool in enumerate(tools):
        yield from (((_TOOLS, index, *place), text) for place, text in tool.texts().items())


def _below(index: int, texts: Mapping[Place, str]) -> dict[Place, str]:
    """The texts of one tool, by their places below it."""
    start = (_TOOLS, index)
    return {place[len(start) :]: text for place, text in texts.items() if place[: len(start)] == start}


def _with(lines: Mapping[str, Lines], texts: Mapping[Place, str]) -> dict[str, Lines]:
    """The lines with these texts in place of the templates."""
    rendered = dict(lines)
    for place, text in texts.items():
        language, name = str(place[1]), str(place[2])
        value: Any = text
        if len(place) > len(("lines", language, name)):
            several = list(getattr(rendered[language], name))
            several[int(place[3])] = text
            value = tuple(several)
        rendered[language] = replace(rendered[language], **{name: value})
    return rendered
