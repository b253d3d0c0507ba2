"""Scores calls as the field does, from what the caller heard and from the journal. Pure.

The windows are those of tau-voice (sierra-research/tau2-bench): an answer comes within 2 s, a yield within 2 s. A
disturbance is passed over when nothing is cut, nothing is taken for a turn, and a voice that paused goes on within
0.6 s of the sound's end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

from sandbox.caller.report import Utterance
from sandbox.caller.span_detector import Span

ANSWER_SECONDS = 2.0
YIELD_SECONDS = 2.0
RESUME_SECONDS = 0.6
_MEASURES_SECONDS = 0.06
"""Spans are known to within a frame at either end."""
_SHOWS_WITHIN_SECONDS = 3.0
"""How long after a disturbance to look for its effects."""
_ABOUT_TO_BEGIN_SECONDS = 0.25
"""A side that begins this soon after the other could not know of it; this near the end, nobody cuts in."""
_ENDS_SECONDS = 0.15
_DEMANDS = ("says", "interrupts")


@dataclass(frozen=True, slots=True)
class Row:
    """A journal row and when it arrived, in seconds since ``ready``."""

    at: float
    type: str
    data: dict[str, Any]
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class Take:
    """A call that was held: times are seconds since ``ready``."""

    kind: str
    name: str
    utterances: tuple[Utterance, ...]
    agent_spans: tuple[Span, ...]
    rows: tuple[Row, ...]
    ended_at: float
    failure: str = ""
    """Why the call did not follow its script; empty when it did."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One observation of one measure in a call."""

    measure: str
    good: bool
    scene: str
    at: float
    note: str = ""
    seconds: float | None = None


def observe(take: Take) -> Iterator[Observation]:
    """Everything that a call shows."""
    for index, utterance in enumerate(take.utterances):
        until = next((later.started_at for later in take.utterances[index + 1 :] if later.kind in _DEMANDS), inf)
        if utterance.kind in _DEMANDS:
            yield from _of_demand(take, utterance, until)
        elif _is_spoken_over(take, utterance):
            yield _of_disturbance(take, utterance, until)
    if take.kind in ("echoing", "noisy"):
        yield from _of_line(take, "echo" if take.kind == "echoing" else "noise")
    if take.failure:
        yield Observation(
            "calls that went as planned", good=False, scene=take.name, at=take.ended_at, note=take.failure
        )
    else:
        yield Observation("calls that went as planned", good=True, scene=take.name, at=take.ended_at)


def _of_demand(take: Take, utterance: Utterance, until: float) -> Iterator[Observation]:
    def seen(measure: str, good: bool, note: str = "", seconds: float | None = None) -> Observation:
        return Observation(measure, good, take.name, utterance.started_at, note, seconds)

    taken = [row for row in take.rows if row.type == "turn.taken" and utterance.started_at < row.at < until]
    after = utterance.answered_after
    answered = bool(taken) and after is not None and after <= ANSWER_SECONDS
    why = "" if answered else "no turn was taken" if not taken else f"the answer began after {after} s"
    yield seen("response rate", answered, why, after)
    if utterance.kind == "interrupts":
        if _is_spoken_over(take, utterance):
            stopped = _yielded_after(take, utterance)
            seconds = inf if stopped > YIELD_SECONDS else stopped
            yield seen("yields", seconds < inf, "" if seconds < inf else f"spoke on for {stopped:.2f} s", seconds)
            yield seen("recovery after an interruption", answered, why)
        return
    cut_in = _cuts_in(take, utterance)
    if "[" in utterance.text:
        early = any(row.at < utterance.ended_at - _ENDS_SECONDS for row in taken)
        yield seen("false cut-offs", not (cut_in or early), cut_in or ("a turn was taken in a pause" if early else ""))
    else:
        yield seen("agent interrupts", not cut_in, cut_in)


def _yielded_after(take: Take, utterance: Utterance) -> float:
    """Seconds from the caller's first sound to the agent's last one; 0 when they began between two of its clauses."""
    if utterance.agent_stopped_after is not None:
        return utterance.agent_stopped_after
    went_on = (span.end for span in take.agent_spans if utterance.started_at < span.start < utterance.ended_at)
    return next(went_on, utterance.started_at) - utterance.started_at


def _cuts_in(take: Take, utterance: Utterance) -> str:
    for span in take.agent_spans:
        if utterance.started_at + _ABOUT_TO_BEGIN_SECONDS < span.start < utterance.ended_at - _ENDS_SECONDS:
            return f"the agent spoke {span.start - utterance.started_at:.2f} s into it"
    return ""


def _of_disturbance(take: Take, utterance: Utterance, until: float) -> Observation:
    if take.kind == "greeting":
        measure = "greeting completed under a hello"
    else:
        measures = {"backchannels": "backchannels", "coughs": "noise", "overhears": "speech not meant for the agent"}
        measure = measures[utterance.kind]
    note = disturbance(take, utterance.started_at, utterance.ended_at, until)
    said = f"{utterance.text!r}: {note}" if note and utterance.text else note
    return Observation(measure, not note, take.name, utterance.started_at, said)


def disturbance(take: Take, started: float, ended: float, until: float) -> str:
    """What a sound over the agent's voice did to it; empty when the voice went on."""
    horizon = min(until, ended + _SHOWS_WITHIN_SECONDS)
    for row in take.rows:
        if started <= row.at <= horizon and row.type in ("agent.interrupted", "turn.taken"):
            return "the agent was cut" if row.type == "agent.interrupted" else "it was taken for a turn"
    for gap in _gaps(take.agent_spans):
        silent = gap.end - max(gap.start, ended)
        is_long = started <= gap.start <= ended + 1.0 and silent > RESUME_SECONDS + _MEASURES_SECONDS
        if is_long and not _has_finished_by(take, gap.start):
            return f"silent for {silent:.2f} s after it"
    return ""


def _gaps(spans: Sequence[Span]) -> list[Span]:
    return [Span(before.end, after.start) for before, after in pairwise(spans)]


def _has_finished_by(take: Take, at: float) -> bool:
    """Whether a silence that began at that time is the end of what the agent was saying."""
    ends = [row.at for row in take.rows if row.type in ("agent.finished", "agent.interrupted")]
    return any(abs(end - at) < 0.5 for end in ends)


def _of_line(take: Take, measure: str) -> Iterator[Observation]:
    """Whether each of the agent's utterances was heard to its end, and nothing but the caller's speech made a turn."""
    spurious = _spurious(take)
    for index, begun in enumerate(row for row in take.rows if row.type == "agent.reply_started"):
        if begun.data["kind"] not in ("greeting", "reply"):
            continue
        end = _end_of(take, begun.data["speech"])
        said = None if end is None else _said_within(take, begun.at, end.at)
        if end is None or (said is not None and said.kind == "interrupts"):
            continue
        note = "it was cut" if end.type == "agent.interrupted" else ""
        note = "silent for so long that the caller began" if said is not None else note
        upset = [row for row in spurious if begun.at <= row.at <= end.at + _SHOWS_WITHIN_SECONDS]
        note = note or (f"followed by {upset[0].type} out of nothing" if upset else "")
        if not note:
            within = [gap for gap in _gaps(take.agent_spans) if begun.at < gap.start and gap.end < end.at]
            longest = max((gap.seconds for gap in within), default=0.0)
            note = f"silent for {longest:.2f} s within it" if longest > RESUME_SECONDS + 0.3 else ""
        yield Observation(measure, not note, take.name, begun.at, f"utterance {index + 1}: {note}" if note else "")


def _end_of(take: Take, speech: int) -> Row | None:
    ends = (row for row in take.rows if row.type in ("agent.finished", "agent.interrupted"))
    return next((row for row in ends if row.data["speech"] == speech), None)


def _said_within(take: Take, begun: float, ended: float) -> Utterance | None:
    return next((each for each in take.utterances if each.kind in _DEMANDS and begun < each.started_at < ended), None)


def _spurious(take: Take) -> list[Row]:
    """Turns beyond the first after each of the caller's utterances, and the agent's requests to repeat."""
    demands = [each.started_at for each in take.utterances if each.kind in _DEMANDS]
    rightful: set[int] = set()
    turns = [row for row in take.rows if row.type == "turn.taken"]
    for index, start in enumerate(demands):
        until = demands[index + 1] if index + 1 < len(demands) else inf
        first = next((row for row in turns if start < row.at < until), None)
        if first is not None:
            rightful.add(id(first))
    prompts = [row for row in take.rows if row.type == "agent.reply_started" and row.data["kind"] == "prompt"]
    return sorted([row for row in turns if id(row) not in rightful] + prompts, key=lambda row: row.at)


def _is_spoken_over(take: Take, utterance: Utterance) -> bool:
    """Whether the agent was speaking when the caller's sound began."""
    return any(span.start <= utterance.started_at <= span.end + 0.3 for span in take.agent_spans)
