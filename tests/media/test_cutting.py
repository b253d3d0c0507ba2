"""Pieces of one side of a recording."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from media.cutting import cut_left
from media.formats import AudioFormat
from media.recording import Recorder
from media.whole_recording import WholeRecording


@pytest.mark.parametrize("audio_format", [AudioFormat("pcm_s16le", 16000), AudioFormat("mulaw", 8000)])
def test_a_piece_of_the_caller_is_cut_out(tmp_path: Path, audio_format: AudioFormat) -> None:
    rate = audio_format.sample_rate
    one = b"\x00" * rate if audio_format.encoding == "mulaw" else b"\x00\x40" * rate
    recorder = Recorder(tmp_path, "worker", audio_format)
    recorder.caller(one, 1.0)
    recorder.agent(one, 3 * rate)
    recorder.close()
    assert recorder.join(60)
    whole = WholeRecording(tmp_path)
    try:
        piece = cut_left(whole, 0.5, 1.5)
        assert cut_left(whole, 3.0, 4.0) is None, "only the agent spoke"
        assert cut_left(whole, 9.0, 10.0) is None, "after the end"
    finally:
        whole.close()

    assert piece is not None
    with wave.open(io.BytesIO(piece)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate)
        samples = np.abs(np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(int))
    assert len(samples) == rate
    assert samples[: rate * 4 // 10].max() <= 8
    assert samples[rate * 6 // 10 :].min() > 10000
