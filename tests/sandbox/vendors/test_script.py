"""Several streams of one call hear the same, so that a client may ask two recognisers at once, or one after another."""

from sandbox.vendors.hearing import SpeechDetector
from sandbox.vendors.script import Script
from sandbox.vendors.stage import Stage, Utterance
from tests.sandbox.sounds import RATE, silence, speech

SOUND = speech(0.6) + silence(0.3)


def a_stage(*texts: str) -> Stage:
    stage = Stage()
    stage.call("call-1").expect(*map(Utterance, texts))
    return stage


def hears(script: Script, audio: bytes = SOUND) -> str:
    for now, loud in SpeechDetector("pcm_s16le", RATE).feed(audio):
        script.recogniser.step(now, loud)
    script.recogniser.settle()
    return " ".join(word.text for word in script.recogniser.words)


def left(stage: Stage) -> list[str]:
    return [utterance.text for utterance in stage.call("call-1").utterances]


def test_a_second_stream_hears_what_the_first_has_not_reported() -> None:
    stage = a_stage("yes", "no")
    one, other = Script(stage, "call-1", ()), Script(stage, "call-1", ())
    assert (hears(one), hears(other)) == ("yes", "yes")
    one.recogniser.end_turn()
    assert left(stage) == ["no"]
    other.recogniser.end_turn()
    assert left(stage) == ["no"]
    assert (hears(one), hears(other)) == ("no", "no")


def test_a_stream_that_fails_in_the_middle_of_a_turn_takes_nothing_with_it() -> None:
    stage = a_stage("yes", "no")
    hears(Script(stage, "call-1", ()))
    assert left(stage) == ["yes", "no"]
    assert hears(Script(stage, "call-1", ())) == "yes"


def test_a_noise_is_over_when_it_has_been_made() -> None:
    stage = a_stage("", "yes")
    script = Script(stage, "call-1", ())
    assert hears(script) == ""
    assert left(stage) == ["yes"]


def test_without_a_script_speech_is_a_greeting() -> None:
    assert hears(Script(Stage(), "call-1", ("ru",))) == "алло"
