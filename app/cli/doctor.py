"""``voice-agent doctor``: checks everything that a call depends on, and says what is wrong and what to do."""

import asyncio
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.checks.agents import agent_checks
from app.cli.checks.doors import door_checks
from app.cli.checks.findings import Finding, Grade, examine
from app.cli.checks.machine import machine_checks
from app.cli.checks.running import running_checks
from app.cli.checks.telephony import telephony_checks
from app.cli.checks.vendors import vendor_checks
from app.errors import SettingsError
from app.observability.logs import configure_logging
from app.observability.printable import printable
from app.settings import Settings, load_settings, misspelt_settings
from app.start_checks import check_settings

_STYLES: dict[Grade, str] = {"ok": "green", "warning": "yellow", "wrong": "bold red", "not checked": "dim"}

_KEY_CHARACTERS = 20


def doctor_command() -> int:
    """Run all checks and print them. Returns the exit status: 1 if something is wrong."""
    configure_logging("error")
    findings = diagnose()
    console = Console(highlight=False)
    console.print(table(findings))
    wrong = sum(finding.grade == "wrong" for finding in findings)
    console.print(f"{wrong} wrong" if wrong else "Nothing is wrong.", style=_STYLES["wrong" if wrong else "ok"])
    return int(wrong > 0)


def diagnose() -> list[Finding]:
    """All findings. With wrong settings, only those, because nothing else can be checked."""
    try:
        settings = load_settings()
        check_settings(settings)
    except SettingsError as error:
        return [Finding(*_split(problem)) for problem in error.problems]
    return [_of_settings(settings), *of_keys(settings), *_misspelt(), *asyncio.run(_all(settings))]


def of_keys(settings: Settings) -> list[Finding]:
    """Warn of our keys that are short enough to guess: a right key works even after many wrong ones."""
    keys = {"API_KEY": settings.api_key, "METRICS_TOKEN": settings.metrics_token}
    advice = "Use a longer one, for instance the output of: openssl rand -hex 32"
    return [
        Finding(name, "warning", f"has fewer than {_KEY_CHARACTERS} characters and may be guessed", advice)
        for name, key in keys.items()
        if key is not None and len(key.get_secret_value()) < _KEY_CHARACTERS
    ]


async def _all(settings: Settings) -> list[Finding]:
    return await examine(
        [
            *machine_checks(settings),
            *agent_checks(settings),
            *vendor_checks(settings),
            *telephony_checks(settings),
            *door_checks(settings),
            *running_checks(settings),
        ]
    )


def table(findings: Sequence[Finding]) -> Table:
    """A row for each finding, with the advice below it."""
    shown = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for finding in findings:
        said = f"{finding.said}\n{finding.advice}" if finding.advice else finding.said
        lines = "\n".join(map(printable, said.splitlines()))
        shown.add_row(Text(finding.grade, _STYLES[finding.grade]), Text(finding.about), Text(lines))
    return shown


def _of_settings(settings: Settings) -> Finding:
    vendors = "live" if settings.uses_live_vendors else "sandbox"
    return Finding("settings", "ok", f"complete; ENVIRONMENT={settings.environment}, PROVIDERS={vendors}")


def _misspelt() -> list[Finding]:
    """Warn of misspelt settings, which would silently do nothing."""
    return [
        Finding(name, "warning", "is not a setting and has no effect", f"Did you mean {meant}?")
        for name, meant in misspelt_settings().items()
    ]


def _split(problem: str) -> tuple[str, Grade, str]:
    name, _, said = problem.partition(": ")
    return name, "wrong", said
