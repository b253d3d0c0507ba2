"""Holds the calls of scenarios over sound: a simulated caller, the service, and real sockets between them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.agent_tests.fixed_tools import fixed_lookup, fixed_telephony, fixed_tools
from app.agent_tests.kept_answers import KeptAnswers
from app.agent_tests.persona import PersonaLines
from app.agent_tests.prepared import Prepared
from app.agent_tests.running import CallNotHeld
from app.agent_tests.trial import Trial, Trials
from app.calls.agent.lookup import read_answer
from app.calls.agent.profile import AgentProfile
from app.calls.agent.tools import ToolEndpoint
from app.calls.live.phrase_cache import PhraseCache
from app.cli.audio_caller import AudioPersona, score_of, telephone_of
from app.cli.caller_voice import Speak, sandbox_voice, vendor_voice
from app.cli.trial_service import TrialService, trial_service
from app.models import JournalRow
from app.settings import Settings
from app.wiring_text import TextCalls
from sandbox.caller.caller import Caller
from sandbox.caller.events import CallerEvent, Connected
from sandbox.caller.media_client import CallFailed

_ENDS_SECONDS = 15.0
_LOOK_SECONDS = 0.05
_CALL_SECONDS = 280.0
_SPARE_CALLS = 2
"""Calls that are just ending hold their place."""


class AudioHolder:
    """Holds calls over sound. Implements :class:`app.agent_tests.running.Holder`."""

    def __init__(
        self,
        service: TrialService,
        trials: Trials,
        calls: TextCalls,
        kept: KeptAnswers,
        *,
        sandbox_url: str | None,
        phrases: PhraseCache,
        dry_tools: bool,
    ) -> None:
        """``sandbox_url`` is None with real vendors. ``dry_tools``: tools without a fixed answer are not called."""
        self._service = service
        self._trials = trials
        self._calls = calls
        self._kept = kept
        self._sandbox_url = sandbox_url
        self._phrases = phrases
        self._dry_tools = dry_tools

    async def hold(self, prepared: Prepared) -> Sequence[JournalRow]:
        """Hold the call of a scenario. Raises CallNotHeld, ProviderError, ValueError."""
        scenario, trial = prepared.scenario, self._trial(prepared)
        persona = self._persona(prepared)
        call_id = ""

        def note(event: CallerEvent) -> None:
            nonlocal call_id
            if isinstance(event, Connected):
                call_id = event.call_id
                self._trials.expect(call_id, trial)

        caller = Caller(
            self._service.url,
            self._voice(prepared.agent),
            sandbox_url=self._sandbox_url,
            api_key=self._service.api_key,
            telephone=telephone_of(scenario.telephone),
            on_event=note,
            longest_call_seconds=_CALL_SECONDS,
        )
        try:
            async with caller:
                await caller.call(
                    score_of(prepared),
                    number=scenario.caller_number,
                    agent=self._trials.name_of(prepared.agent, asks_lookup=trial.lookup is None),
                    variables=scenario.variables,
                    improvises=persona,
                )
        except CallFailed as failure:
            raise CallNotHeld(str(failure)) from failure
        if persona is not None and persona.failure is not None:
            raise persona.failure
        return await self._journal(call_id)

    def _trial(self, prepared: Prepared) -> Trial:
        scenario = prepared.scenario

        def endpoints(known: Mapping[str, ToolEndpoint]) -> Mapping[str, ToolEndpoint]:
            return fixed_tools(scenario, known, dry=self._dry_tools)

        fixed = fixed_lookup(scenario, dry=self._dry_tools) if prepared.agent.lookup is not None else None
        looked = None if fixed is None else read_answer(fixed.answers[0].text)
        if looked is not None and looked.rejects:
            raise CallNotHeld("the lookup refuses this caller")
        now = None if scenario.now is None else prepared.request.starts_at
        return Trial(endpoints, fixed_telephony(scenario), now, None if looked is None else dict(looked.variables))

    def _persona(self, prepared: Prepared) -> AudioPersona | None:
        caller, model = prepared.scenario.caller, prepared.judge_model
        if caller.persona is None:
            return None
        generator = self._calls.generator(model)
        lines = PersonaLines(caller.persona, generator, model, self._kept, language=prepared.scenario.language)
        return AudioPersona(lines, listens_seconds=caller.listens)

    def _voice(self, agent: AgentProfile) -> Speak:
        if self._sandbox_url is not None:
            return sandbox_voice
        return vendor_voice(agent, self._calls.tts(agent), self._phrases)

    async def _journal(self, call_id: str) -> list[JournalRow]:
        """The whole journal, once the call has ended. Raises CallNotHeld."""
        headers = {"Authorization": f"Bearer {self._service.api_key}"}
        async with httpx.AsyncClient(base_url=self._service.url, headers=headers, trust_env=False) as http:
            try:
                async with asyncio.timeout(_ENDS_SECONDS):
                    while True:
                        events: dict[str, Any] = (await http.get(f"/calls/{call_id}/events")).json()
                        rows = [JournalRow(**row) for row in events.get("events") or ()]
                        if rows and rows[-1].type == "call.ended":
                            return rows
                        await asyncio.sleep(_LOOK_SECONDS)
            except TimeoutError:
                raise CallNotHeld("the service did not end the call") from None


@asynccontextmanager
async def open_audio_calls(
    settings: Settings,
    prepared: Sequence[Prepared],
    calls: TextCalls,
    kept: KeptAnswers,
    *,
    sandbox_url: str | None,
    parallel: int,
    dry_tools: bool,
) -> AsyncIterator[AudioHolder]:
    """Run a service for the scenarios. Raises SettingsError."""
    trials = Trials([each.agent for each in prepared], calls.mcp_tools)
    phrases = PhraseCache(settings.data_dir / "test-phrases")
    async with trial_service(settings, trials.planner, calls=parallel + _SPARE_CALLS) as service:
        yield AudioHolder(
            service, trials, calls, kept, sandbox_url=sandbox_url, phrases=phrases, dry_tools=dry_tools
        )  # fmt: skip
