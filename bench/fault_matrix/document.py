"""``docs/fault-matrix.md``: the cells that miss an aim by name, and the others by what the caller heard."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from bench.fault_matrix.aims import SILENCE_SECONDS, is_held, missed
from bench.fault_matrix.cells import INTERFACES, KINDS, LEFT_OUT, MOMENTS, Cell, all_cells
from bench.fault_matrix.holding import Outcome

_MOMENTS_MEAN = {
    "before": "before the greeting (in a cold start for all attempts: before the service starts)",
    "greeting": "while the agent greets",
    "listening": "while the caller asks",
    "thinking": "while the model begins its answer",
    "speaking": "while the agent answers",
    "tool": "while a tool runs",
    "ending": "when the caller has said goodbye",
}


def document(outcomes: Sequence[Outcome], command: str, date: str) -> str:
    """The whole document, as Markdown."""
    wrong = [outcome for outcome in outcomes if missed(outcome)]
    parts = [
        "# The fault matrix",
        _intro(len(outcomes), command, date),
        "## What misses the aims",
        _outliers(wrong) if wrong else "Nothing.",
        "## What the caller hears",
        "`once`: the fault strikes one attempt; otherwise it lasts to the end of the call. A cell is counted where its "
        "outcome belongs; seconds are the worst of the row's cells.",
    ]
    for name in INTERFACES:
        of_it = [outcome for outcome in outcomes if outcome.cell.interface == name]
        if of_it:
            parts += [f"### {name}", _table(of_it)]
    parts += ["## What is left out", _left_out()]
    return "\n\n".join(parts) + "\n"


def _left_out() -> str:
    lines = ["| interface | what | why |", "|---|---|---|"]
    for name, reasons in LEFT_OUT.items():
        same: dict[str, list[str]] = defaultdict(list)
        for what, why in reasons.items():
            same[why].append("for one attempt" if what == "one" else what)
        lines += [f"| {name} | {', '.join(what)} | {why} |" for why, what in same.items()]
    return "\n".join(lines)


def _intro(cells: int, command: str, date: str) -> str:
    moments = "\n".join(f"- `{moment}`: {_MOMENTS_MEAN[moment]}" for moment in MOMENTS)
    return f"""\
Each interface of each vendor, broken in each way, at each moment of a call, for one attempt and for all, after a cold
start and with the prepared phrases of an earlier one. Each cell has a call that is struck and one beside it. Settings
are production's; the sandbox stands for the vendors. Times are measured in the sound that reaches the caller, on a
clock that leaves out how busy the machine is.

LiveKit's API, the room, the database and the disk break in the same ways, in real time: the struck call comes by
telephone through a real livekit-server, and the time by which the machine itself was late with the caller's sound is no
silence. Nothing reaches a caller whose room is gone: there the call must end properly, and the other one must be held.

Made on {date}, {cells} of {len(all_cells())} cells: `{command}`

The aims: no silence over {SILENCE_SECONDS:g} s that nobody owns, and no other call, task, file or figure suffers.

The fault begins

{moments}"""


def _outliers(wrong: Sequence[Outcome]) -> str:
    same: dict[tuple[str, ...], list[Outcome]] = defaultdict(list)
    for outcome in wrong:
        same[outcome.cell.interface, *(_kind_of_miss(each) for each in missed(outcome))].append(outcome)
    lines = ["| interface | what is missed | worst | cells |", "|---|---|---|---|"]
    for (interface, *misses), found in sorted(same.items()):
        worst = max(outcome.struck.silence for outcome in found)
        lines.append(f"| {interface} | {'; '.join(misses)} | {worst:.1f} s | {_where(each.cell for each in found)} |")
    return "\n".join(lines)


def _kind_of_miss(sentence: str) -> str:
    """The sentence without its figures."""
    return "silence" if "of silence from" in sentence else sentence


def _table(outcomes: Sequence[Outcome]) -> str:
    same: dict[tuple[str, str, str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        same[_heard(outcome), _served(outcome), outcome.struck.end_reason, outcome.struck.fault].append(outcome)
    lines = [
        "| the caller hears | served by | end | fault | answer after, s | silence, s | cells |",
        "|---|---|---|---|---|---|---|",
    ]
    for (heard, served, end, fault), found in sorted(same.items(), key=lambda each: -len(each[1])):
        slowest = max((max(each.struck.answered_after, default=0.0) for each in found), default=0.0)
        silence = max(each.struck.silence for each in found)
        where = _where(each.cell for each in found)
        lines.append(f"| {heard} | {served} | {end} | {fault} | {slowest:.1f} | {silence:.1f} | {where} |")
    return "\n".join(lines)


def _heard(outcome: Outcome) -> str:
    struck = outcome.struck
    if outcome.failed:
        return "not held"
    if is_held(struck):
        return "everything"
    return f"{struck.answers} of 3 answers" if struck.heard else "nothing"


def _served(outcome: Outcome) -> str:
    return ", ".join(name.partition(":")[2] for name in outcome.struck.served) or "nobody"


def _where(cells: Iterable[Cell]) -> str:
    """The cells by kind, with their number: ``401 402 (tool, ending) 8``."""
    moments: dict[str, set[str]] = defaultdict(set)
    number = 0
    for cell in cells:
        number += 1
        moments[f"{cell.kind} once" if cell.attempts == "one" else cell.kind].add(cell.moment)
    kinds: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in sorted(moments, key=lambda each: list(KINDS).index(each.removesuffix(" once"))):
        kinds[tuple(moment for moment in MOMENTS if moment in moments[name])].append(name)
    told = [
        ", ".join(names) + ("" if len(where) == len(MOMENTS) else f" ({', '.join(where)})")
        for where, names in kinds.items()
    ]
    return f"{number}: {'; '.join(told)}"
