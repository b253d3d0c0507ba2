"""The echo guard on lines that return the agent's voice, with and without a caller."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from media.echo import EchoGuard, EchoVerdict
from media.formats import AudioFormat
from media.vad import SoundDetector, SoundStarted
from tests.media.signals import Signal, encoded, frames, mixed, noise, silence, speech

TELEPHONE = AudioFormat("mulaw", 8000)
LINES = [
    pytest.param(loss_db, delay, id=f"-{loss_db} dB after {round(1000 * delay)} ms")
    for loss_db in (20, 12)
    for delay in (0.08, 0.25)
]
every_line = pytest.mark.parametrize(("loss_db", "delay"), LINES)


@dataclass(frozen=True)
class Judged:
    at: float
    """Seconds since the call began."""
    since_start: float
    """Seconds since the sound was reported."""
    verdict: EchoVerdict


def returned(played: Signal, loss_db: float, delay: float, seed: int = 0) -> Signal:
    """The way back through a room: late, quieter, and blurred over 25 ms."""
    room = np.random.default_rng(seed).normal(size=200) * np.exp(-np.arange(200) / 40) * 0.3
    room[0] += 1
    blurred = np.convolve(played, room / np.sqrt(np.sum(room**2)))
    return np.concatenate([silence(delay, 8000), blurred])[: len(played)] * 10 ** (-loss_db / 20)


def judged(played: Signal, line: Signal, audio_format: AudioFormat = TELEPHONE) -> list[Judged]:
    """As the owner does it: the guard is asked with every frame while there is sound on the line."""
    detector, guard, verdicts = SoundDetector(audio_format), EchoGuard(audio_format), list[Judged]()
    reported, position = 0, 0
    for out, heard in zip(
        frames(encoded(played, audio_format), audio_format),
        frames(encoded(line, audio_format), audio_format),
        strict=True,
    ):
        guard.played(out, position)
        position += audio_format.samples(out)
        for event in detector.feed(heard):
            reported = detector.position if isinstance(event, SoundStarted) else reported
        if detector.sounding:
            verdict = guard.verdict(detector.recent_powers, detector.noise_power, detector.measured_samples)
            at, since = position / audio_format.sample_rate, (position - reported) / audio_format.sample_rate
            verdicts.append(Judged(at, since, verdict))
    return verdicts


def pauses_at(verdicts: list[Judged], after: float = 0.0) -> float | None:
    """When the owner would pause the agent: a caller, or unsure for 100 ms."""
    unsure_since = None
    for judgement in verdicts:
        if judgement.verdict == "unsure":
            unsure_since = judgement.at if unsure_since is None else unsure_since
        else:
            unsure_since = None
        is_unsure_for_long = unsure_since is not None and judgement.at - unsure_since >= 0.1
        if judgement.at >= after and (judgement.verdict == "caller" or is_unsure_for_long):
            return judgement.at
    return None


@cache
def spoken(seed: int) -> Signal:
    """A second of silence, then the agent speaks for four."""
    return np.concatenate([silence(1, 8000), speech(4, 8000, -20, seed)])


@every_line
@pytest.mark.parametrize("noise_db", [-62, -50])
def test_the_agent_is_not_paused_by_its_own_echo(loss_db: float, delay: float, noise_db: float) -> None:
    paused = 0
    for seed in range(3):
        played = spoken(seed)
        verdicts = judged(played, mixed(returned(played, loss_db, delay, seed), noise(5, 8000, noise_db, seed)))
        assert any(judgement.verdict == "echo" for judgement in verdicts)
        paused += pauses_at(verdicts) is not None

    assert paused <= 1


def test_an_echo_is_recognised_at_once_when_its_path_is_known() -> None:
    played = np.concatenate([spoken(1), silence(1, 8000), speech(1, 8000, -20, 2)])

    verdicts = judged(played, mixed(returned(played, 15, 0.12), noise(7, 8000, -60)))

    later = [judgement for judgement in verdicts if judgement.at > 6]
    assert later[0].since_start == 0
    assert {judgement.verdict for judgement in later} == {"echo"}


@pytest.mark.parametrize("caller_db", [-20, -26, -32])
def test_a_caller_who_speaks_while_the_agent_speaks_pauses_it_within_160_ms(caller_db: float) -> None:
    late = 0
    for seed in range(3):
        played, voice = spoken(seed), speech(1.5, 8000, caller_db, seed + 100)
        begins = 2.0 + np.flatnonzero(np.abs(voice) > 150)[0] / 8000
        line = mixed(noise(5, 8000, -62, seed), np.concatenate([silence(2, 8000), voice]))

        paused_at = pauses_at(judged(played, line))

        assert paused_at is not None
        late += paused_at - begins > 0.16
    assert late <= 1


@every_line
def test_a_caller_who_speaks_over_the_echo_is_noticed(loss_db: float, delay: float) -> None:
    waited = []
    for seed in range(3):
        played = spoken(seed)
        echo = returned(played, loss_db, delay, seed)
        caller = np.concatenate([silence(3, 8000), speech(2, 8000, -22, seed + 50)])
        line = mixed(noise(5, 8000, -62, seed), echo, caller)
        paused_at = pauses_at(judged(played, line), after=3.0)
        waited.append(2.0 if paused_at is None else paused_at - 3.0)

    assert np.median(waited) < 0.3
    assert max(waited) < 1.2


def test_when_the_agent_is_silent_all_sound_is_the_callers() -> None:
    line = mixed(noise(3, 8000, -62), np.concatenate([silence(1, 8000), speech(1, 8000)]))

    verdicts = judged(silence(3, 8000), line)

    assert {judgement.verdict for judgement in verdicts} == {"caller"}


def test_what_was_learnt_from_chance_is_forgotten_when_the_echo_fails_to_come() -> None:
    played = np.concatenate([silence(1, 8000), speech(6, 8000, -20, 5)])
    echo_for_a_while = returned(played, 15, 0.1)
    echo_for_a_while[3 * 8000 :] = 0
    caller = np.concatenate([silence(5, 8000), speech(2, 8000, -30, 9)])

    verdicts = judged(played, mixed(noise(7, 8000, -62), echo_for_a_while, caller))

    assert "echo" in {judgement.verdict for judgement in verdicts if judgement.at < 3}
    paused_at = pauses_at(verdicts, after=5.0)
    assert paused_at is not None
    assert paused_at < 5.3


def test_the_other_formats_are_judged_alike() -> None:
    wide = AudioFormat("pcm_s16le", 16000)
    played = np.concatenate([silence(1, 16000), speech(3, 16000, -20, 1)])
    echo = np.concatenate([silence(0.1, 16000), played])[: len(played)] * 0.1

    verdicts = judged(played, mixed(noise(4, 16000, -65), echo), wide)

    assert "echo" in {judgement.verdict for judgement in verdicts}
    assert pauses_at(verdicts) is None


def heard_now(guard: EchoGuard, line: Signal, until: int) -> EchoVerdict:
    detector = SoundDetector(TELEPHONE)
    detector.feed(encoded(line, TELEPHONE))
    return guard.verdict(detector.recent_powers, detector.noise_power, until)


def test_audio_reported_again_replaces_the_earlier_audio() -> None:
    voice, other = speech(0.4, 8000, -20, 1), speech(0.4, 8000, -20, 8)
    echo = np.concatenate([noise(1, 8000, -65), silence(0.1, 8000), voice[:2400] * 0.1])
    guard = EchoGuard(TELEPHONE)

    guard.played(encoded(other, TELEPHONE), 8000)
    assert heard_now(guard, echo, 11200) != "echo"
    guard.played(encoded(voice, TELEPHONE), 8000)
    assert heard_now(guard, echo, 11200) == "echo"


def test_what_was_not_played_after_all_makes_no_echo() -> None:
    guard = EchoGuard(TELEPHONE)
    guard.played(encoded(speech(2, 8000, -20, 1), TELEPHONE), 0)
    guard.played(encoded(silence(0.02, 8000), TELEPHONE), 0)

    assert heard_now(guard, np.concatenate([silence(1, 8000), speech(1, 8000, -30, 2)]), 16000) == "caller"


def test_what_was_played_long_ago_makes_no_echo() -> None:
    guard = EchoGuard(TELEPHONE)
    guard.played(encoded(speech(2, 8000, -20, 1), TELEPHONE), 0)
    guard.played(encoded(silence(0.02, 8000), TELEPHONE), 80_000)

    assert heard_now(guard, np.concatenate([silence(1, 8000), speech(1, 8000, -30, 2)]), 80_000) == "caller"
    assert heard_now(guard, np.concatenate([silence(1, 8000), speech(1, 8000, -30, 2)]), 16_000) == "caller"
