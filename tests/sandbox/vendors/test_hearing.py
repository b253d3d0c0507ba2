from collections import deque

import numpy as np
import pytest

from sandbox.vendors.encodings import Encoding, encode
from sandbox.vendors.hearing import Recogniser, SpeechDetector
from sandbox.vendors.stage import Utterance
from tests.sandbox.sounds import RATE, silence, speech


def listen(audio: bytes, *utterances: Utterance) -> Recogniser:
    script = deque(utterances)
    recogniser = Recogniser(lambda: script.popleft() if script else None)
    feed(recogniser, SpeechDetector("pcm_s16le", RATE), audio)
    return recogniser


def feed(recogniser: Recogniser, detector: SpeechDetector, audio: bytes) -> None:
    for now, loud in detector.feed(audio):
        recogniser.step(now, loud)


def text(recogniser: Recogniser) -> str:
    return " ".join(word.text for word in recogniser.words)


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_mulaw", "pcm_alaw"])
def test_speech_is_found_in_every_encoding_however_the_audio_is_cut(encoding: Encoding) -> None:
    samples = np.frombuffer(silence(0.5) + speech(0.5) + silence(0.5), "<i2").astype(np.int16)
    audio = encode(samples, encoding)
    detector = SpeechDetector(encoding, RATE)
    windows = [window for at in range(0, len(audio), 333) for window in detector.feed(audio[at : at + 333])]
    loud = [now for now, is_loud in windows if is_loud]
    assert loud[0] == pytest.approx(0.53)
    assert loud[-1] == pytest.approx(1.0, abs=0.011)
    assert detector.seconds == pytest.approx(1.5)


def test_a_faint_line_is_not_speech() -> None:
    noise = (np.random.default_rng(1).standard_normal(RATE) * 150).astype("<i2").tobytes()
    assert not any(loud for _, loud in SpeechDetector("pcm_s16le", RATE).feed(noise))


def test_words_come_out_as_they_are_spoken() -> None:
    utterance = Utterance("один два три четыре", duration=2.0)
    assert text(listen(speech(0.6), utterance)) == "один"
    assert text(listen(speech(1.2), utterance)) == "один два три"
    assert text(listen(speech(2.0), utterance)) == "один два три четыре"


def test_an_utterance_of_unknown_length_ends_with_the_first_silence() -> None:
    recogniser = listen(speech(0.3) + silence(0.3), Utterance("а это довольно длинная реплика"))
    recogniser.settle()
    assert text(recogniser) == "а это довольно длинная реплика"
    assert not recogniser.unfinished
    assert max(word.end for word in recogniser.words) <= 0.31


def test_a_silence_well_before_the_end_of_an_utterance_is_a_pause_in_it() -> None:
    recogniser = listen(speech(1.2) + silence(0.4), Utterance("один два три четыре", duration=3.0))
    recogniser.settle()
    assert recogniser.unfinished
    assert text(recogniser) == "один два"


def test_what_was_broken_off_is_said_in_the_next_turn() -> None:
    detector = SpeechDetector("pcm_s16le", RATE)
    recogniser = Recogniser(deque([Utterance("один два три четыре", duration=2.0)]).popleft)
    feed(recogniser, detector, speech(0.6) + silence(1.0))
    assert text(recogniser) == "один"
    recogniser.end_turn()
    feed(recogniser, detector, speech(1.6))
    assert text(recogniser) == "два три четыре"


def test_a_scripted_pause_holds_the_rest_back_until_there_is_speech_again() -> None:
    recogniser = listen(speech(3) + silence(0.3), Utterance("мне бы на завтра", pauses_at=(2,)))
    assert text(recogniser) == "мне бы"
    assert recogniser.unfinished
    resumed = listen(speech(3) + silence(0.3) + speech(1), Utterance("мне бы на завтра", pauses_at=(2,)))
    assert text(resumed) == "мне бы на завтра"
    assert not resumed.unfinished


def test_an_utterance_has_as_many_pauses_as_the_script_says() -> None:
    said = Utterance("мне бы на завтра утром", pauses_at=(2, 4), sure_after=(0.9, 0.8, 0.3))
    heard = listen(speech(1) + silence(0.3) + speech(1) + silence(0.3), said)
    assert text(heard) == "мне бы на завтра"
    assert (heard.unfinished, heard.sure_after) == (True, 0.8)
    heard = listen(speech(1) + silence(0.3) + speech(1) + silence(0.3) + speech(1), said)
    assert text(heard) == "мне бы на завтра утром"
    assert (heard.unfinished, heard.sure_after) == (False, 0.3)


def test_words_before_a_pause_are_known_when_there_is_speech_again() -> None:
    said = Utterance("один два три четыре пять шесть", pauses_at=(5,))
    assert text(listen(speech(0.3) + silence(0.3) + speech(0.4), said)) == "один два три четыре пять шесть"


def test_a_noise_and_speech_beyond_the_script_have_no_words() -> None:
    assert text(listen(speech(1), Utterance(""))) == ""
    assert text(listen(speech(1))) == ""


def test_a_second_utterance_before_the_end_of_the_turn_continues_it() -> None:
    recogniser = listen(speech(0.6) + silence(0.25) + speech(0.8), Utterance("да"), Utterance("конечно"))
    assert text(recogniser) == "да конечно"


def test_what_was_said_is_reported_at_the_end_of_its_turn() -> None:
    script = deque([Utterance("да"), Utterance("конечно")])
    reported: list[str] = []
    recogniser = Recogniser(script.popleft, lambda said: reported.extend(each.text for each in said))
    feed(recogniser, SpeechDetector("pcm_s16le", RATE), speech(0.6) + silence(0.25) + speech(0.8))
    assert reported == []
    recogniser.end_turn()
    assert reported == ["да", "конечно"]
