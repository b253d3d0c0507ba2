"""The sound detector, fed with what comes over a line."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.formats import SAMPLE_RATES, AudioFormat
from media.vad import SoundDetector, SoundStarted, SoundStopped
from tests.media import signals
from tests.media.signals import Signal, encoded, frames, mixed, noise, pink_noise, silence, speech, tone

TELEPHONE = AudioFormat("mulaw", 8000)
FORMATS = [TELEPHONE, *(AudioFormat("pcm_s16le", rate) for rate in SAMPLE_RATES)]
every_format = pytest.mark.parametrize("audio_format", FORMATS, ids=lambda f: f"{f.encoding}{f.sample_rate}")

Heard = tuple[str, float, float]
"""What, the second it names, and the second at which it was reported."""


def heard(signal: Signal, audio_format: AudioFormat = TELEPHONE, detector: SoundDetector | None = None) -> list[Heard]:
    detector = detector or SoundDetector(audio_format)
    rate = audio_format.sample_rate
    return [
        ("started" if isinstance(event, SoundStarted) else "stopped", event.at_sample / rate, detector.position / rate)
        for frame in frames(encoded(signal, audio_format), audio_format)
        for event in detector.feed(frame)
    ]


def sequence(*signals_: Signal) -> Signal:
    return np.concatenate(signals_)


@every_format
def test_a_sound_starts_within_60_ms_and_stops_200_ms_after_it_ended(audio_format: AudioFormat) -> None:
    rate = audio_format.sample_rate
    call = sequence(silence(1.0, rate), tone(440, 0.5, rate), silence(1.0, rate))

    (start, started_at, start_told), (stop, stopped_at, stop_told) = heard(call, audio_format)

    assert (start, started_at) == ("started", 1.0)
    assert start_told == pytest.approx(1.06)
    assert (stop, stopped_at) == ("stopped", 1.5)
    assert stop_told == pytest.approx(1.7)


@every_format
def test_speech_after_silence_is_reported_within_100_ms(audio_format: AudioFormat) -> None:
    rate = audio_format.sample_rate
    for seed in range(5):
        voice = speech(1.5, rate, seed=seed)
        onset = 1.0 + np.flatnonzero(np.abs(voice) > 300)[0] / rate

        (kind, at, reported), *_ = heard(sequence(silence(1.0, rate), voice), audio_format)

        assert kind == "started"
        assert at == pytest.approx(onset, abs=0.02)
        assert reported - onset < 0.1


@pytest.mark.parametrize("seed", range(8))
def test_faint_speech_over_a_faint_noise_is_heard(seed: int) -> None:
    call = mixed(noise(4.0, 8000, -65, seed), sequence(silence(1.5, 8000), speech(1.5, 8000, -45, seed)))

    events = heard(call)

    assert [kind for kind, _, _ in events][:2] == ["started", "stopped"]
    assert 1.45 < events[0][1] < 1.8
    assert events[-1][0] == "stopped"


@pytest.mark.parametrize("colour", [noise, pink_noise])
@pytest.mark.parametrize("level_db", [-60, -50, -40, -30])
def test_a_line_that_is_noisy_from_the_beginning_has_no_sound(
    colour: Callable[[float, int, float], Signal], level_db: float
) -> None:
    assert heard(colour(20, 8000, level_db)) == []


@pytest.mark.parametrize(
    "din",
    [
        noise(5, 8000, -40),
        pink_noise(5, 8000, -40),
        tone(50, 5, 8000, -40),
        tone(60, 5, 8000, -40),
        tone(57, 5, 8000, -40),
        tone(425, 5, 8000),
    ],
    ids=["white", "pink", "hum 50 Hz", "hum 60 Hz", "a generator", "dial tone"],
)
def test_a_steady_din_is_sound_for_less_than_two_seconds(din: Signal) -> None:
    events = heard(mixed(noise(8, 8000, -65), sequence(silence(3, 8000), din)))

    assert [kind for kind, _, _ in events] == ["started", "stopped"]
    assert events[1][2] < 5.0


def test_speech_is_heard_over_a_din_that_has_been_learnt() -> None:
    call = mixed(pink_noise(6, 8000, -42), sequence(silence(3, 8000), speech(2, 8000, -22, seed=3)))

    events = heard(call)

    assert events[0][0] == "started"
    assert events[0][2] == pytest.approx(3.0, abs=0.3)
    assert events[-1][0] == "stopped"


@every_format
def test_a_constant_offset_is_not_sound(audio_format: AudioFormat) -> None:
    rate = audio_format.sample_rate
    offset = np.full(3 * rate, 8000.0)

    assert heard(offset, audio_format) == []


@pytest.mark.parametrize("milliseconds", [1, 5, 10, 20, 29])
@pytest.mark.parametrize("offset_samples", [0, 17, 40, 79])
def test_a_click_is_not_sound(milliseconds: int, offset_samples: int) -> None:
    click = sequence(np.zeros(8000 + offset_samples), noise(milliseconds / 1000, 8000, -10), silence(1, 8000))

    assert heard(click) == []


def test_clicks_far_apart_do_not_add_up() -> None:
    click = sequence(noise(0.02, 8000, -10), silence(0.08, 8000))

    assert heard(sequence(silence(1, 8000), *[click] * 20)) == []


def test_a_pause_within_a_word_does_not_end_the_sound() -> None:
    word = sequence(tone(300, 0.2, 8000), silence(0.15, 8000), tone(300, 0.2, 8000))

    events = heard(sequence(silence(1, 8000), word, silence(1, 8000)))

    assert [(kind, at) for kind, at, _ in events] == [("started", 1.0), ("stopped", 1.55)]


def test_a_lost_frame_on_a_noisy_line_does_not_turn_the_noise_into_sound() -> None:
    line = noise(6, 8000, -35)
    line[24000:24320] = 0

    assert heard(line) == []


def test_the_noise_floor_is_learnt_again_after_a_long_cut() -> None:
    line = sequence(noise(3, 8000, -35), silence(3, 8000), tone(440, 0.3, 8000, -35), silence(1, 8000))

    assert [kind for kind, _, _ in heard(line)] == ["started", "stopped"]


def test_each_raise_takes_6_db_and_the_third_nothing() -> None:
    def hears(level_db: float, raises: int) -> bool:
        detector = SoundDetector(TELEPHONE)
        for _ in range(raises):
            detector.raise_threshold()
        return bool(heard(sequence(silence(1, 8000), tone(440, 0.3, 8000, level_db)), TELEPHONE, detector))

    assert [hears(-54, raises) for raises in range(4)] == [True, False, False, False]
    assert [hears(-48, raises) for raises in range(4)] == [True, True, False, False]
    assert [hears(-42, raises) for raises in range(4)] == [True] * 4


def test_the_last_sample_of_sound_is_known_during_a_sound() -> None:
    detector = SoundDetector(TELEPHONE)
    assert (detector.sounding, detector.last_sound_sample, detector.noise_power) == (False, 0, np.inf)

    heard(sequence(silence(1, 8000), tone(440, 0.3, 8000), silence(0.1, 8000)), TELEPHONE, detector)

    assert (detector.sounding, detector.last_sound_sample, detector.noise_power) == (True, 10400, 0.0)
    assert (detector.position, detector.measured_samples) == (11200, 11200)
    assert len(detector.recent_powers) == 40
    assert np.argmax(np.array(detector.recent_powers) == 0) == 30


TWO_PHRASES = sequence(silence(0.7, 16000), speech(1.2, 16000, seed=1), silence(0.5, 16000), speech(1, 16000))
CALL = mixed(noise(4, 16000, -60), TWO_PHRASES)


@given(st.sampled_from([TELEPHONE, AudioFormat("pcm_s16le", 16000)]), st.lists(st.integers(9, 9000), min_size=1))
@settings(max_examples=25)
def test_how_the_audio_is_cut_changes_nothing(audio_format: AudioFormat, sizes: list[int]) -> None:
    audio = encoded(CALL, audio_format)
    whole = SoundDetector(audio_format)
    in_one = whole.feed(audio)
    cut, events, start = SoundDetector(audio_format), list[SoundStarted | SoundStopped](), 0
    while start < len(audio):
        size = sizes[start % len(sizes)]
        events += cut.feed(audio[start : start + size])
        start += size

    assert events == in_one
    assert in_one
    assert cut.position == whole.position == audio_format.samples(audio)


@given(st.lists(st.tuples(st.sampled_from([-90.0, -50.0, -30.0, -10.0]), st.integers(1, 60)), min_size=1, max_size=30))
@settings(max_examples=60)
def test_starts_and_stops_alternate_and_never_go_back(stretches: list[tuple[float, int]]) -> None:
    call = sequence(*(noise(length / 100, 8000, level, length) for level, length in stretches))

    events = heard(call)

    assert [kind for kind, _, _ in events] == [("started", "stopped")[index % 2] for index in range(len(events))]
    places = [at for _, at, _ in events]
    assert places == sorted(places)
    assert all(at <= reported for _, at, reported in events)


def test_signals_are_the_same_every_time() -> None:
    assert np.array_equal(signals.speech(1, 8000, seed=4), signals.speech(1, 8000, seed=4))
