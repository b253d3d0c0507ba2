"""``voice-agent replay``: runs a call's journal through the core of this version, and shows different decisions.

With another policy it shows what would have come sooner, later, or otherwise; with another prompt or model, which are
asked, what they answer to the same words.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from app.agent_tests.asked_again import asked_again
from app.agent_tests.changes import Changes
from app.agent_tests.running import CallNotHeld
from app.calls.text.outside import NOTHING_KNOWN
from app.cli.comparison_table import print_comparison
from app.cli.explain import stored_call
from app.cli.sandbox_process import vendors
from app.clock import parse_iso
from app.conversation.events import Event
from app.errors import CallRejected, InvalidRequest, ProviderError, SettingsError
from app.journal.comparison import Compared
from app.journal.replay import Difference, created_of, differences, redacted_of
from app.journal.what_if import UnknownSetting, WhatIf, what_if
from app.models import JournalRow
from app.observability.logs import configure_logging
from app.observability.printable import printable
from app.settings import Settings, load_text_settings
from app.storage.calls import CallRow
from app.wiring_text import Agents, TextRequest, open_text_calls

_SHOWN = 20
_WIDTH = 160
_WRONG = 2
"""Exit status for a setting, an agent or a file that does not exist."""


def replay_command(call_id: str, changes: Changes, agent: str | None) -> int:
    """Replay the call. Returns the exit status: 1 if something differs, or there is nothing to replay.

    ``agent`` is the name or the file of the agent whose prompt and model are asked; None for the call's own.
    """
    found = stored_call(call_id)
    if found is None:
        return 1
    call, rows = found
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    if call.words_erased_at is not None:
        console.print(f"{call.call_id} cannot be replayed: its words were erased at {call.words_erased_at}")
        return 1
    try:
        created_of(rows)
        return _replayed(console, call, rows, changes, agent)
    except (UnknownSetting, SettingsError, InvalidRequest) as error:
        problems = error.problems if isinstance(error, SettingsError) else [str(error)]
        sys.stderr.write("".join(f"{printable(problem)}\n" for problem in problems))
        return _WRONG
    except ValueError:
        console.print(f"{call.call_id} never ran, so nothing was decided in it: {call.end_reason or call.status}")
        return 1


def _replayed(
    console: Console, call: CallRow, rows: Sequence[JournalRow], changes: Changes, agent: str | None
) -> int:  # fmt: skip
    differs = False
    if changes.policy:
        differs = _print_what_if(console, rows, what_if(rows, changes.policy))
    if changes.asks_model:
        differs = _ask_again(console, call, rows, changes, agent) or differs
    if not changes.policy and not changes.asks_model:
        differs = _print_differences(console, call, rows)
    return int(differs)


def _print_differences(console: Console, call: CallRow, rows: Sequence[JournalRow]) -> bool:
    different = differences(rows)
    for difference in different[:_SHOWN]:
        console.print(Text(_shown(difference)), soft_wrap=True)
    if len(different) > _SHOWN:
        console.print(f"and {len(different) - _SHOWN} more, which may follow from these")
    if redacted := redacted_of(rows):
        told = f"{', '.join(map(printable, redacted))} were redacted: decisions that hung on these words may differ"
        console.print(Text(told))
    outcome = f"{len(different)} differences" if different else "the same decisions"
    console.print(f"{len(rows)} rows of version {call.version}: {outcome}", style="bold red" if different else "green")
    return bool(different)


def _print_what_if(console: Console, rows: Sequence[JournalRow], found: WhatIf) -> bool:
    for moment in found.moments:
        told = f"{moment.t:9.3f} s  row {moment.row.seq}: now {moment.now}; then {moment.then}"
        console.print(Text(printable(told)), soft_wrap=True)
    if found.parts_at is not None:
        console.print(f"From {found.parts_at:.3f} s on it would have been another call: the rest is not compared.")
    count = len(found.moments)
    outcome = f"{count} moments would have been different" if count else "with this policy nothing would differ"
    console.print(f"{len(rows)} rows: {outcome}", style="bold yellow" if count else "green")
    return bool(count)


def _ask_again(
    console: Console, call: CallRow, rows: Sequence[JournalRow], changes: Changes, agent: str | None
) -> bool:  # fmt: skip
    """Raises SettingsError, InvalidRequest."""
    configure_logging("critical")
    settings = load_text_settings()
    agents = Agents(settings)
    profile = Changes(changes.prompt, changes.model).applied(agents.find(agent or call.agent))
    created = created_of(rows)
    request = TextRequest(
        profile, created.language, call.caller_number, call.called_number, call.variables, _begun(rows)
    )
    if not settings.uses_live_vendors:
        console.print("No vendor's key is set: the sandbox answers, by simple rules.", style="yellow")
    try:
        with vendors(settings.model_copy(update={"sandbox_profile": "instant"})) as reachable:
            compared = asyncio.run(_asked(rows, request, agents, reachable))
    except (CallNotHeld, CallRejected, ProviderError) as error:
        raise InvalidRequest(f"the model could not be asked: {error}") from error
    print_comparison(console, call.call_id, compared)
    return any(each.differs for each in compared)


async def _asked(
    rows: Sequence[JournalRow], request: TextRequest, agents: Agents, settings: Settings
) -> list[Compared]:  # fmt: skip
    async with open_text_calls(settings, agents, [request.agent]) as calls:
        planned = await calls.plan(request, lookup=NOTHING_KNOWN)
        await calls.warm_up()
        return await asked_again(rows, planned)


def _begun(rows: Sequence[JournalRow]) -> datetime:
    return parse_iso(rows[0].at)


def _shown(difference: Difference) -> str:
    row = difference.row
    then, now = _named(difference.then), _named(difference.now)
    return f"row {row.seq} ({row.t:.3f} s, {row.type}): then {then}, now {now}"


def _named(event: Event | None) -> str:
    return "nothing of it" if event is None else printable(str(event))
