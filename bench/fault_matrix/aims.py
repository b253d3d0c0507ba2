"""What a cell must come to: no silence over two seconds that nobody owns, and nothing but the struck call suffers."""

from typing import Final

from bench.fault_matrix.holding import Lived, Outcome

SILENCE_SECONDS: Final = 2.0
_HELD: Final = 3
"""The answers of a call that was held to its end."""
_NO_END: Final = ("None", "", "internal_error", "crashed")


def missed(outcome: Outcome) -> list[str]:
    """The aims that the cell misses, as sentences; empty when it meets them all."""
    if outcome.failed:
        return [f"not held: {outcome.failed}"]
    struck = outcome.struck
    place = outcome.cell.place
    found = []
    if _is_too_silent(struck) and not place.takes_the_line:
        found.append(f"{struck.silence:.1f} s of silence from {struck.silent_at:.1f} s on")
    if (struck.complaint and not place.takes_the_line) or struck.end_reason in _NO_END:
        found.append(f"the call went wrong: {struck.complaint or struck.end_reason}")
    if not outcome.cell.strikes_all:
        known = {f"provider:{vendor}" for vendor, _route in place.down}
        if outcome.cell.cuts_all:
            known.add(f"provider:{place.vendor}")
        found += [f"the other call: {each}" for each in _suffered(outcome.other, known)]
    return found + [f"left behind: {each}" for each in outcome.left]


def is_held(lived: Lived) -> bool:
    """Whether the call was served to its end."""
    return lived.answers == _HELD and lived.end_reason == "agent_hangup"


def _is_too_silent(lived: Lived) -> bool:
    return lived.silence - lived.late > SILENCE_SECONDS


def _suffered(other: Lived, known: set[str]) -> list[str]:
    found = [f"{other.silence:.1f} s of silence"] if _is_too_silent(other) else []
    if not is_held(other):
        found.append(other.complaint or f"{other.answers} answers, {other.end_reason}")
    if other.fault not in ("none", "", *known):
        found.append(f"fault {other.fault}")
    return found
