"""Builds the agent from its file and the settings. A setting that is set wins over the file."""

import hashlib
from collections.abc import Collection
from dataclasses import replace

from tzlocal import get_localzone

from app.calls.agent.facts import BUILT_IN, UNKNOWN_CALL, weekdays
from app.calls.agent.file import AgentFile, read_agent_file
from app.calls.agent.profile import AgentProfile, sip_name
from app.calls.agent.templates import names_of
from app.calls.agent.texts import AgentTexts, BadTexts
from app.conversation.policy import CallPolicy
from app.errors import SettingsError
from app.ports.vendors import LlmOptions, SttOptions, TtsOptions
from app.settings import Settings, environment

_STANDARD_PROMPT = (
    "You are the friendly voice assistant of a company that answers the telephone. Help the caller, ask when something "
    "is unclear, and say goodbye and call end_call when the caller has everything."
)


def agent_profile(settings: Settings) -> AgentProfile:
    """Build the agent. Raises SettingsError when its file cannot be used."""
    agent = _agent_file(settings)
    settings = _with_file(settings, agent)
    lines = {**CallPolicy().lines, **agent.lines}
    language = settings.language if settings.language in lines else next(iter(lines))
    if settings.greeting:
        lines[language] = replace(lines[language], greeting=settings.greeting)
    policy = CallPolicy(
        lines=lines,
        max_response_seconds=settings.max_response_latency,
        idle_prompt_seconds=settings.idle_prompt_seconds,
        idle_prompts=settings.idle_prompts,
        stall_turns=settings.stall_turns,
        max_duration_seconds=settings.max_call_seconds,
    )
    profile = AgentProfile(
        prompt=agent.prompt,
        policy=policy,
        language=language,
        voices={"ru": settings.tts_voice_ru, "en": settings.tts_voice_en},
        stt=SttOptions(settings.stt_model, settings.language, _hints(settings.language, lines)),
        llm=LlmOptions(settings.llm_model),
        tts=TtsOptions(settings.tts_model),
        speed=settings.tts_speed,
        emotion=settings.tts_emotion,
        name=agent.name,
        sha256=agent.sha256,
        tools=agent.tools,
        variables=agent.variables,
        sip_headers=agent.sip_headers,
        zone=agent.zone or get_localzone(),
        weekdays={code: weekdays(code) for code in lines},
    )
    return replace(profile, texts=_texts(profile, agent, settings.greeting))


def _texts(profile: AgentProfile, agent: AgentFile, greeting: str | None) -> AgentTexts | None:
    """The templates of the agent; None when there are none. Raises SettingsError that names every wrong one."""
    names = names_of(
        BUILT_IN | {variable.name for variable in agent.variables},
        metadata=None,
        lookup=None,
        sip=[sip_name(header) for header in agent.sip_headers],
    )
    try:
        texts = AgentTexts(profile.prompt, profile.policy.lines, names, profile.facts(UNKNOWN_CALL, "inbound"))
    except BadTexts as error:
        of_setting = ("lines", profile.language, "greeting") if greeting else None
        raise SettingsError(
            [
                f"{'GREETING' if place == of_setting else agent.where(place, line)}: {problem}"
                for place, line, problem in error.problems
            ]
        ) from None
    return None if texts.are_plain else texts


def _hints(language: str, spoken: Collection[str]) -> tuple[str, ...]:
    """Languages that the caller is likely to speak; none when it is not known in which they begin."""
    return tuple(dict.fromkeys((language, *spoken))) if language in spoken else ()


def _agent_file(settings: Settings) -> AgentFile:
    if settings.agent_prompt_file is not None:
        return read_agent_file(settings.agent_prompt_file, environment())
    return AgentFile("standard", _STANDARD_PROMPT, hashlib.sha256(_STANDARD_PROMPT.encode()).hexdigest())


def _with_file(settings: Settings, agent: AgentFile) -> Settings:
    """The settings, with values of the agent's file where a setting has only its default."""
    of_file = {"language": agent.language, **{f"tts_voice_{code}": voice for code, voice in agent.voices.items()}}
    is_set = settings.model_fields_set
    return settings.model_copy(update={name: value for name, value in of_file.items() if value and name not in is_set})
