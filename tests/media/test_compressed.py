"""The compressed file of every rate: its size, its sound, and any part of it."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from soundfile import SoundFile

from media.compressed import CompressedFile, write_compressed
from media.errors import RecordingUnreadable
from media.formats import SAMPLE_RATES
from tests.media.talking import Samples, conversation

CONTENTS = {'a "b".worker1.seg': 17, "é.seg": 2**40}


def stereo(rate: int, seconds: float) -> Samples:
    return np.stack(conversation(rate, seconds), axis=1)


def write(path: Path, rate: int, sound: Samples) -> None:
    write_compressed(path, rate, (sound[first : first + rate] for first in range(0, len(sound), rate)), CONTENTS)


@dataclass(frozen=True)
class Written:
    path: Path
    rate: int
    sound: Samples
    back: Samples
    """Decoded in one read."""


@pytest.fixture(scope="module", params=SAMPLE_RATES)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    path, rate = tmp_path_factory.mktemp("compressed") / "a", request.param
    sound = stereo(rate, 8.37)
    write(path, rate, sound)
    with CompressedFile(path) as compressed:
        return Written(path, rate, sound, compressed.read(0, len(sound) + 5))


def power(sound: Samples) -> float:
    return float(10 * np.log10(np.mean(sound.astype(float) ** 2) + 1e-9))


def late_samples(was: Samples, now: Samples, rate: int) -> int:
    """How much later it is, by the best match within a millisecond or more."""
    most = min(rate // 333, 40)
    middle, now = was[most:-most].astype(float), now.astype(float)
    fits = {by: middle @ now[most + by : len(now) - most + by] for by in range(-most, most + 1)}
    return max(fits, key=fits.__getitem__)


def test_it_is_a_tenth_as_large_as_long_and_each_side_is_where_it_was(written: Written) -> None:
    sound, back = written.sound, written.back
    with CompressedFile(written.path) as compressed:
        assert (compressed.rate, compressed.samples) == (written.rate, len(sound))
        assert compressed.contents == CONTENTS

    assert back.shape == sound.shape
    assert written.path.stat().st_size < 0.14 * sound.nbytes  # voices without a pause, over the noise of a line
    for side in (0, 1):
        assert power(back[:, side]) == pytest.approx(power(sound[:, side]), abs=0.5)
        assert late_samples(sound[:, side], back[:, side], written.rate) == 0


def test_nobody_is_heard_on_the_side_of_the_other(written: Written) -> None:
    sound, rate = written.sound, written.rate
    second = np.arange(len(sound)) / rate % 4
    for side, silent in ((1, (second > 0.1) & (second < 1.9)), (0, (second > 2.1) & (second < 3.9))):
        assert power(written.back[silent, side]) < power(sound[silent, 1 - side]) - 60


def test_any_part_of_it_is_the_same_in_every_read(written: Written) -> None:
    length, chance = len(written.sound), random.Random(written.rate)  # noqa: S311 - no secret
    with CompressedFile(written.path) as compressed:
        for _ in range(40):
            first, samples = chance.randrange(length), chance.choice((1, 100, written.rate // 2))
            assert (compressed.read(first, samples) == written.back[first : first + samples]).all()


@pytest.mark.parametrize("content", [b"", b"OggS", b"OggS" * 5000, b"RIFF and much more", bytes(70_000)])
def test_what_is_no_compressed_recording_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(RecordingUnreadable):
        CompressedFile(tmp_path / "a")


def test_a_file_that_is_cut_ends_early_or_cannot_be_read(tmp_path: Path) -> None:
    sound = stereo(8000, 10)
    write(tmp_path / "a", 8000, sound)
    whole = (tmp_path / "a").read_bytes()
    for length in range(0, len(whole) - 1, 2997):
        (tmp_path / "a").write_bytes(whole[:length])
        try:
            with CompressedFile(tmp_path / "a") as cut:
                assert cut.samples < len(sound)
        except RecordingUnreadable:
            pass


def test_a_file_that_is_not_there_is_no_error_of_the_library(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        CompressedFile(tmp_path / "a")


def test_telephone_sound_that_an_older_version_compressed_in_stereo_has_its_sides(tmp_path: Path) -> None:
    path, rate = tmp_path / "a", 8000
    sound = stereo(rate, 4.0)
    kind = {"format": "OGG", "subtype": "OPUS", "compression_level": 0.958}
    with SoundFile(path, "w", samplerate=rate, channels=2, **kind) as older:
        older.comment = json.dumps({"segments": CONTENTS})
        older.write(sound)

    with CompressedFile(path) as compressed:
        back = compressed.read(0, len(sound))
    for side in (0, 1):
        assert np.corrcoef(sound[:, side], back[:, side])[0, 1] > 0.9
        assert abs(np.corrcoef(sound[:, side], back[:, 1 - side])[0, 1]) < 0.3
