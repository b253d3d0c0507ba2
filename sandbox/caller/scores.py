"""Scores that come with the sandbox."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from sandbox.caller.score import Score, Step, backchannels, interrupts, presses, says, waits_for_agent, waits_for_end

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


@dataclass(frozen=True, slots=True)
class _Booking:
    """What both sides say when a caller books a visit."""

    asks: str
    looks: str
    offers: str
    takes: str
    """Said over the offer."""
    patient: str
    repeats: str
    agrees: str
    asks_number: str
    number: str
    """What the caller keys in."""
    books: str
    booked: str
    attention: str
    thanks: str
    bye: str


_BOOKINGS = {
    "ru": _Booking(
        asks="Здравствуйте! Запишите меня, пожалуйста, на первый приём, лучше на пятницу.",
        looks="Минуту, смотрю пятницу.",
        offers="В пятницу можно в 10:30 или в 14:00. Приём длится около сорока минут. Возьмите с собой паспорт, "
        "полис и результаты прежних анализов, даже если им больше года. Какое время вам подходит?",
        takes="Подождите, мне подойдёт 10:30. Меня зовут Анна Орлова.",
        patient="Анна Орлова",
        repeats="Анна Орлова, первый приём, на пятницу, в 10:30. Всё верно?",
        agrees="Да, всё верно.",
        asks_number="Хорошо. Наберите, пожалуйста, свой номер телефона, а в конце решётку.",
        number="79990000001",
        books="Записываю вас.",
        booked="Готово, вы записаны на пятницу, в 10:30. Мы на улице Садовой, дом пять, вход со двора. Приходите, "
        "пожалуйста, минут за десять до начала, чтобы спокойно заполнить анкету. Накануне мы пришлём вам сообщение.",
        attention="угу",
        thanks="Спасибо большое, до свидания!",
        bye="Спасибо за звонок, хорошего вам дня. До свидания!",
    ),
    "en": _Booking(
        asks="Hello! I would like to book a first visit, on Friday if I can.",
        looks="Let me look at Friday.",
        offers="On Friday there is time at 10:30 and at 14:00. The visit takes about forty minutes. Please bring a "
        "passport, your insurance card and the results of earlier tests, even if they are more than a year old. Which "
        "time suits you?",
        takes="Wait, 10:30 is fine. My name is Anna Green.",
        patient="Anna Green",
        repeats="Anna Green, a first visit, Friday at 10:30. Is that right?",
        agrees="Yes, that's right.",
        asks_number="Good. Please enter your telephone number with the keys, and the hash key at the end.",
        number="79990000001",
        books="I am booking it.",
        booked="You are booked for Friday at 10:30. We are at five Garden Street, the door is in the yard. Please "
        "come about ten minutes early, so that there is time for the form. We will send you a message the day before.",
        attention="uh-huh",
        thanks="Thank you very much, goodbye!",
        bye="Thank you for calling, and have a good day. Goodbye!",
    ),
}


def booking(language: DemoLanguage, today: date) -> Score:
    """A call of about a minute to the clinic of :mod:`sandbox.clinic`, which needs the tools of its agent.

    The caller presses a key of the menu, asks for a visit, interrupts the offer, says yes when the agent repeats day,
    time and name, keys in a telephone number, says a word of attention while the agent speaks on, and says goodbye.
    """
    said = _BOOKINGS[language]
    friday = (today + timedelta(days=(4 - today.weekday() - 1) % 7 + 1)).isoformat()
    visit = {"day": friday, "time": "10:30", "patient": said.patient, "telephone": said.number}
    steps: tuple[Step, ...] = (
        waits_for_agent(),
        presses("1"),
        waits_for_agent(),
        says(said.asks),
        interrupts(said.takes, after=4.5),
        waits_for_agent(),
        says(said.agrees),
        waits_for_agent(),
        presses(f"{said.number}#"),
        backchannels(said.attention, after=3.0),
        waits_for_agent(),
        says(said.thanks),
        waits_for_end(),
    )
    return Score(
        name=f"booking-{language}",
        language=language,
        steps=steps,
        replies=(
            {"text": said.looks, "tool_calls": [{"name": "find_free_times", "arguments": {"day": friday}}]},
            {"text": said.offers},
            {"text": said.repeats},
            {"text": said.asks_number},
            {"text": said.books, "tool_calls": [{"name": "book_visit", "arguments": visit}]},
            {"text": said.booked},
            {"text": said.bye, "tool_calls": _GOODBYE},
        ),
    )


@dataclass(frozen=True, slots=True)
class NamedScore:
    """A score that is chosen by its name."""

    name: str
    language: DemoLanguage
    about: str
    """What the caller does, in one sentence."""
    make: Callable[[date], Score]
    """Makes it for a call on that day."""


_ASKS = "Asks questions, interrupts a long answer, and says goodbye."
_BOOKS = "Books a visit by voice and keys, with an agent that has the tools of docs/agent.example.yaml."


def _named(language: DemoLanguage) -> tuple[NamedScore, ...]:
    return (
        NamedScore(f"demo-{language}", language, _ASKS, lambda _today: demo(language)),
        NamedScore(f"booking-{language}", language, _BOOKS, lambda today: booking(language, today)),
    )


SCORES: Mapping[str, NamedScore] = {each.name: each for each in (*_named("en"), *_named("ru"))}
"""Every score by its name."""
