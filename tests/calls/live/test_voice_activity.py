"""Whose sound is it? The agent's own voice, come back at -15 dB, holds it back no more than silence does."""

from functools import cache

import numpy as np
import pytest

from app.calls.live.voice_activity import CallerSounds
from media.formats import AudioFormat
from media.playout import PlayedAudio
from media.vad import SoundStarted, SoundStopped
from tests.media.signals import Signal, encoded, frames, mixed, noise, silence, speech

TELEPHONE = AudioFormat("mulaw", 8000)
RATE = TELEPHONE.sample_rate
LEAD_FRAMES = 10
SECONDS = 7


@cache
def agent(seed: int) -> Signal:
    return np.concatenate([silence(1, RATE), speech(SECONDS - 1, RATE, -20, seed)])


def echo_of(played: Signal, delay: float, seed: int, loss_db: float = 15) -> Signal:
    """The way back through a room: late, quieter, and blurred over 25 ms."""
    room = np.random.default_rng(seed).normal(size=200) * np.exp(-np.arange(200) / 40) * 0.3
    room[0] += 1
    blurred = np.convolve(played, room / np.sqrt(np.sum(room**2)))
    return np.concatenate([silence(delay, RATE), blurred])[: len(played)] * 10 ** (-loss_db / 20)


def events_of(
    line: Signal, played: Signal | None = None, *, heard_after: float = 0.0
) -> list[tuple[float, SoundStarted | SoundStopped]]:
    """The sound events and their times, while the agent's frames left 200 ms ahead."""
    sounds, events = CallerSounds(TELEPHONE), []
    out = frames(encoded(played, TELEPHONE), TELEPHONE) if played is not None else []
    for number, heard in enumerate(frames(encoded(line, TELEPHONE), TELEPHONE)):
        for leaving in range(LEAD_FRAMES + 1) if number == 0 else [number + LEAD_FRAMES]:
            if leaving < len(out):
                sounds.played(PlayedAudio(leaving * TELEPHONE.frame_samples, out[leaving]), heard_after)
        now = (number + 1) * 0.02
        events += [(now, event) for event in sounds.feed(heard, now)]
    return events


def starts(events: list[tuple[float, SoundStarted | SoundStopped]]) -> list[float]:
    return [at for at, event in events if isinstance(event, SoundStarted)]


@pytest.mark.parametrize("loss_db", [6, 15, 30])
@pytest.mark.parametrize("delay", [0.02, 0.15, 0.3, 0.9, 1.5])
def test_the_agents_own_echo_is_not_a_caller(delay: float, loss_db: float) -> None:
    seed = int(delay * 10) % 3
    line = mixed(echo_of(agent(seed), delay, seed, loss_db), noise(SECONDS, RATE, -62, seed))

    assert starts(events_of(line)) != [], "the detector does hear it"
    assert events_of(line, agent(seed)) == []


def test_an_echo_over_a_long_way_is_known_by_what_of_the_way_is_known() -> None:
    line = mixed(echo_of(agent(0), 1.7, 0), noise(SECONDS, RATE, -62, 0))

    assert events_of(line, agent(0), heard_after=0.2) == []
    assert events_of(line, agent(0)) != [], "without that it comes too late to be one"


@pytest.mark.parametrize("delay", [0.05, 0.3, 1.2])
@pytest.mark.parametrize("seed", range(3))
def test_a_caller_who_speaks_over_the_echo_is_noticed_within_150_ms(seed: int, delay: float) -> None:
    caller = np.concatenate([silence(3, RATE), speech(1.5, RATE, -20, seed + 100)])
    line = mixed(echo_of(agent(seed), delay, seed), noise(SECONDS, RATE, -62, seed), caller)

    noticed = starts(events_of(line, agent(seed)))

    assert 3.0 < noticed[0] < 3.15


def test_a_caller_on_a_quiet_line_is_noticed_within_100_ms_and_missed_200_ms_after_the_end() -> None:
    caller = np.concatenate([silence(1, RATE), speech(0.8, RATE, -20, 5), silence(1, RATE)])
    line = mixed(caller, noise(len(caller) / RATE, RATE, -62))

    events = events_of(line)

    assert 1.0 < events[0][0] < 1.11
    assert isinstance(events[-1][1], SoundStopped)
    assert events[-1][0] < 1.8 + 0.25


def test_a_sound_whose_start_was_not_reported_has_no_end() -> None:
    echo = mixed(echo_of(agent(0), 0.15, 0), noise(SECONDS, RATE, -62))

    assert [event for _, event in events_of(echo, agent(0)) if isinstance(event, SoundStopped)] == []


# --- somebody behind the caller --------------------------------------------------------------------------------------


def over_the_agent(level_db: float, seed: int) -> tuple[list[float], bool]:
    """When a voice over the agent's is noticed, and whether it is faint; the caller has spoken at -20 dB before."""
    sounds, noticed, faint = CallerSounds(TELEPHONE), [], False
    own = np.concatenate([silence(1, RATE), speech(2, RATE, -20, seed), silence(1, RATE)])
    over = np.concatenate([silence(2, RATE), speech(2, RATE, level_db, seed + 7)])
    line = mixed(noise(8, RATE, -62, seed), own, np.concatenate([silence(4, RATE), over]))
    played = frames(encoded(speech(4, RATE, -20, seed + 50), TELEPHONE), TELEPHONE)
    for number, heard in enumerate(frames(encoded(line, TELEPHONE), TELEPHONE)):
        now = (number + 1) * 0.02
        if now == 4:
            sounds.turn_ended()
        if 0 <= number + LEAD_FRAMES - 210 < len(played):
            leaving = number + LEAD_FRAMES
            sounds.played(PlayedAudio(leaving * TELEPHONE.frame_samples, played[leaving - 210]))
        events = sounds.feed(heard, now)
        noticed += [now - 6 for event in events if isinstance(event, SoundStarted) and now > 6]
        faint = sounds.is_faint if now < 7.5 else faint
    return noticed, faint


@pytest.mark.parametrize("level_db", [-34, -38, -44])
@pytest.mark.parametrize("seed", range(3))
def test_a_voice_far_quieter_than_the_caller_is_not_noticed_while_the_agent_speaks(seed: int, level_db: float) -> None:
    assert over_the_agent(level_db, seed) == ([], True)


@pytest.mark.parametrize("seed", range(3))
def test_the_words_of_a_voice_12_db_below_the_caller_are_faint(seed: int) -> None:
    _, faint = over_the_agent(-32, seed)

    assert faint


@pytest.mark.parametrize("level_db", [-18, -20, -23])
@pytest.mark.parametrize("seed", range(3))
def test_the_caller_who_speaks_about_as_loud_as_before_is_noticed_and_not_faint(seed: int, level_db: float) -> None:
    noticed, faint = over_the_agent(level_db, seed)

    assert noticed[0] < 0.3
    assert not faint


@pytest.mark.parametrize("level_db", [-30, -34])
def test_a_quiet_voice_while_the_agent_is_silent_is_noticed(level_db: float) -> None:
    sounds = CallerSounds(TELEPHONE)
    own = [silence(1, RATE), speech(2, RATE, -20, 1), silence(1, RATE), speech(2, RATE, level_db, 2)]
    events = []
    for number, heard in enumerate(
        frames(encoded(mixed(noise(6, RATE, -62), np.concatenate(own)), TELEPHONE), TELEPHONE)
    ):
        if number == 199:
            sounds.turn_ended()
        events += [number for event in sounds.feed(heard, (number + 1) * 0.02) if isinstance(event, SoundStarted)]

    assert any(number > 199 for number in events)
    assert not sounds.is_faint
