"""Every setting of the service: unit, default and meaning. Wrong settings stop the start, which names all of them."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from dotenv import dotenv_values
from pydantic import (
    AliasChoices,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.errors import SettingsError
from app.models import Retention
from app.settings_checks import (
    KEPT_DAYS_MAX,
    LANGUAGES,
    VENDOR_KEYS,
    DatabaseAddress,
    HostAndPort,
    HttpAddress,
    IPv4,
    Networks,
    NumberPrefixes,
    RedactCategories,
    Seconds,
    Secret,
    SipAddress,
    TelephoneNumber,
    TransferTargets,
    WebhookAddress,
    WebhookSecrets,
    WebsocketAddress,
    Words,
    is_language,
    key_problems,
    key_secret_pairs,
    spending_problems,
    telephone_problems,
    weak_problems,
    webhook_problems,
)

_EAGER_LEAST = 0.3
_SHELLS_OWN = ("host", "language")
"""Names that shells and gettext also use. With the prefix VA_ they belong to this service alone."""
_CARRIER_HOLD_SECONDS = 30.0
_AGENTS = Path("agents")
_PLACES_OF_A_WORKER = 50
_NEARLY_THE_SAME = 0.84
"""Such as GREETINGS for GREETING, or DEEPGRAM_KEY for DEEPGRAM_API_KEY."""
_OF_OPENTELEMETRY = "OTEL_"
"""Its SDK reads many names that are close to our settings."""
_PYDANTICS_OWN = "Value error, "


class _Needs:
    """What the settings must have."""

    needed_keys: ClassVar[tuple[str, ...]] = VENDOR_KEYS
    """The vendors' keys that are needed, all or none of them: without any, the sandbox stands in."""
    takes_calls: ClassVar[bool] = True
    """Whether strangers reach the process, so that it needs a key of its own."""


class Settings(_Needs, BaseSettings):
    """Settings from the environment (names in capitals) and from a file ``.env``."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    # --- the service --------------------------------------------------------------------------------------------------
    environment: Literal["production", "development"] = "development"
    """``production`` requires an API_KEY; ``development`` without one listens on this machine only."""
    host: str = Field("127.0.0.1", validation_alias=AliasChoices("VA_HOST", "HOST"))
    """Address to listen on; VA_HOST takes precedence over HOST."""
    port: int = Field(8000, ge=0, le=65535)
    """TCP port; 0 picks a free one."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
    domain: HostAndPort | None = None
    """Public host name of the service; when set, media addresses begin with wss://DOMAIN."""
    api_key: Secret | None = None
    """Gives access to /calls and /media/sessions: ``Authorization: Bearer <API_KEY>``."""
    metrics_token: Secret | None = None
    """Bearer token for /metrics; when not set, /metrics is open."""
    data_dir: Path = Path("./data")
    """Holds calls.db, recordings/ and phrases/."""
    database_url: DatabaseAddress | None = None
    """Address of a Postgres database, or of a SQLite file; calls.db in DATA_DIR when not set. See docs/postgres.md."""
    recording: bool = True
    """Keep a stereo recording of each call."""
    recording_compression: Literal["opus", "none"] = "opus"
    """Two minutes after a call, make its recording a tenth as large, with a little loss; none keeps every sample."""
    workers: int = Field(1, ge=1, le=64)
    """Processes that share the calls; one carries about ten telephone calls, or a hundred over websockets."""
    max_concurrent_calls: int | None = Field(None, ge=1)
    """Most calls at once, in all workers together; more are refused. 50 for each worker when not set."""
    drain_seconds: float = Field(30, ge=0, allow_inf_nan=False)
    """Seconds that live calls may go on after SIGTERM."""

    # --- the agent ----------------------------------------------------------------------------------------------------
    language: str = Field("ru", validation_alias=AliasChoices("VA_LANGUAGE", "LANGUAGE"))
    """Code of the language the agent starts in: ru, en, multi, or another whose texts are in the agent's file, such as
    de; VA_LANGUAGE takes precedence over LANGUAGE."""
    greeting: str | None = None
    """First words of the agent, in LANGUAGE; when not set, those in the agent's file, or a standard greeting."""
    agents_dir: Path | None = None
    """Folder with a YAML file for each agent; ./agents where it exists. A request or the called number chooses one."""
    agent_prompt_file: Path | None = None
    """The agent for all other calls, unless AGENTS_DIR has default.yaml: a complete agent (.yaml), or a text file with
    only its instructions; a standard assistant when not set."""
    max_response_latency: Seconds = 1.5
    """Seconds from the caller's last sound to the answer; shortly before they are over, the agent says a filler."""
    context_window_size: int = Field(4000, ge=500)
    """Most tokens of prompt and history that the model gets, estimated."""
    idle_prompt_seconds: Seconds = 8
    """Seconds of silence after which the agent asks whether the caller is there."""
    idle_prompts: int = Field(2, ge=0)
    """How many times the agent asks before it says goodbye; 0 turns the questions off."""
    stall_turns: int = Field(8, ge=0, le=100)
    """After this many turns that lead nowhere (repeats, a film, music on hold), the agent says goodbye; 0: never."""
    max_call_seconds: Seconds = 1800
    """Longest call, in seconds."""
    synthetic_call_minutes: float = Field(0, ge=0, le=1440, allow_inf_nan=False)
    """Minutes between calls of the service to itself, which cost what a call costs; 0 for none."""
    media_timeout_seconds: float = Field(10, ge=2, le=3600)
    """Seconds without sound that end a websocket call; at least 30 for Twilio and an egress."""
    analysis: bool = True
    """Have the model sum up each call in which something was said: one more request to it after the call. An agent's
    file decides for itself with ``outcome``."""
    playout_lead_ms: int = Field(200, ge=20, le=1000)
    """How far ahead of real time the agent's audio is sent, in milliseconds."""

    # --- the telephone ------------------------------------------------------------------------------------------------
    livekit_url: WebsocketAddress | None = None
    """Websocket address of LiveKit, such as wss://livekit.example.org; setting it enables telephone calls."""
    livekit_api_key: str | None = None
    """The service's API key at LiveKit."""
    livekit_api_secret: Secret | None = None
    """Secret of that key."""
    livekit_api_url: WebsocketAddress | None = None
    """Address of LiveKit's HTTP API, when it differs from LIVEKIT_URL."""
    livekit_webhook_keys: SecretStr | None = None
    """Keys that may sign webhooks, ``key:secret`` separated by commas; LIVEKIT_API_KEY and its secret when not set."""
    room_prefix: str = Field("call", min_length=1)
    """The agent answers in rooms whose names begin with this and an underscore, and never touches other rooms."""

    transfer_targets: TransferTargets = {}
    """Targets of transfers, such as sales=+74950000000,help=sip:help@example.org; without any, no transfers.

    The target ``fallback`` also gets the calls that the agent cannot serve, because vendors are down."""

    # --- the carrier --------------------------------------------------------------------------------------------------
    sip_number: TelephoneNumber | None = None
    """The number that callers dial, such as +74950000000; ``voice-agent setup`` gives it to LiveKit's trunks."""
    sip_allowed_addresses: Networks = ()
    """Addresses and networks that the carrier calls from, separated by commas. Calls from elsewhere are refused."""
    sip_server: HostAndPort | None = None
    """The carrier's host for outbound calls, such as sip.example.org:5060; without it there are none."""
    sip_username: str | None = None
    """Login at the carrier, if it requires one for outbound calls."""
    sip_password: SecretStr | None = None
    """Password of that login."""
    livekit_sip_uri: SipAddress | None = None
    """Where the carrier reaches LiveKit SIP, such as sip:abc.sip.livekit.cloud; if not set, sip:PUBLIC_IP:5060."""
    public_ip: IPv4 | None = None
    """Public address of your own LiveKit SIP."""
    telephony_usd_per_minute: float | None = Field(None, ge=0, le=100)
    """US dollars that the carrier asks for a minute of a telephone call, for the costs in the record; when not set, the
    costs of telephony and the total of each telephone call are unknown."""

    # --- what calls may cost ------------------------------------------------------------------------------------------
    max_call_cost_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Most US dollars that a call may cost, at list prices; then the agent says goodbye. No limit when not set."""
    max_day_cost_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Most US dollars that the calls of a UTC day may cost together; then new calls are refused. Needs
    MAX_CALL_COST_USD, which each call reserves until its own cost is known. No limit when not set."""

    # --- outbound calls -----------------------------------------------------------------------------------------------
    dial_prefixes: NumberPrefixes = ()
    """Prefixes of the numbers that may be called, such as +7495,+7812. If not set, no number may be called."""
    ring_seconds: int = Field(40, ge=5, le=50)
    """Seconds that an outbound call rings."""
    dials_per_number_hour: int = Field(3, ge=1)
    """Most outbound calls to the same number in an hour."""
    dials_per_day: int = Field(200, ge=1)
    """Most outbound calls in 24 hours, to all numbers together."""

    # --- what is kept of calls, and how long --------------------------------------------------------------------------
    redact: RedactCategories = ()
    """What is taken out of calls before they are stored: cards,phones,emails. An agent can have its own."""
    retention_recording_days: int = Field(0, ge=0, le=KEPT_DAYS_MAX)
    """Days after a call until its recording is erased; 0 keeps it. An agent can have its own; see docs/retention.md."""
    retention_transcript_days: int = Field(0, ge=0, le=KEPT_DAYS_MAX)
    """Days until the words of a call are erased: from record, journal, analysis and search; 0 keeps them."""
    retention_call_days: int = Field(0, ge=0, le=KEPT_DAYS_MAX)
    """Days until the whole call is erased, as DELETE does it; 0 keeps it."""

    # --- webhooks to you ----------------------------------------------------------------------------------------------
    webhook_url: WebhookAddress | None = None
    """Where the service reports each call, such as https://example.org/calls; see docs/webhooks.md."""
    webhook_secret: WebhookSecrets | None = None
    """Signs the reports: whsec_ and random bytes in base64; two separated by a comma while you replace one."""
    webhook_transcript: bool = False
    """Whether the reports say what was said."""
    webhook_allow_private: bool = False
    """Whether webhooks may go to this machine and to private networks."""

    # --- traces -------------------------------------------------------------------------------------------------------
    otel_exporter_otlp_endpoint: HttpAddress | None = None
    """Where traces of calls go, by OTLP over HTTP, such as http://collector:4318; no traces when not set."""
    otel_exporter_otlp_headers: SecretStr | None = None
    """Headers for the collector, ``name=value`` separated by commas."""
    otel_service_name: str = "voice-agent"
    """The name of the service in its traces."""

    # --- the vendors --------------------------------------------------------------------------------------------------
    providers: Literal["live", "sandbox"] | None = None
    """``sandbox`` or ``live``; the default is ``sandbox`` with none of the three keys and ENVIRONMENT=development."""
    sandbox_profile: Literal["instant", "typical", "slow"] = "typical"
    """The sandbox's delays: instant, typical or slow."""
    retry_attempts: int = Field(3, ge=1, le=10)
    """Attempts at requests to LiveKit's API, at GET requests of tools, at warm-ups, and at whole texts or recordings.
    A caller's turn does not use it: fallbacks answer instead."""
    deepgram_api_key: Secret | None = None
    """Deepgram's key, for speech recognition."""
    deepgram_base_url: HttpAddress = "https://api.deepgram.com"
    """Address of Deepgram, or of a regional, self-hosted or compatible server."""
    deepgram_sockets: int | None = Field(None, ge=1)
    """Most sockets at once that your plan at Deepgram allows for recognition; all workers share them. Calls beyond
    that are heard by a fallback. No limit of our own when not set."""
    stt_model: str = "flux-general-multi"
    """flux-general-multi, flux-general-en, nova-3, or Cartesia's ink-whisper."""
    stt_fallbacks: Words = ("deepgram-nova", "deepgram-flux", "cartesia-whisper")
    """Who hears when the first choice is down or late, in this order, separated by commas; ``none`` for no fallback."""
    eager_eot_threshold: float = Field(0.5, ge=0, le=0.9)
    """Flux: confidence at which an answer is prepared before the end of the turn is certain, 0.3 or more; 0 = never."""
    eot_threshold: float = Field(0.7, ge=0.5, le=1.0)
    """Flux: confidence that ends a turn."""
    keyterms: Words = ()
    """Words to listen for, separated by commas."""
    openai_api_key: Secret | None = None
    """OpenAI's key, for the language model."""
    openai_base_url: HttpAddress = "https://api.openai.com/v1"
    """Address of OpenAI, or of a compatible server; ends in /v1."""
    openai_api: Literal["responses", "chat"] = "responses"
    """Which of OpenAI's APIs to use; most compatible servers have chat."""
    llm_model: str = "gpt-6-luna"
    """Name of the language model."""
    llm_fallbacks: Words = ("again", "gpt-6.1-terra", "endpoint")
    """Which models answer when the first choice is down or late; ``again`` asks it once more. Or ``none``."""
    llm_fallback_base_url: HttpAddress | None = None
    """Address of a second server, ``endpoint`` in LLM_FALLBACKS, that has OpenAI's chat API; ends in /v1."""
    llm_fallback_api_key: Secret | None = None
    """Its key, if it asks for one."""
    llm_fallback_model: str | None = None
    """Its name of the model; LLM_MODEL when not set."""
    llm_reasoning_effort: str = "none"
    """Reasoning makes the caller wait; ``unset`` leaves the field out, for servers that do not know it."""
    cartesia_api_key: Secret | None = None
    """Cartesia's key, for speech synthesis."""
    cartesia_base_url: HttpAddress = "https://api.cartesia.ai"
    """Address of Cartesia, or of a compatible server."""
    cartesia_contexts: int | None = Field(None, ge=1)
    """Most texts that your plan at Cartesia voices at once; all workers share them. One is kept for live calls. No
    limit of our own when not set."""
    tts_fallbacks: Words = ("cartesia-http", "deepgram-aura", "espeak", "phrases")
    """Fallbacks when the first choice is down or late, in this order, separated by commas; ``none`` for no fallback."""
    tts_model: str = "sonic-3.5"
    """Name of the voice model."""
    tts_voice_ru: str = "779673f3-895f-4935-b6b5-b031dc78b319"
    """Voice id for Russian."""
    tts_voice_en: str = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
    """Voice id for English."""
    tts_speed: float = Field(1.0, ge=0.6, le=1.5)
    """Speed of the voice; 1 is normal."""
    tts_emotion: str | None = None
    """Emotion of the voice, by Cartesia's name for it."""
    tts_pronunciations: str | None = None
    """Id of a pronunciation dictionary at Cartesia."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ignore gettext's LANGUAGE, and a shell's LANGUAGE or HOST when the file sets it."""
        if isinstance(env_settings, EnvSettingsSource) and isinstance(dotenv_settings, EnvSettingsSource):
            ours = {name for name in _SHELLS_OWN if dotenv_settings.env_vars.get(f"va_{name}")}
            if not is_language(env_settings.env_vars.get("language") or ""):
                ours.add("language")
            env_settings.env_vars = {name: value for name, value in env_settings.env_vars.items() if name not in ours}
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    @field_validator("*", mode="before")
    @classmethod
    def _text_in_utf8(cls, value: Any) -> Any:
        """Refuse bytes that are not UTF-8: Python reads them as lone surrogates, which cannot be encoded later."""
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("write it in UTF-8") from None
        return value

    @field_validator("language")
    @classmethod
    def _known_language(cls, value: str) -> str:
        if not is_language(value):
            raise ValueError(f"use one of {', '.join(LANGUAGES)}, or the code of a language of the agent, such as de")
        return value

    @field_validator("eager_eot_threshold")
    @classmethod
    def _eager_or_never(cls, value: float) -> float:
        if 0 < value < _EAGER_LEAST:
            raise ValueError(f"use 0, or {_EAGER_LEAST} and more")
        return value

    @field_validator("openai_base_url", "llm_fallback_base_url")
    @classmethod
    def _ends_in_v1(cls, value: str | None) -> str | None:
        return value if value is None or value.endswith("/v1") else f"{value}/v1"

    @field_validator("livekit_webhook_keys")
    @classmethod
    def _arekey_secret_pairs(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not key_secret_pairs(value.get_secret_value()):
            raise ValueError("write key:secret, several separated by commas")
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _all_problems_at_once(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Raises SettingsError with all wrong values and all missing settings."""
        try:
            settings, problems = validate(data), []
        except ValidationError as error:
            settings, problems = (
                None,
                [
                    f"{str(item['loc'][0]).upper()}: {item['msg'].removeprefix(_PYDANTICS_OWN)}"
                    for item in error.errors(include_url=False)
                ],
            )
        problems += key_problems(data, cls.needed_keys, takes_calls=cls.takes_calls)
        problems += telephone_problems(data) + weak_problems(data) + spending_problems(data)
        problems += webhook_problems(data)
        if settings is None or problems:
            raise SettingsError(problems)
        return settings

    @property
    def uses_live_vendors(self) -> bool:
        """Whether the service uses the vendors rather than the sandbox."""
        if self.providers is not None:
            return self.providers == "live"
        return any(getattr(self, name) for name in self.needed_keys) or self.environment == "production"

    @property
    def carrier_hold_seconds(self) -> float:
        """Seconds that a carrier may keep a caller on hold without any sound. LiveKit SIP itself ends such a call after
        15 s, or after 30 s before the first sound."""
        return max(self.media_timeout_seconds, _CARRIER_HOLD_SECONDS)

    @property
    def places(self) -> int:
        """The most calls at once, in all workers together."""
        return self.max_concurrent_calls or _PLACES_OF_A_WORKER * self.workers

    @property
    def livekit_webhook_secrets(self) -> dict[str, str]:
        """Secrets that may sign webhooks, by API key; empty without LiveKit."""
        if self.livekit_webhook_keys is not None:
            return key_secret_pairs(self.livekit_webhook_keys.get_secret_value())
        if self.livekit_api_key is None or self.livekit_api_secret is None:
            return {}
        return {self.livekit_api_key: self.livekit_api_secret.get_secret_value()}

    @property
    def sip_address(self) -> str | None:
        """The address to which the carrier sends calls, ``sip:host:port``; None if neither setting is set."""
        return self.livekit_sip_uri or (self.public_ip and f"sip:{self.public_ip}:5060")

    @property
    def database(self) -> str:
        """The SQLAlchemy address of the database."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{(self.data_dir / 'calls.db').absolute()}"

    @property
    def retention(self) -> Retention:
        """For how many days calls are kept."""
        return Retention(self.retention_recording_days, self.retention_transcript_days, self.retention_call_days)

    @property
    def recordings_dir(self) -> Path:
        """The folder of recordings, with one folder for each call."""
        return self.data_dir / "recordings"

    @property
    def unsaved_dir(self) -> Path:
        """The folder for the last rows of calls that the database has not taken yet."""
        return self.data_dir / "unsaved"

    @property
    def agents_folder(self) -> Path | None:
        """The folder with the agents' files; None if there is none."""
        return self.agents_dir or (_AGENTS if _AGENTS.is_dir() else None)

    @property
    def kept_agents_dir(self) -> Path:
        """Where the agents' files are kept as they last were good."""
        return self.data_dir / "agents"

    @property
    def phrases_dir(self) -> Path:
        """The folder of prepared phrases."""
        return self.data_dir / "phrases"


class TextSettings(Settings):
    """The settings of a call in text, which needs the key of the language model alone."""

    needed_keys = ("openai_api_key",)
    takes_calls = False


def load_settings(env_file: str | None = ".env") -> Settings:
    """Read the settings. Raises SettingsError with a line for every problem, and without the value of any secret."""
    return _load(Settings, env_file)


def load_text_settings(env_file: str | None = ".env") -> Settings:
    """Read the settings for calls in text. Raises SettingsError as :func:`load_settings` does."""
    return _load(TextSettings, env_file)


def _load(kind: type[Settings], env_file: str | None) -> Settings:
    try:
        return kind(_env_file=env_file)  # type: ignore[call-arg]  # pydantic-settings takes it, its stub does not say so
    except UnicodeDecodeError as error:
        raise SettingsError([f"{env_file}: is not UTF-8 text; save it as UTF-8"]) from error
    except OSError as error:
        raise SettingsError(
            [f"{env_file}: cannot be read: {error.strerror}; make it readable for the service's user"]
        ) from error


def environment(env_file: str = ".env") -> dict[str, str]:
    """The values for ``${NAME}`` in an agent's file: the environment, then the file ``.env``."""
    written = dotenv_values(env_file, interpolate=False)
    return {**{name: value for name, value in written.items() if value}, **os.environ}


def setting_names() -> set[str]:
    """The names of all settings in the environment and in ``.env``."""
    return {name.upper() for name in Settings.model_fields} | {f"VA_{name.upper()}" for name in _SHELLS_OWN}


def environment_without_settings() -> dict[str, str]:
    """The environment of this process without the settings, for a child that gets its settings elsewhere."""
    ours = setting_names()
    return {name: value for name, value in os.environ.items() if name.upper() not in ours}


def misspelt_settings(env_file: str = ".env") -> dict[str, str]:
    """Names in the environment or the file that are almost those of settings, with the likely setting."""
    known = setting_names()
    given = sorted({name.upper() for name in environment(env_file)} - known)
    given = [name for name in given if not name.startswith(_OF_OPENTELEMETRY)]
    near = {name: get_close_matches(name, known, n=1, cutoff=_NEARLY_THE_SAME) for name in given}
    return {name: found[0] for name, found in near.items() if found}
