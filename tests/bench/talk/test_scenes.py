import pytest

from bench.talk.lines import LINES
from bench.talk.scenes import KINDS, LANGUAGES, SAMPLE_RATE, scene
from bench.talk.voice import speak
from sandbox.caller.score import Backchannels, Coughs, Overhears
from sandbox.vendors.voice import synthesize

SEEDS = range(1, 9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_seed_is_the_same_call_and_another_seed_another(kind: str, language: str) -> None:
    calls = [scene(kind, language, seed) for seed in SEEDS]

    assert calls == [scene(kind, language, seed) for seed in SEEDS]
    assert len({repr((each.score.steps, each.telephone)) for each in calls}) > 2


@pytest.mark.parametrize("kind", ["backchannelling", "coughing", "bystander"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_must_be_passed_over_comes_well_within_a_clause_and_once_in_the_last(kind: str, language: str) -> None:
    for seed in SEEDS:
        made = scene(kind, language, seed)
        events = [step for step in made.score.steps if isinstance(step, Backchannels | Coughs | Overhears)]
        places = []
        for event, reply in zip(events, made.score.replies, strict=True):
            story = next(each for each in LINES[language].stories if " ".join(each) == reply["text"])
            place = next(index for index, clause in enumerate(story) if clause.startswith(event.over or "?"))
            length = len(synthesize(story[place], language, SAMPLE_RATE).pcm) / 2 / SAMPLE_RATE
            assert 0.5 <= (event.after or 0) <= length - 1.0
            places.append(place)
        assert places[1] == len(LINES[language].stories[0]) - 1


def test_a_pause_is_silence_and_moves_the_words_after_it() -> None:
    whole = speak("One [0.7] two", "en", SAMPLE_RATE)
    one, two = (synthesize(text, "en", SAMPLE_RATE) for text in ("One", "two"))

    assert [word.text for word in whole.words] == ["One", "two"]
    assert len(whole.pcm) == len(one.pcm) + len(two.pcm) + 2 * round(0.7 * SAMPLE_RATE)
    assert whole.words[1].start == pytest.approx(len(one.pcm) / 2 / SAMPLE_RATE + 0.7 + two.words[0].start)
