"""The measures, their aims, and the table of results."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import inf, isinf
from typing import Any

from rich.table import Table

from bench.talk.scoring import Observation


@dataclass(frozen=True, slots=True)
class Aim:
    """A measure: the share of good observations, of bad ones, or the 95th percentile of seconds."""

    name: str
    observed: str
    """The observations' measure."""
    figure: str
    """``good``, ``bad`` or ``p95``."""
    least: float | None = None
    most: float | None = None

    def is_met(self, value: float | None) -> bool | None:
        """None without an aim or without observations."""
        if value is None or (self.least is None and self.most is None):
            return None
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def shown(self) -> str:
        """The aim as the table shows it."""
        unit = " s" if self.figure == "p95" else ""
        return f"≥ {self.least:g}{unit}" if self.least is not None else f"≤ {self.most:g}{unit}" if self.most else ""


AIMS = (
    Aim("response rate", "response rate", "good", least=0.99),
    Aim("agent interrupts", "agent interrupts", "bad", most=0.05),
    Aim("yield, p95", "yields", "p95", most=0.3),
    Aim("selectivity: backchannels", "backchannels", "good", least=0.95),
    Aim("selectivity: noise", "noise", "good", least=0.95),
    Aim("selectivity: echo", "echo", "good", least=0.85),
    Aim("selectivity: speech not meant for the agent", "speech not meant for the agent", "good", least=0.7),
    Aim("greeting completed under a hello", "greeting completed under a hello", "good", least=0.95),
    Aim("false cut-offs", "false cut-offs", "bad"),
    Aim("recovery after an interruption", "recovery after an interruption", "good"),
    Aim("calls that went as planned", "calls that went as planned", "good"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table."""

    name: str
    value: float | None
    """A share, or seconds; None without observations."""
    good: int
    count: int
    aim: str
    met: bool | None
    failed: tuple[tuple[str, float, str], ...]
    """The scenes in which something went wrong, with the time and what happened."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON. A yield that never came has no value."""
        value = None if self.value is not None and isinf(self.value) else self.value
        return {**asdict(self), "value": value}


def results(observations: Iterable[Observation]) -> list[Result]:
    """A line for every aim."""
    seen = list(observations)
    return [_result(aim, [each for each in seen if each.measure == aim.observed]) for aim in AIMS]


def _result(aim: Aim, seen: list[Observation]) -> Result:
    good = sum(each.good for each in seen)
    value = _value(aim, seen, good) if seen else None
    failed = tuple((each.scene, round(each.at, 2), each.note) for each in seen if not each.good or _is_slow(aim, each))
    return Result(aim.name, value, good, len(seen), aim.shown, aim.is_met(value), failed)


def _value(aim: Aim, seen: list[Observation], good: int) -> float:
    match aim.figure:
        case "good":
            return good / len(seen)
        case "bad":
            return 1 - good / len(seen)
        case _:
            ordered = sorted(inf if each.seconds is None else each.seconds for each in seen)
            return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


def _is_slow(aim: Aim, each: Observation) -> bool:
    return aim.figure == "p95" and aim.most is not None and (each.seconds or 0.0) > aim.most


def table(found: Iterable[Result]) -> Table:
    """The table, with the scenes that failed."""
    shown = Table(title="Conversations")
    for column in ("measure", "value", "good of", "aim", "", "failed"):
        shown.add_column(column, overflow="fold")
    for each in found:
        value = "" if each.value is None else f"{each.value:.3f}"
        verdict = {True: "met", False: "MISSED", None: ""}[each.met]
        failed = ", ".join(dict.fromkeys(scene for scene, _, _ in each.failed))
        shown.add_row(each.name, value, f"{each.good} of {each.count}", each.aim, verdict, failed)
    return shown
