"""Settings: they load, or the start is refused with every problem named and no secret told."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.errors import SettingsError
from app.settings import Settings, environment_without_settings, load_settings, misspelt_settings

STRONG = "c2f9e1b7a4d8036e"
KEYS = {"DEEPGRAM_API_KEY": "dg-secret", "OPENAI_API_KEY": "oa-secret", "CARTESIA_API_KEY": "ca-secret"}
GOOD: dict[str, str] = {
    "ENVIRONMENT": "production",
    "VA_HOST": "0.0.0.0",  # noqa: S104 - nothing listens here
    "PORT": "8080",
    "LOG_LEVEL": "debug",
    "API_KEY": "operators-c2f9-of-the-tests",
    "METRICS_TOKEN": "metrics-secret-of-the-tests",
    "DATABASE_URL": "sqlite+aiosqlite:////srv/database-secret/calls.db",
    "MAX_CONCURRENT_CALLS": "7",
    "VA_LANGUAGE": "en",
    "MAX_RESPONSE_LATENCY": "1.2",
    "IDLE_PROMPTS": "0",
    "PLAYOUT_LEAD_MS": "100",
    "RECORDING": "false",
    "EOT_THRESHOLD": "0.8",
    "TTS_SPEED": "1.1",
    "OPENAI_BASE_URL": "https://eu.api.openai.com",
    **KEYS,
}
BAD: dict[str, str] = {
    "ENVIRONMENT": "staging",
    "PORT": "70000",
    "LOG_LEVEL": "loud",
    "MAX_CONCURRENT_CALLS": "0",
    "DRAIN_SECONDS": "-1",
    "VA_LANGUAGE": "french",
    "MAX_RESPONSE_LATENCY": "soon",
    "CONTEXT_WINDOW_SIZE": "10",
    "IDLE_PROMPT_SECONDS": "0",
    "PLAYOUT_LEAD_MS": "5000",
    "RECORDING": "perhaps",
    "PROVIDERS": "both",
    "RETRY_ATTEMPTS": "0",
    "EAGER_EOT_THRESHOLD": "0.1",
    "EOT_THRESHOLD": "1.5",
    "TTS_SPEED": "3",
    "OPENAI_BASE_URL": "api.openai.com",
    "OPENAI_API": "assistants",
    "DOMAIN": "voice.example.org:99999",
    "DATABASE_URL": "mysql+aiomysql://agent:database-secret@db/calls",
    "TRANSFER_TARGETS": "+74950000000",
    "MAX_CALL_COST_USD": "0",
    "CARTESIA_CONTEXTS": "0",
    "DEEPGRAM_SOCKETS": "some",
}
SECRETS = (*KEYS.values(), "operators-c2f9-of-the-tests", "metrics-secret-of-the-tests", "database-secret")


def loaded(variables: Mapping[str, str], env_file: Path | None = None) -> Settings:
    """As a process with these variables and no others would load them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        return load_settings(None if env_file is None else str(env_file))


def problems(variables: Mapping[str, str]) -> list[str]:
    """What is complained about; empty when the settings load."""
    try:
        loaded(variables)
    except SettingsError as error:
        return error.problems
    return []


def named(variables: Mapping[str, str]) -> set[str]:
    """The variables that are complained about."""
    return {problem.partition(":")[0] for problem in problems(variables)}


def test_without_any_variable_the_sandbox_is_used_on_this_machine_only() -> None:
    settings = loaded({})
    assert (settings.uses_live_vendors, settings.environment, settings.host) == (False, "development", "127.0.0.1")
    assert settings.api_key is None


def test_everything_that_is_set_is_read() -> None:
    settings = loaded(GOOD)
    assert (settings.port, settings.language, settings.recording, settings.tts_speed) == (8080, "en", False, 1.1)
    assert settings.api_key == SecretStr("operators-c2f9-of-the-tests")
    assert settings.uses_live_vendors


def test_every_wrong_variable_is_named_at_once() -> None:
    assert named(BAD) == set(BAD)


@pytest.mark.parametrize("name", ["GREETING", "ROOM_PREFIX", "TTS_EMOTION"])
def test_bytes_that_are_no_text_are_refused(name: str) -> None:
    assert problems({name: os.fsdecode(b"Hello \xff")}) == [f"{name}: write it in UTF-8"]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"MAX_CALL_COST_USD": "0.5"}, []),
        ({"MAX_CALL_COST_USD": "0.5", "MAX_DAY_COST_USD": "0.5"}, []),
        (
            {"MAX_CALL_COST_USD": "0.5", "MAX_DAY_COST_USD": "much"},
            ["MAX_DAY_COST_USD: Input should be a valid number"],
        ),
        (
            {"MAX_DAY_COST_USD": "20"},
            ["MAX_DAY_COST_USD: each call reserves what it may cost, so set also MAX_CALL_COST_USD"],
        ),
        (
            {"MAX_CALL_COST_USD": "0.5", "MAX_DAY_COST_USD": "0.4", "ENVIRONMENT": "production"},
            ["MAX_DAY_COST_USD: no call would fit into the day; use as much or more than MAX_CALL_COST_USD"],
        ),
    ],
)
def test_a_day_has_room_for_one_call_at_least(variables: dict[str, str], told: list[str]) -> None:
    about_spending = [problem for problem in problems(variables) if problem.startswith("MAX_")]
    assert [problem[: len(line)] for problem, line in zip(about_spending, told, strict=True)] == told


def test_complaints_are_in_the_words_of_settings() -> None:
    told = problems({"VA_HOST": "0.0.0.0", "TRANSFER_TARGETS": "sales"})  # noqa: S104 - nothing listens here
    assert [line for line in told if "Value error" in line] == []
    assert [line for line in told if "VA_HOST=0.0.0.0 needs one" in line] != []


def test_wrong_and_missing_variables_are_named_together() -> None:
    wrong = {"ENVIRONMENT": "production", "PORT": "none"}
    assert named(wrong) == {"PORT", "API_KEY", *KEYS}


@pytest.mark.parametrize("count", [1, 2])
def test_some_keys_of_vendors_are_not_enough(count: int) -> None:
    given_keys = dict(list(KEYS.items())[:count])
    assert named(given_keys) == set(KEYS) - set(given_keys)


@pytest.mark.parametrize(
    ("variables", "live"),
    [
        ({}, False),
        (KEYS, True),
        ({**KEYS, "PROVIDERS": "sandbox"}, False),
        ({"PROVIDERS": "sandbox"}, False),
        ({"ENVIRONMENT": "production", "PROVIDERS": "sandbox", "API_KEY": STRONG}, False),
        ({"ENVIRONMENT": "production", "API_KEY": STRONG, **KEYS}, True),
        (dict.fromkeys(KEYS, ""), False),
    ],
)
def test_the_sandbox_is_used_when_asked_for_or_when_there_is_no_key_in_development(
    variables: dict[str, str], live: bool
) -> None:
    assert loaded(variables).uses_live_vendors is live


def test_production_asks_the_vendors_and_so_needs_their_keys() -> None:
    assert named({"ENVIRONMENT": "production", "API_KEY": STRONG}) == set(KEYS)


WEAK = ["a", "k" * 40, "ChangeMe-ChangeMe-1", "my-password-is-good", "a1a1a1a1a1a1a1a1a1", "1234567890123456", "0" * 64]
WEAK += ["my-secret-api-key-1", "qwertyuiopasdfghjkl", "let-me-in-please-now"]
WEAK += ["replace-with-a-long-random-string", "supersecretsupersecret", "Passw0rd-Passw0rd-1", "admin1234admin5678"]
LIVEKIT = {"LIVEKIT_URL": "wss://livekit.example.org", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": STRONG}


@pytest.mark.parametrize("key", WEAK)
@pytest.mark.parametrize("name", ["API_KEY", "METRICS_TOKEN", "LIVEKIT_API_SECRET"])
def test_production_takes_no_secret_that_is_easily_guessed(name: str, key: str) -> None:
    production = {"ENVIRONMENT": "production", "API_KEY": STRONG, **KEYS, **LIVEKIT}
    assert named(production) == set()
    assert named({**production, name: key}) == {name}
    (line,) = problems({**production, name: key})
    assert "openssl rand -hex 32" in line
    assert key not in line or len(key) == 1


def test_a_random_key_may_have_a_word_before_it() -> None:
    assert named({"ENVIRONMENT": "production", "API_KEY": f"voice-token-{STRONG}", **KEYS}) == set()


def test_each_key_that_signs_webhooks_is_looked_at() -> None:
    production = {"ENVIRONMENT": "production", "API_KEY": STRONG, **KEYS, **LIVEKIT}
    assert named({**production, "LIVEKIT_WEBHOOK_KEYS": f"old:{STRONG},new:{STRONG}"}) == set()
    assert named({**production, "LIVEKIT_WEBHOOK_KEYS": f"old:{STRONG},devkey:secret"}) == {"LIVEKIT_WEBHOOK_KEYS"}


@pytest.mark.parametrize(
    "key", [" ", f" {STRONG}", f"{STRONG}\n", f"{STRONG}\t", f"{STRONG}ж", f"ключ{STRONG}", f"{STRONG}\x1b"]
)
@pytest.mark.parametrize("name", ["API_KEY", "METRICS_TOKEN", "LIVEKIT_API_SECRET", *KEYS])
def test_no_secret_holds_what_no_header_can(name: str, key: str) -> None:
    for environment in ("production", "development"):
        assert name in named({**KEYS, "API_KEY": STRONG, "ENVIRONMENT": environment, name: key})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "::"])  # noqa: S104 - nothing listens here
@pytest.mark.parametrize("name", ["HOST", "VA_HOST"])
def test_a_service_that_others_can_reach_needs_a_key(name: str, host: str) -> None:
    assert named({name: host}) == {"API_KEY"}
    assert loaded({name: host, "API_KEY": "k"}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_service_of_this_machine_needs_no_key(host: str) -> None:
    assert loaded({"HOST": host}).host == host


def test_the_name_that_no_shell_uses_goes_first() -> None:
    settings = loaded({"VA_HOST": "127.0.0.1", "HOST": "machine.local", "VA_LANGUAGE": "en", "LANGUAGE": "ru"})
    assert (settings.host, settings.language) == ("127.0.0.1", "en")


@pytest.mark.parametrize("gettexts", ["en_US:en", "ru_RU.UTF-8", "en_GB", "C", "EN", "english", "de:fr"])
def test_a_language_that_is_gettexts_is_ignored(gettexts: str) -> None:
    assert loaded({"LANGUAGE": gettexts}).language == "ru"


@pytest.mark.parametrize("code", ["ru", "en", "multi"])
def test_a_bare_code_is_a_language(code: str) -> None:
    assert loaded({"LANGUAGE": code}).language == code


@pytest.mark.parametrize("written", ["german", "DE", "d", "de-DE"])
def test_what_is_no_code_of_a_language_is_refused(written: str) -> None:
    assert "use one of ru, en, multi, or the code of a language of the agent" in problems({"VA_LANGUAGE": written})[0]


def test_a_language_may_be_that_of_an_agents_file() -> None:
    assert loaded({"VA_LANGUAGE": "de"}).language == "de"


@pytest.mark.parametrize(
    ("given_url", "used"),
    [
        ("https://api.openai.com", "https://api.openai.com/v1"),
        ("https://api.openai.com/", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("http://127.0.0.1:8000/openai", "http://127.0.0.1:8000/openai/v1"),
    ],
)
def test_the_address_of_openai_ends_in_v1(given_url: str, used: str) -> None:
    assert loaded({"OPENAI_BASE_URL": given_url}).openai_base_url == used


def test_an_empty_value_counts_as_not_set() -> None:
    assert loaded(dict.fromkeys([*GOOD, *BAD], "")) == loaded({})


def test_words_to_listen_for_are_separated_by_commas() -> None:
    assert loaded({"KEYTERMS": "Сбер, клиника ,,МРТ"}).keyterms == ("Сбер", "клиника", "МРТ")


def test_a_file_is_read_and_the_environment_goes_before_it(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=9000\nVA_LANGUAGE=en\nAPI_KEY=of-the-file\n# PORT=1\n", encoding="utf-8")
    settings = loaded({"PORT": "9001"}, file)
    assert (settings.port, settings.language) == (9001, "en")
    assert settings.api_key == SecretStr("of-the-file")


def test_a_name_of_ours_in_the_file_goes_before_that_of_the_shell(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("VA_LANGUAGE=en\nVA_HOST=127.0.0.1\n", encoding="utf-8")
    settings = loaded({"LANGUAGE": "ru", "HOST": "machine.local"}, file)
    assert (settings.host, settings.language) == ("127.0.0.1", "en")
    assert loaded({"VA_LANGUAGE": "multi"}, file).language == "multi"


def test_the_database_is_a_file_in_the_data_folder_unless_another_is_named(tmp_path: Path) -> None:
    assert loaded({"DATA_DIR": str(tmp_path)}).database == f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}"
    assert loaded(GOOD).database == GOOD["DATABASE_URL"]


@pytest.mark.parametrize(
    ("given_url", "used"),
    [
        ("postgres://voice:secret@db:5432/calls", "postgresql+asyncpg://voice:secret@db:5432/calls"),
        ("postgresql://voice@db/calls?sslmode=require", "postgresql+asyncpg://voice@db/calls?ssl=require"),
        ("postgresql+asyncpg:///calls?host=a:5432&host=b:5432", "postgresql+asyncpg:///calls?host=a:5432&host=b:5432"),
    ],
)
def test_an_address_of_postgres_may_be_written_as_its_hosts_write_it(given_url: str, used: str) -> None:
    assert loaded({"DATABASE_URL": given_url}).database == used


def test_no_secret_is_shown() -> None:
    settings = loaded(GOOD)
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()} {vars(settings)}"
    assert not [secret for secret in SECRETS if secret in shown]


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded({}).port = 1


@given(st.dictionaries(st.sampled_from(sorted({*GOOD, *BAD, "HOST", "LANGUAGE"})), st.booleans()))
def test_settings_load_or_name_every_variable_that_is_wrong(choice: dict[str, bool]) -> None:
    """True: a good value; False: a bad one, where there is one."""
    variables = {
        name: GOOD[name] if good or name not in BAD else BAD[name] for name, good in choice.items() if name in GOOD
    }
    variables |= {name: BAD[name] for name, good in choice.items() if name in BAD and not good}
    wrong = {name for name, value in variables.items() if BAD.get(name) == value}
    assert wrong <= named(variables) <= wrong | {"API_KEY", *KEYS}
    assert not [secret for secret in SECRETS if secret in str(problems(variables))]


@given(
    st.sampled_from(sorted({*GOOD, *BAD})), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
)
def test_whatever_a_variable_holds_the_answer_is_settings_or_a_complaint_about_it(name: str, value: str) -> None:
    assert named({name: value}) <= {name, "API_KEY", *KEYS}


def test_the_environment_without_settings_has_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*GOOD, *KEYS, "DATABASE_URL"):
        monkeypatch.setenv(name, "somebody's")
    monkeypatch.setenv("PATH_OF_MINE", "kept")
    left = environment_without_settings()
    assert set(left) & {*GOOD, *KEYS, "DATABASE_URL"} == set()
    assert left["PATH_OF_MINE"] == "kept"


def test_a_name_that_is_nearly_a_setting_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("GREETINGS=Hello\nGREETING=Hello\nSCHEDULE_TOKEN=secret\nDEEPGRAM_KEY=secret\n", encoding="utf-8")
    for name in os.environ:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DIAL_PREFIX", "+7495")
    for unrelated in ("HOSTNAME", "LANG", "PATH", "HOME", "LIVEKIT_SERVER"):
        monkeypatch.setenv(unrelated, "x")
    told = {"GREETINGS": "GREETING", "DEEPGRAM_KEY": "DEEPGRAM_API_KEY", "DIAL_PREFIX": "DIAL_PREFIXES"}
    assert misspelt_settings(str(file)) == told


WEBHOOKS = {"WEBHOOK_URL": "https://example.org/calls/", "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}


def test_webhooks_need_an_address_and_a_secret() -> None:
    assert loaded(WEBHOOKS).webhook_url == "https://example.org/calls/"
    assert named({"WEBHOOK_URL": WEBHOOKS["WEBHOOK_URL"]}) == {"WEBHOOK_SECRET"}
    for secret in ("secret", "whsec_", "whsec_c2hvcnQ=", "whsec_!", f"{WEBHOOKS['WEBHOOK_SECRET']},x"):
        assert named({**WEBHOOKS, "WEBHOOK_SECRET": secret}) == {"WEBHOOK_SECRET"}
    for url in ("example.org", "ftp://example.org", "https://", "https://u:p@example.org", "https://example.org/#x"):
        assert named({**WEBHOOKS, "WEBHOOK_URL": url}) == {"WEBHOOK_URL"}


def test_production_sends_webhooks_over_https_alone() -> None:
    plain = {**WEBHOOKS, "WEBHOOK_URL": "http://example.org"}
    assert named(plain) == set()
    assert named({"ENVIRONMENT": "production", "API_KEY": STRONG, **KEYS, **WEBHOOKS}) == set()
    assert named({"ENVIRONMENT": "production", "API_KEY": STRONG, **KEYS, **plain}) == {"WEBHOOK_URL"}
