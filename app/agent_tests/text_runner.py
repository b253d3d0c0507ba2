"""Holds the calls of scenarios in text."""

from collections.abc import Sequence

from app.agent_tests.fixed_tools import fixed_lookup, fixed_telephony, fixed_tools
from app.agent_tests.kept_answers import KeptAnswers
from app.agent_tests.persona import PersonaCaller, PersonaLines
from app.agent_tests.prepared import Prepared
from app.agent_tests.running import CallNotHeld
from app.agent_tests.shape import Step
from app.calls.text.caller import HangsUp, Interrupts, Noise, Presses, Says, Silent, TextCaller
from app.calls.text.script import ScriptedCaller
from app.calls.text.script import Step as ScriptStep
from app.errors import CallRejected
from app.models import JournalRow
from app.wiring_text import TextCalls


class TextHolder:
    """Holds calls in text. Implements :class:`app.agent_tests.running.Holder`."""

    def __init__(self, calls: TextCalls, kept: KeptAnswers, *, dry_tools: bool) -> None:
        """``dry_tools``: tools without a fixed answer are not called either."""
        self._calls = calls
        self._kept = kept
        self._dry_tools = dry_tools

    async def hold(self, prepared: Prepared) -> Sequence[JournalRow]:
        """Hold the call of a scenario. Raises CallNotHeld, ProviderError, ValueError."""
        scenario = prepared.scenario
        try:
            planned = await self._calls.plan(prepared.request, lookup=fixed_lookup(scenario, dry=self._dry_tools))
        except CallRejected as error:
            raise CallNotHeld(str(error)) from error
        fixed = fixed_tools(scenario, planned.plan.endpoints, dry=self._dry_tools)
        caller, telephony = self._caller(prepared), fixed_telephony(scenario)
        return await self._calls.hold(planned, caller, endpoints=fixed, telephony=telephony)

    def _caller(self, prepared: Prepared) -> TextCaller:
        scenario = prepared.scenario
        caller = scenario.caller
        if caller.persona is not None:
            model = prepared.judge_model
            generator = self._calls.generator(model)
            lines = PersonaLines(caller.persona, generator, model, self._kept, language=scenario.language)
            return PersonaCaller(lines, listens_seconds=caller.listens)
        steps = [script_step(line, scenario.language) for line in caller.lines or ()]
        return ScriptedCaller(steps, listens_seconds=caller.listens)


def script_step(line: str | Step, language: str | None) -> ScriptStep:
    """A line of a scenario as a step of its caller."""
    step: ScriptStep = HangsUp()
    match line:
        case str(text) | Step(say=str(text)):
            step = Says(text, language)
        case Step(over=str(text), after=after, optional=optional):
            step = Interrupts(text, after, language, optional)
        case Step(noise=float(after)):
            step = Noise(after)
        case Step(silence=float(seconds)):
            step = Silent(seconds)
        case Step(press=str(digits)):
            step = Presses(digits)
        case _:
            pass
    return step
