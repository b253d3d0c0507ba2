"""Builds agents from their files and the settings."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tzlocal import get_localzone

from app.calls.agent.facts import BUILT_IN, UNKNOWN_CALL, weekdays
from app.calls.agent.file import AgentFile, read_agent_file
from app.calls.agent.knowledge import Knowledge, knowledge_of
from app.calls.agent.lookup import LOOKUP
from app.calls.agent.profile import AgentProfile, sip_name
from app.calls.agent.templates import Names, Template, TemplateProblem, names_of
from app.calls.agent.texts import AgentTexts, BadTexts
from app.calls.agent.tools import AgentTool, Place
from app.conversation.policy import NOTICES, CallPolicy, Lines
from app.errors import SettingsError
from app.ports.vendors import LlmOptions, SttOptions, TtsOptions
from app.redaction.finder import Finder
from app.redaction.numbers import regions_of
from app.settings import Settings, environment
from app.settings_checks import ANY_LANGUAGE, spending_problem

_STANDARD_PROMPT = (
    "You are the friendly voice assistant of a company that answers the telephone. Help the caller, ask when something "
    "is unclear, and say goodbye and call end_call when the caller has everything."
)


def agent_profile(settings: Settings) -> AgentProfile:
    """Build the agent of the settings, which take precedence over its file. Raises SettingsError for a wrong file."""
    if settings.agent_prompt_file is not None:
        agent = read_agent_file(settings.agent_prompt_file, environment(), setting="AGENT_PROMPT_FILE")
    else:
        sha256 = hashlib.sha256(_STANDARD_PROMPT.encode()).hexdigest()
        agent = AgentFile("standard", _STANDARD_PROMPT, sha256, sha256)
    _check_defaults(agent, is_default=True)
    _check_webhooks(agent, settings)
    unset = Settings.model_fields.keys() - settings.model_fields_set
    return _profile(agent, _with_file(settings, agent, only=unset), settings.greeting)


def agent_of_file(path: Path, settings: Settings, more: Mapping[str, str] | None = None) -> AgentProfile:
    """Build the agent of a file of AGENTS_DIR, which takes precedence over the settings. Raises SettingsError.

    ``more`` has values for ``${NAME}`` that the environment lacks.
    """
    return _of_own_file(path, read_agent_file(path, {**(more or {}), **environment()}, setting="AGENTS_DIR"), settings)


def agent_of_any_file(path: Path, settings: Settings, more: Mapping[str, str]) -> AgentProfile:
    """Build the agent of a file anywhere, which may have a name of its own; otherwise as :func:`agent_of_file`."""
    agent = read_agent_file(path, {**more, **environment()}, setting="AGENTS_DIR")
    _check_webhooks(agent, settings)
    return _profile(agent, _with_file(settings, agent, only=Settings.model_fields.keys()), None)


def with_prompt(agent: AgentProfile, path: Path) -> AgentProfile:
    """The agent with the prompt of that file: a text, or an agent's file. Raises SettingsError."""
    found = read_agent_file(path, environment(), setting="--with-prompt")
    own = replace(found, variables=agent.variables, sip_headers=agent.sip_headers)
    return _TextReader(replace(agent, prompt=found.prompt), own, None).profile()


def _of_own_file(path: Path, agent: AgentFile, settings: Settings) -> AgentProfile:
    if agent.name != path.stem:
        where = agent.place(("name",))
        raise SettingsError([f"{where}: an agent in AGENTS_DIR has the name of its file; leave the key out"])
    _check_defaults(agent, is_default=path.stem == "default")
    _check_webhooks(agent, settings)
    return _profile(agent, _with_file(settings, agent, only=Settings.model_fields.keys()), None)


def _profile(agent: AgentFile, settings: Settings, greeting: str | None) -> AgentProfile:
    lines, language = _lines(agent, settings, greeting)
    max_call_cost_usd = _least(settings.max_call_cost_usd, agent.max_call_cost_usd)
    _check_limits(agent, max_call_cost_usd)
    policy = CallPolicy(
        lines=lines,
        max_response_seconds=settings.max_response_latency,
        idle_prompt_seconds=settings.idle_prompt_seconds,
        idle_prompts=settings.idle_prompts,
        stall_turns=settings.stall_turns,
        takes_messages=True,
        keypad=agent.keypad,
        max_duration_seconds=settings.max_call_seconds,
        max_cost_usd=max_call_cost_usd,
        asks_consent=agent.asks_consent and settings.recording,
    )
    profile = AgentProfile(
        prompt=agent.prompt,
        policy=policy,
        language=language,
        voices={**agent.voices, "ru": settings.tts_voice_ru, "en": settings.tts_voice_en},
        stt=_stt(settings, lines, language),
        llm=LlmOptions(settings.llm_model),
        tts=TtsOptions(settings.tts_model),
        speed=settings.tts_speed,
        emotion=settings.tts_emotion,
        name=agent.name,
        sha256=agent.sha256,
        file_sha256=agent.own_sha256,
        knowledge=_knowledge(agent, settings, language),
        tools=agent.tools,
        numbers=agent.numbers,
        number_places=tuple(agent.place(("numbers", index)) for index, _ in enumerate(agent.numbers)),
        variables=agent.variables,
        sip_headers=agent.sip_headers,
        outcome=agent.outcome,
        is_analysed=settings.analysis if agent.is_analysed is None else agent.is_analysed,
        webhooks=agent.webhooks,
        zone=agent.zone or get_localzone(),
        weekdays={code: weekdays(code) for code in lines},
        is_recorded=settings.recording,
        retention=agent.retention,
        redact=settings.redact,
        finder=_finder(settings, agent, lines),
        max_day_cost_usd=agent.max_day_cost_usd,
        hours=agent.hours,
        lookup=agent.lookup,
        mcp_servers=agent.mcp_servers,
    )
    return _TextReader(profile, agent, greeting).profile()


def _stt(settings: Settings, lines: Collection[str], language: str) -> SttOptions:
    hints = _hints(settings.language, lines)
    return SttOptions(settings.stt_model, settings.language, hints, likely_language=language)


def _lines(agent: AgentFile, settings: Settings, greeting: str | None) -> tuple[dict[str, Lines], str]:
    """The lines by language, and the language in which the agent begins."""
    lines, wanted = {**CallPolicy().lines, **agent.lines}, settings.language
    if not settings.recording:
        lines = {code: _without_standard_notice(of_language, code) for code, of_language in lines.items()}
    _check_language(agent, wanted, lines)
    language = wanted if wanted in lines else next(iter(lines))
    if greeting:
        lines[language] = replace(lines[language], greeting=greeting)
    return lines, language


def _without_standard_notice(lines: Lines, language: str) -> Lines:
    """The lines of an agent whose calls are not recorded. A notice in the file's own words may say something else."""
    return replace(lines, notice="") if lines.notice == NOTICES.get(language) else lines


def _finder(settings: Settings, agent: AgentFile, lines: Collection[str]) -> Finder | None:
    return Finder(settings.redact, regions_of(lines, agent.numbers)) if settings.redact else None


def _knowledge(agent: AgentFile, settings: Settings, language: str) -> Knowledge | None:
    return knowledge_of(
        agent.knowledge, prompt=agent.prompt, language=language, context_tokens=settings.context_window_size
    )


class _TextReader:
    """Reads the templates of an agent. Raises SettingsError that names every wrong one."""

    def __init__(self, profile: AgentProfile, agent: AgentFile, greeting: str | None) -> None:
        self._profile, self._agent = profile, agent
        self._of_setting: Place | None = ("lines", profile.language, "greeting") if greeting else None
        self._names = names_of(
            BUILT_IN | {variable.name for variable in agent.variables},
            metadata=None,
            lookup=None,
            sip=[sip_name(header) for header in agent.sip_headers],
        )
        self._blank = profile.facts(UNKNOWN_CALL, "inbound")
        self._problems: list[str] = []

    def profile(self) -> AgentProfile:
        """The agent with all its templates."""
        profile, names = self._profile, self._names
        # The lookup's request cannot know what the lookup will bring.
        before_lookup = replace(names, open_groups=names.open_groups - {LOOKUP})
        lookup = [profile.lookup] if profile.lookup is not None else []
        servers = [server.as_tool() for server in profile.mcp_servers]
        read = replace(
            profile,
            texts=self._read(names, profile.tools, prompt=profile.prompt, lines=profile.policy.lines),
            lookup_texts=self._read(before_lookup, lookup, place_of=lambda place: (LOOKUP, *place[2:])),
            mcp_texts=self._read(names, servers, place_of=lambda place: ("mcp_servers", *place[1:])),
        )
        if self._problems:
            raise SettingsError(self._problems)
        return read

    def _read(
        self,
        names: Names,
        tools: Sequence[AgentTool],
        *,
        prompt: str = "",
        lines: Mapping[str, Lines] | None = None,
        place_of: Callable[[Place], Place] = lambda place: place,
    ) -> AgentTexts | None:
        """Templates; None when there are none, or when some are wrong. ``place_of`` is where a tool's place is told."""
        try:
            texts = AgentTexts(prompt, lines or {}, names, self._blank, tools)
        except BadTexts as error:
            for place, line, problem in error.problems:
                where = self._where(place_of(place), line, problem, names)
                self._problems.append(f"{'GREETING' if place == self._of_setting else where}: {problem}")
            return None
        return None if texts.are_plain else texts

    def _where(self, place: Place, line: int, problem: str, names: Names) -> str:
        return self._agent.where(place, line, partial(_line_of, problem, names))


def _line_of(problem: str, names: Names, written: str) -> int | None:
    """The line of that problem in a text as it is written in a file."""
    try:
        Template(written, names)
    except TemplateProblem as error:
        return next((line for line, found in error.problems if found == problem), None)
    return None


def _check_language(agent: AgentFile, language: str, spoken: Collection[str]) -> None:
    """Raises SettingsError for a language of the settings in which the agent has no texts."""
    if language not in (*spoken, ANY_LANGUAGE):
        raise SettingsError(
            [
                f"VA_LANGUAGE: the agent {agent.name} has no texts in {language}; use one of "
                f"{', '.join(sorted(spoken))} or {ANY_LANGUAGE}, or write all its texts in {language} into its file"
            ]
        )


def _least(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _check_limits(agent: AgentFile, max_call_cost_usd: float | None) -> None:
    """Raises SettingsError for a limit of a day into which no call fits."""
    if problem := spending_problem(max_call_cost_usd, agent.max_day_cost_usd):
        where = agent.place(("limits", "max_day_cost_usd"))
        raise SettingsError([f"{where}: {problem} max_call_cost_usd"])


def _check_defaults(agent: AgentFile, *, is_default: bool) -> None:
    """Raises SettingsError for values that a caller who dials in would have to set."""
    if agent.numbers or is_default:
        problems = [
            f"{agent.place(('variables', variable.name))}: is required, but a "
            "caller who dials in cannot set it; give it a default"
            for variable in agent.variables
            if variable.required and variable.default is None
        ]
        if problems:
            raise SettingsError(problems)


def _check_webhooks(agent: AgentFile, settings: Settings) -> None:
    """Raises SettingsError for addresses to which no personal data may be sent."""
    if settings.environment == "production":
        problems = [
            f"{agent.place(('webhooks', index, 'url'))}: use https://, because "
            "ENVIRONMENT=production and webhooks hold personal data"
            for index, webhook in enumerate(agent.webhooks)
            if not webhook.url.startswith("https://")
        ]
        if problems:
            raise SettingsError(problems)


def _hints(language: str, spoken: Collection[str]) -> tuple[str, ...]:
    """Languages that the caller is likely to speak; none when the language they begin in is unknown."""
    return tuple(dict.fromkeys((language, *spoken))) if language in spoken else ()


def _with_file(settings: Settings, agent: AgentFile, only: Collection[str]) -> Settings:
    """The settings, with the file's values in place of those among ``only``."""
    of_file = {
        "language": agent.language,
        "recording": agent.is_recorded,
        "redact": agent.redact,
        **{f"{kind}_model": model for kind, model in agent.models.items()},
        **{f"tts_voice_{code}": voice for code, voice in agent.voices.items()},
    }
    changed = {name: value for name, value in of_file.items() if value is not None and name in only}
    return settings.model_copy(update=changed)
