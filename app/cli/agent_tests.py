"""``voice-agent test``: holds the calls of test files, and says which expectations were not met."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.agent_tests.changes import Changes
from app.agent_tests.file import SUFFIXES, read_test_file
from app.agent_tests.junit import junit_xml
from app.agent_tests.kept_answers import KeptAnswers
from app.agent_tests.prepared import Prepared, prepare
from app.agent_tests.results import Attempt, ScenarioResult, pass_hat
from app.agent_tests.running import Holder, ScenarioRunner, run_all
from app.agent_tests.text_runner import TextHolder
from app.cli.comparison_table import print_comparison
from app.cli.sandbox_process import SandboxAddresses, vendors_or_sandbox
from app.errors import SettingsError
from app.journal.comparison import Exchange, compared, exchanges
from app.observability.logs import configure_logging
from app.observability.printable import printable
from app.settings import Settings, load_settings, load_text_settings
from app.wiring_text import Agents, open_text_calls

WRONG_FILE = 2
"""Exit status when a file of tests is wrong."""
_ANSWERS = "test-answers"
"""The folder in DATA_DIR with the answers of judges and personas."""
_WIDTH = 140


@dataclass(frozen=True, slots=True)
class TestOptions:
    """What the command line says."""

    __test__ = False  # pytest would take it for a test

    files: Sequence[Path]
    repeat: int
    parallel: int
    junit: Path | None
    dry_tools: bool
    changes: Changes
    """What is to be other than in the files of the agents."""
    is_audio: bool
    """Whether the calls are held over sound."""
    keeps_answers: bool


def test_command(options: TestOptions) -> int:
    """Run the tests. Returns the exit status: 0 if all passed, 1 if one failed, 2 for a wrong file."""
    configure_logging("critical")
    settings = load_settings() if options.is_audio else load_text_settings()
    if options.junit is not None and not options.junit.parent.is_dir():
        sys.stderr.write(f"--junit {options.junit}: there is no folder {options.junit.parent}; create it first\n")
        return WRONG_FILE
    try:
        files = [read_test_file(path) for path in _paths(options.files)]
        agents = Agents(settings, {name: value for file in files for name, value in file.environment.items()})
        prepared = prepare(files, agents, options.changes)
    except SettingsError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return WRONG_FILE
    kept = KeptAnswers(settings.data_dir / _ANSWERS if options.keeps_answers else None)
    if not options.is_audio:
        settings = settings.model_copy(update={"sandbox_profile": "instant"})
    with vendors_or_sandbox(settings) as (reachable, sandbox):
        results = asyncio.run(_run(options, prepared, agents, reachable, sandbox, kept))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    _print_results(console, results, options.repeat, kept)
    _print_comparisons(console, prepared, results, is_audio=options.is_audio)
    if options.junit is not None:
        options.junit.write_bytes(junit_xml(results))
    return int(not all(result.passed for result in results))


def _paths(given: Sequence[Path]) -> list[Path]:
    """The files, and those in the folders. Raises SettingsError for a folder without tests."""
    paths: list[Path] = []
    for path in given:
        found = sorted(each for each in path.iterdir() if each.name.endswith(SUFFIXES)) if path.is_dir() else [path]
        if not found:
            raise SettingsError([f"{path} has no file that ends in .tests.yaml"])
        paths += found
    return paths


async def _run(
    options: TestOptions,
    prepared: Sequence[Prepared],
    agents: Agents,
    settings: Settings,
    sandbox: SandboxAddresses | None,
    kept: KeptAnswers,
) -> list[ScenarioResult]:
    def show(each: Prepared, attempt: Attempt) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"{'passed' if attempt.passed else 'FAILED'}  {printable(each.scenario.name)}\n")

    async with AsyncExitStack() as stack:
        used = list({id(each.agent): each.agent for each in prepared}.values())
        calls = await stack.enter_async_context(open_text_calls(settings, agents, used))
        for each in prepared:
            calls.check(each.request)
        await calls.warm_up()
        holder: Holder = TextHolder(calls, kept, dry_tools=options.dry_tools)
        if options.is_audio:
            from app.cli.audio_tests import open_audio_calls  # loads the service and the simulated caller

            holder = await stack.enter_async_context(
                open_audio_calls(
                    settings,
                    prepared,
                    calls,
                    kept,
                    sandbox_url=None if sandbox is None else sandbox.url,
                    parallel=options.parallel,
                    dry_tools=options.dry_tools,
                )
            )
        runner = ScenarioRunner(holder, calls.generator, kept)
        return await run_all(prepared, runner, repeat=options.repeat, parallel=options.parallel, on_attempt=show)


def _print_comparisons(
    console: Console, prepared: Sequence[Prepared], results: Sequence[ScenarioResult], *, is_audio: bool
) -> None:
    """Of each scenario that was made of a call: that call, and the first attempt to hold it again."""
    for each, result in zip(prepared, results, strict=True):
        recorded, rows = each.scenario.recorded, result.attempts[0].rows
        if recorded and rows:
            then = [Exchange(**{**shape.model_dump(), "tools": tuple(shape.tools)}) for shape in recorded]
            now = exchanges(rows)
            if not is_audio:
                then, now = [one.in_text() for one in then], [one.in_text() for one in now]
            print_comparison(console, result.name, compared(then, now))


def _print_results(console: Console, results: Sequence[ScenarioResult], repeat: int, kept: KeptAnswers) -> None:
    table = Table(title=None)
    for name in ("scenario", "passed"):
        table.add_column(name)
    for name in ("turns", "seconds", "cost"):
        table.add_column(name, justify="right")
    table.add_column("first failure")
    for result in results:
        table.add_row(*_cells(result))
    console.print(table)
    for result in results:
        if (attempt := result.first_failed) is not None:
            console.print(_failure(result, attempt), soft_wrap=True)
    failed = sum(not result.passed for result in results)
    figures = ", ".join(f"pass^{k} {pass_hat(results, k):.0%}" for k in sorted({1, repeat}))
    asked = f"judges and personas: {kept.asked} answers asked for, {kept.kept} known"
    outcome = f"{failed} of {len(results)} scenarios failed" if failed else f"all {len(results)} scenarios passed"
    console.print(f"{outcome}; {figures}; {asked}", style="bold red" if failed else "green", soft_wrap=True)


def _cells(result: ScenarioResult) -> tuple[Text | str, ...]:
    count, attempts = result.passes, result.attempts
    costs = [attempt.cost_usd for attempt in attempts]
    cost = "unknown" if None in costs else f"${sum(each or 0.0 for each in costs) / len(costs):.5f}"
    seconds = sum(attempt.seconds for attempt in attempts) / len(attempts)
    failed = result.first_failed
    first = None if failed is None else failed.first_failure
    told = "" if failed is None else failed.problem or (first.expectation if first else "")
    passed = Text(f"{count}/{len(attempts)}", style="green" if result.passed else "bold red")
    turns = f"{sum(attempt.turns for attempt in attempts) / len(attempts):.3g}"
    return Text(printable(result.name)), passed, turns, f"{seconds:.1f}", cost, Text(printable(told))


def _failure(result: ScenarioResult, attempt: Attempt) -> Text:
    """The first failing turn, with what was said."""
    shown = Text.assemble((f"{printable(result.name)}\n", "bold"))
    if attempt.problem:
        return shown.append(f"  {printable(attempt.problem)}")
    first = attempt.first_failure
    if first is not None:
        where = "the call" if first.turn is None else f"turn {first.turn}"
        shown.append(f"  {where}: {printable(first.expectation)}: {printable(first.why)}\n", style="red")
        shown.append(f"  {printable(first.said)}")
    return shown
