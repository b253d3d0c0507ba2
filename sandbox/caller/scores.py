"""Scores that come with the sandbox."""

from typing import Any, Literal

from sandbox.caller.score import Score, backchannels, interrupts, says, waits_for_agent, waits_for_end

DemoLanguage = Literal["ru", "en"]

_GOODBYE: list[dict[str, Any]] = [{"name": "end_call", "arguments": {}}]

_RUSSIAN = Score(
    name="demo-ru",
    language="ru",
    steps=(
        waits_for_agent(),
        says("Здравствуйте! Скажите, пожалуйста, до скольки вы сегодня работаете?"),
        waits_for_agent(),
        says("А как подготовиться к первому приёму?"),
        interrupts("Подождите, а сколько стоит приём?", after=3.0),
        waits_for_agent(),
        says("Понятно. А какие документы взять с собой?"),
        backchannels("угу", after=2.5),
        waits_for_agent(),
        says("Спасибо большое, до свидания!"),
        waits_for_end(),
    ),
    replies=(
        {"text": "Здравствуйте! Сегодня мы работаем до восьми вечера, а в субботу — с десяти до четырёх."},
        {
            "text": "Подготовиться совсем не сложно. За день до приёма постарайтесь не есть жирного и острого, а утром "
            "выпейте только стакан воды. Если вы принимаете лекарства, выпишите их названия и дозы на листок. "
            "Результаты прежних анализов тоже возьмите с собой, даже если им больше года. И приходите, пожалуйста, "
            "минут за десять до начала, чтобы спокойно заполнить анкету."
        },
        {"text": "Первый приём стоит две тысячи пятьсот рублей, повторный — тысяча восемьсот."},
        {
            "text": "Возьмите паспорт и полис, если он у вас есть. Если вы придёте с ребёнком, понадобится ещё его "
            "свидетельство о рождении. Выписки от других врачей необязательны, но с ними разговор пойдёт быстрее. "
            "Всё остальное заполним на месте."
        },
        {"text": "Спасибо за звонок, хорошего вам дня. До свидания!", "tool_calls": _GOODBYE},
    ),
)

_ENGLISH = Score(
    name="demo-en",
    language="en",
    steps=(
        waits_for_agent(),
        says("Hello! Could you tell me how late you are open today?"),
        waits_for_agent(),
        says("And how do I prepare for a first visit?"),
        interrupts("Wait, how much does a visit cost?", after=3.0),
        waits_for_agent(),
        says("I see. And which documents should I bring?"),
        backchannels("uh-huh", after=2.5),
        waits_for_agent(),
        says("Thank you very much, goodbye!"),
        waits_for_end(),
    ),
    replies=(
        {"text": "Hello! We are open until eight this evening, and from ten to four on Saturday."},
        {
            "text": "There is not much to prepare. The day before, avoid rich and spicy food, please, and in the "
            "morning have only a glass of water. If you take any medicine, write down the names and doses. "
            "Bring the results of earlier tests as well, even if they are more than a year old. And please come about "
            "ten minutes early, so that there is time for the form."
        },
        {"text": "A first visit is sixty pounds, and each one after that is forty-five."},
        {
            "text": "Please bring a passport, and your insurance card if you have one. If you come with a child, we "
            "also need the birth certificate. Letters from other doctors are not required, but they save us some time. "
            "Everything else we can fill in here."
        },
        {"text": "Thank you for calling, and have a good day. Goodbye!", "tool_calls": _GOODBYE},
    ),
)


def demo(language: DemoLanguage) -> Score:
    """A call of about a minute and a half.

    The agent answers a question; the caller interrupts a long answer; the caller says a word of attention during
    another, and the agent continues; the caller says goodbye, and the agent says goodbye and hangs up.
    """
    return {"ru": _RUSSIAN, "en": _ENGLISH}[language]
