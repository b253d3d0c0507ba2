"""What the record calls heard of an utterance that was cut is what the caller's ear was given, within one word."""

import pytest

from sandbox.caller.score import Score, hangs_up, interrupts, says, waits_for_agent
from sandbox.vendors.voice import synthesize
from tests.room.rig import Rig
from tests.room.sound import RATE, recorded_agent, utterances

pytestmark = pytest.mark.room

NUMBER = "+79990001100"
CUT_AFTER = (0.5, 1.3, 2.1, 3.0)
"""Seconds of each answer, until the caller speaks."""
ANSWERS = (
    "Магазин на улице Гагарина работает каждый будний день до самого позднего вечера без перерыва на обед.",
    "Доставка большого холодильника по городу занимает обычно около двух суток после оплаты вашего заказа.",
    "Новый кассовый аппарат стоит теперь немного дороже прежнего потому что завод поменял внутри батарею.",
    "Возвратить купленный товар можно через любого нашего курьера если сохранилась хорошая целая упаковка.",
)
HEARD_AND_PLAYED_DIFFER = 0.12
"""Seconds. The receiver's buffer may stretch or shorten a second of sound by so much."""


async def test_the_words_that_were_heard_are_remembered_wherever_the_agent_is_interrupted(system: Rig) -> None:
    cuts = [interrupts(f"Подождите, а теперь вопрос {index} другой.", after) for index, after in enumerate(CUT_AFTER)]
    steps = (waits_for_agent(), says("Когда вы открыты?"), *cuts, waits_for_agent(), hangs_up())
    replies = [{"text": text} for text in (*ANSWERS, "Хорошо.")]
    report = await system.call(Score("cut", "ru", steps, tuple(replies), 8), NUMBER)
    record = await system.record(report.call_id)
    wav = (await system.get(f"/calls/{report.call_id}/recording")).content

    cut = [turn for turn in record["turns"] if turn["interrupted"]]
    assert [turn["text_generated"] for turn in cut] == list(ANSWERS)
    in_the_ear = report.agent_spans[1 : 1 + len(cut)]
    remembered = [len(turn["text"].split()) for turn in cut]
    heard = [_words_begun(text, span.end - span.start) for text, span in zip(ANSWERS, in_the_ear, strict=True)]
    assert all(abs(ours - ears) <= 1 for ours, ears in zip(remembered, heard, strict=True)), (remembered, heard)
    assert heard[0] < heard[1] < heard[3], "they were cut at the same place"

    played = utterances(recorded_agent(wav))[1 : 1 + len(cut)]
    differences = [
        (ear.end - ear.start) - (ours.end - ours.start) for ear, ours in zip(in_the_ear, played, strict=True)
    ]
    assert all(abs(difference) < HEARD_AND_PLAYED_DIFFER for difference in differences), differences


def _words_begun(text: str, seconds: float) -> int:
    """How many words of a text have begun when so much of it has sounded."""
    words = synthesize(text, "ru", RATE).words
    return sum(word.start - words[0].start < seconds for word in words)
