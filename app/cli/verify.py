"""``voice-agent verify``: whether a call's journal is as it was when the call ended."""

from rich.console import Console
from rich.text import Text

from app.cli.explain import in_database
from app.journal.seal import problems
from app.observability.printable import printable
from app.storage.lookup import SealedCall, look_up_sealed

_FAILED, _UNKNOWN = 1, 2


def verify_command(call_id: str, seal: str | None) -> int:
    """Check the call. ``seal`` is one that was kept elsewhere; without it the one in the call's record.

    Returns the exit status: 0 if all is as it was written, 1 if not, 2 if nobody can say.
    """
    call = in_database(look_up_sealed, call_id)
    if call is None:
        return _UNKNOWN
    status, lines = _verdict(call_id, call, seal)
    console = Console(highlight=False)
    for line in lines:
        console.print(Text(printable(line), style="bold red" if status == _FAILED else ""), soft_wrap=True)
    return status


def _verdict(call_id: str, call: SealedCall, kept: str | None) -> tuple[int, list[str]]:
    if call.erased_at is not None:
        by = " by the retention of your settings" if call.erased_by == "retention" else ""
        told = f"{call_id} was erased at {call.erased_at}{by}. Its seal was {call.seal or 'not made'}."
        if kept is not None and kept != call.seal:
            return _FAILED, [told, f"That is not the seal {kept}."]
        return _UNKNOWN, [told]
    if call.status != "ended":
        return _UNKNOWN, [f"{call_id} has not ended. It gets its seal with its last row."]
    seal = call.seal if kept is None else kept
    if call.words_erased_at is not None:
        return _without_words(call_id, call, seal)
    wrong = problems(call_id, call.rows, seal)
    if wrong:
        return _FAILED, [f"{call_id} is not as it was written:", *(f"  {problem}" for problem in wrong)]
    return 0, [f"{call_id} is as it was written: {len(call.rows)} rows, seal {call.seal}"]


def _without_words(call_id: str, call: SealedCall, seal: str | None) -> tuple[int, list[str]]:
    """The verdict on a call whose words retention has erased."""
    told = f"The words of {call_id} were erased at {call.words_erased_at} by the retention of your settings."
    if call.is_being_erased:
        told += " Some are still to be erased."
    if all(row.hash is None for row in call.rows):
        return _UNKNOWN, [
            told,
            f"A version whose seals do not outlast that wrote its rows. Its seal was {call.seal or 'not made'}.",
        ]
    wrong = problems(call_id, call.rows, seal, words_are_erased=True)
    if wrong:
        return _FAILED, [told, f"{call_id} is not as it was written:", *(f"  {problem}" for problem in wrong)]
    erased = sum(row.data_hash is not None for row in call.rows)
    return 0, [told, f"All else is as it was written: {len(call.rows)} rows, {erased} without words, seal {call.seal}"]
