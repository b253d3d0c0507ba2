"""``voice-agent replay``: runs a call's journal through the core of this version, and shows different decisions."""

from rich.console import Console
from rich.text import Text

from app.cli.explain import stored_call
from app.conversation.events import Event
from app.journal.replay import Difference, differences, redacted_of
from app.observability.printable import printable

_SHOWN = 20


def replay_command(call_id: str) -> int:
    """Replay the call. Returns the exit status: 1 if something differs, or there is nothing to replay."""
    found = stored_call(call_id)
    if found is None:
        return 1
    call, rows = found
    console = Console(highlight=False)
    if call.words_erased_at is not None:
        console.print(f"{call.call_id} cannot be replayed: its words were erased at {call.words_erased_at}")
        return 1
    try:
        different = differences(rows)
    except ValueError:
        console.print(f"{call.call_id} never ran, so nothing was decided in it: {call.end_reason or call.status}")
        return 1
    for difference in different[:_SHOWN]:
        console.print(Text(_shown(difference)), soft_wrap=True)
    if len(different) > _SHOWN:
        console.print(f"and {len(different) - _SHOWN} more, which may follow from these")
    if redacted := redacted_of(rows):
        told = f"{', '.join(map(printable, redacted))} were redacted: decisions that hung on these words may differ"
        console.print(Text(told))
    outcome = f"{len(different)} differences" if different else "the same decisions"
    console.print(f"{len(rows)} rows of version {call.version}: {outcome}", style="bold red" if different else "green")
    return int(bool(different))


def _shown(difference: Difference) -> str:
    row = difference.row
    then, now = _named(difference.then), _named(difference.now)
    return f"row {row.seq} ({row.t:.3f} s, {row.type}): then {then}, now {now}"


def _named(event: Event | None) -> str:
    return "nothing of it" if event is None else printable(str(event))
