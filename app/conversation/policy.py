"""The policy of a call: timeouts, limits, and the lines that the agent says without a language model."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class KeyMeaning:
    """What a key of the telephone does. Without a tool and a transfer, the agent says a line."""

    key: str
    """One of ``0-9`` and ``*``."""
    tool: str | None = None
    """The agent's own tool that is run; the model tells the caller the result."""
    arguments: str = "{}"
    """The tool's arguments, a JSON object."""
    transfers_to: str | None = None
    """The transfer target."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Fixed texts in one language."""

    greeting: str
    repeat: str
    """After a turn that could not be understood."""
    keypad: str
    """After two such turns."""
    idle: tuple[str, ...]
    """One after another, when the caller is silent."""
    fillers: tuple[str, ...]
    """While the answer is late; each at most once a turn."""
    apology: str
    """When an answer could not be given."""
    cut_off: str
    """When an answer was cut off in the middle."""
    deaf: str
    """When the caller cannot be heard."""
    transfer: str
    """Before a transfer to a human, when the model has not announced it."""
    transfer_failed: str
    """When the transfer failed."""
    goodbye: str
    """When the model ends the call without a goodbye."""
    silence_goodbye: str
    limit_goodbye: str
    failure_goodbye: str
    shutdown_goodbye: str
    long_wait: tuple[str, ...] = (
        "This is taking a little longer than usual. Please bear with me.",
        "I'm still waiting for an answer. Thank you for your patience.",
        "I'm still on it. Please stay on the line.",
        "Sorry for the wait. It's still loading on my end.",
        "Still nothing yet, but I'm here with you.",
        "Thank you for holding. It shouldn't be much longer.",
    )
    """While a tool takes long; one after another, each at most once a turn."""
    refused: str = "I'm afraid I can't discuss that. What else can I help you with?"
    """When the model's vendor refuses what the caller said."""
    stalled: str = "I don't think we understand each other. Could you tell me in a few words how I can help?"
    """When the call gets nowhere."""
    stalled_goodbye: str = "I'm afraid I can't help you like this. Please call back if you need anything. Goodbye!"
    """When it still gets nowhere after that."""
    unserved: str = "I'm sorry, I can't help you myself right now. I'm putting you through to a colleague. Please hold."
    """Before the transfer of a call that the agent cannot serve."""
    message: str = (
        "I'm sorry, I can't help you myself right now, because of a technical problem. Please leave a message: tell me "
        "what it is about, and how we can reach you."
    )
    """When nobody can serve the call."""
    message_again: str = "Please tell me in a few words what I should pass on."
    """When the message is very short, or does not come."""
    message_more: str = "Got it. Is there anything else I should pass on?"
    """After the message."""
    message_thanks: str = "Thank you, I'll pass that on. Goodbye!"
    disclosure: str = ""
    """Before everything else, that the caller speaks with an automatic system; empty for none."""
    notice: str = ""
    """After that, that the call is recorded; empty for none."""
    consent: str = "May we record this call? Please say yes or no. You can also press one for yes, or two for no."
    """Asks whether the call may be recorded, where the policy wants it."""
    not_recorded: str = "All right, this call is not being recorded."
    """When the caller does not agree."""
    reconnected: str = "Sorry, the line cut out for a moment."
    """When another process goes on with the call, because the one before has died."""
    reconnected_repeat: str = "Sorry, the line cut out for a moment. Could you say that again?"
    """The same, when the caller was speaking meanwhile."""
    keypad_option: str = "Press {key} to {label}."
    """One sentence of the menu: what a key does."""
    keypad_human: str = "talk to a person"
    """What a key for a transfer does, if its agent does not say it."""
    keypad_labels: tuple[str, ...] = ()
    """What the keys of :attr:`CallPolicy.keypad` do, in their order; an empty one is not in the menu."""
    keypad_texts: tuple[str, ...] = ()
    """What the agent says when they are pressed, in their order; empty for a tool or a transfer."""

    @property
    def opening(self) -> str:
        """What is said first, and cannot be cut."""
        return f"{self.disclosure} {self.notice}".strip()


RUSSIAN = Lines(
    greeting="Здравствуйте! Я голосовой помощник. Чем могу помочь?",
    repeat="Простите, не расслышала. Повторите, пожалуйста.",
    keypad="Вас плохо слышно. Можно ответить с клавиатуры телефона: наберите цифры и нажмите решётку.",
    idle=("Вы ещё на линии?", "Я вас слушаю. Чем могу помочь?"),
    fillers=("Секунду, проверяю.", "Ещё секунду, пожалуйста."),
    apology="Простите, у меня что-то не получилось. Повторите, пожалуйста, ваш вопрос.",
    cut_off="Простите, я сбилась. О чём рассказать подробнее?",
    deaf="Простите, я вас сейчас не слышу. Можно ответить с клавиатуры телефона: наберите цифры и нажмите решётку.",
    transfer="Соединяю вас с сотрудником. Оставайтесь, пожалуйста, на линии.",
    transfer_failed="К сожалению, соединить не удалось. Чем ещё я могу помочь?",
    goodbye="Всего доброго, до свидания!",
    silence_goodbye="Вас не слышно, поэтому я завершаю звонок. До свидания!",
    limit_goodbye="К сожалению, время разговора закончилось. Перезвоните, пожалуйста. До свидания!",
    failure_goodbye="Простите, сейчас я не могу вам помочь. Перезвоните, пожалуйста, позже. До свидания!",
    shutdown_goodbye="Простите, мне нужно завершить разговор. Перезвоните, пожалуйста. До свидания!",
    long_wait=(
        "Это занимает чуть больше времени, чем обычно. Подождите, пожалуйста.",
        "Всё ещё жду ответа. Спасибо, что ждёте.",
        "Я на связи, ответа пока нет. Оставайтесь, пожалуйста, на линии.",
        "Простите за ожидание, система пока не ответила.",
        "Ещё немного, пожалуйста, я по-прежнему проверяю.",
        "Спасибо за терпение. Надеюсь, осталось совсем чуть-чуть.",
    ),
    refused="К сожалению, об этом я говорить не могу. Чем ещё могу помочь?",
    stalled="Кажется, мы друг друга не понимаем. Скажите в двух словах, чем я могу помочь?",
    keypad_option="Чтобы {label}, нажмите {key}.",
    keypad_human="поговорить с сотрудником",
    stalled_goodbye="К сожалению, так я вам помочь не смогу. Перезвоните, пожалуйста, позже. До свидания!",
    unserved="Простите, сейчас я сама не могу вам помочь. Соединяю вас с сотрудником, оставайтесь на линии.",
    message=(
        "Простите, сейчас из-за технической неполадки я не могу вам помочь. Оставьте, пожалуйста, сообщение: "
        "скажите, по какому вы вопросу и как с вами связаться."
    ),
    message_more="Поняла. Передать что-нибудь ещё?",
    message_again="Скажите, пожалуйста, в двух словах, что передать.",
    message_thanks="Спасибо, я всё передам. До свидания!",
    consent="Можно записать наш разговор? Скажите «да» или «нет». Или нажмите: один, если можно, два, если нет.",
    not_recorded="Хорошо, разговор не записывается.",
    reconnected="Простите, связь на секунду прервалась.",
    reconnected_repeat="Простите, связь на секунду прервалась. Повторите, пожалуйста.",
)

ENGLISH = Lines(
    greeting="Hello! I'm a voice assistant. How can I help you?",
    repeat="Sorry, I didn't catch that. Could you say that again?",
    keypad="I'm having trouble hearing you. You can use your keypad: enter the digits, then press the hash key.",
    idle=("Are you still there?", "I'm listening. How can I help you?"),
    fillers=("One second, let me check.", "Just another moment, please."),
    apology="Sorry, something went wrong on my end. Could you repeat your question?",
    cut_off="Sorry, I got cut off. What would you like to hear more about?",
    deaf="Sorry, I can't hear you right now. You can use your keypad: enter the digits, then press the hash key.",
    transfer="I'm putting you through now. Please stay on the line.",
    transfer_failed="I'm sorry, I couldn't reach anyone. Is there anything else I can help you with?",
    goodbye="Thank you for calling. Goodbye!",
    silence_goodbye="I can't hear you, so I'll end the call now. Goodbye!",
    limit_goodbye="I'm afraid we're out of time. Please call back if you need anything else. Goodbye!",
    failure_goodbye="I'm sorry, I can't help you right now. Please call back later. Goodbye!",
    shutdown_goodbye="I'm sorry, I have to end the call now. Please call back. Goodbye!",
)


DISCLOSURES = {
    "ru": "Вы говорите с автоматической системой, голосовым помощником.",
    "en": "You are speaking with an automated system, a voice assistant.",
}
"""Standard disclosures, by language."""
NOTICES = {"ru": "Разговор записывается.", "en": "This call is being recorded."}
"""Standard notices that the call is recorded, by language."""


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """Numbers and lines of one call; seconds unless the name says otherwise."""

    lines: dict[str, Lines] = field(default_factory=lambda: {"ru": RUSSIAN, "en": ENGLISH})
    """By language code; the agent can speak these languages."""
    max_response_seconds: float = 1.5
    """From the caller's last voiced sample to the first sound of the answer."""
    filler_lead_seconds: float = 0.1
    """How long before the end of that budget a filler is started."""
    operator_first: bool = True
    """Whether an operator's line goes before an answer that is still being made."""
    filler_repeat_seconds: float = 1.8
    """From the end of a filler to the next one."""
    tool_patience_seconds: float = 0.4
    """After the result of a tool, how long the answer may take before a late answer gets a filler."""
    long_wait_seconds: float = 6.0
    """From the call of a tool to the second line that is said while it runs."""
    long_wait_repeat_seconds: float = 10.0
    """From one such line to the next."""
    reply_seconds: float = 6.0
    """From the caller's last sound, or from the result of a tool, until an answer that has not begun is given up.

    Tools have their own time in addition."""
    line_start_seconds: float = 3.0
    stall_seconds: float = 15.0
    """How long an utterance may stall after the time at which its clause should have ended."""
    idle_prompt_seconds: float = 8.0
    idle_prompts: int = 2
    """0 switches prompts off: then the call ends after ``idle_end_seconds``."""
    idle_end_seconds: float = 30.0
    turn_end_seconds: float = 6.0
    whole_pause_seconds: float = 0.25
    """Silence that ends a turn with all that was asked for, such as "yes" or a whole telephone number."""
    likely_pause_seconds: float = 1.6
    """Silence that ends any other turn whose words may be all; speech to text usually ends it earlier."""
    dictation_pause_seconds: float = 1.5
    """Silence that ends a turn in which the caller dictates a number, a name or an address of unknown length."""
    unfinished_pause_seconds: float = 2.5
    """Silence that ends a turn whose words stop in the middle, such as "and" or half of a telephone number."""
    digits_seconds: float = 2.0
    false_interruption_timeout: float = 1.0
    """How long sound without words may hold the voice back."""
    resume_seconds: float = 0.5
    """How long after the end of a sound the voice waits for its words."""
    stt_outage_seconds: float = 3.0
    stt_give_up_seconds: float = 10.0
    ring_seconds: float = 60.0
    max_duration_seconds: float = 1800.0
    max_cost_usd: float | None = None
    """What the call may cost in US dollars; None for no limit."""
    transfer_seconds: float = 65.0
    """After this, a transfer without an outcome is cancelled."""
    farewell_seconds: float = 5.0
    """After a goodbye, how long a silence lasts until the agent hangs up."""
    goodbye_seconds: float = 15.0
    """After this, a goodbye that does not end is cut."""
    min_confidence: float = 0.35
    """A turn with less confidence counts as not understood."""
    stall_turns: int = 8
    """Turns within which a call must get somewhere, else it ends; the agent asks after half of them. 0: no limit."""
    max_failures: int = 2
    """How many answers in a row may fail before the agent gives up."""
    fallback_human: str | None = None
    """Who gets the calls that the agent cannot serve: the name of a transfer target, None for nobody."""
    takes_messages: bool = False
    """Whether the callers of such calls may leave a message, if no human takes them."""
    message_wait_seconds: float = 7.0
    """How long the caller may be silent before they begin a message."""
    message_pause_seconds: float = 1.5
    """Silence after which the agent asks whether there is more."""
    message_more_seconds: float = 3.0
    """How long the caller may be silent before they say more."""
    message_seconds: float = 120.0
    """The longest message."""
    is_out_of_order: bool = False
    """Whether it is known when the call begins that the agent cannot hear, or cannot speak."""
    asks_consent: bool = False
    """Whether the call is recorded only after the caller has agreed."""
    keypad: tuple[KeyMeaning, ...] = ()
    """What single keys mean, in the order of the menu; other keys go to the model."""
    speaks: bool = True
    """False: the agent only listens, until the far end leaves or the call reaches its limit."""

    def with_menu(self, lines: Lines, line: str) -> str:
        """The line, with what the keys mean behind it."""
        options = [
            lines.keypad_option.replace("{key}", meaning.key).replace("{label}", label)
            for meaning, label in zip(self.keypad, lines.keypad_labels, strict=False)
            if label
        ]
        return " ".join([line, *options])

    def without_keys(self, gone: Collection[str]) -> "CallPolicy":
        """The same policy without these keys of the telephone, which then are like any key without a meaning."""
        stay = [number for number, meaning in enumerate(self.keypad) if meaning.key not in gone]

        def kept(texts: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(texts[number] for number in stay if number < len(texts))

        lines = {
            language: replace(each, keypad_labels=kept(each.keypad_labels), keypad_texts=kept(each.keypad_texts))
            for language, each in self.lines.items()
        }
        return replace(self, lines=lines, keypad=tuple(self.keypad[number] for number in stay))

    def to_dict(self) -> dict[str, Any]:
        """For row 1 of the journal."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CallPolicy":
        """The inverse. Drops fields that this version does not know, and gives missing ones their defaults."""
        policy = cls()
        data = {_RENAMED.get(name, name): value for name, value in data.items()}
        known = {name: data[name] for name in cls.__slots__ if name in data and name != "lines"}
        lines = {language: _lines(language, texts) for language, texts in data.get("lines", {}).items()}
        keypad = tuple(_key(each) for each in data.get("keypad", ()))
        return replace(policy, **{**known, "lines": lines or policy.lines, "keypad": keypad})


_RENAMED = {
    "noise_seconds": "false_interruption_timeout",
    "ears_seconds": "stt_outage_seconds",
    "ears_give_up_seconds": "stt_give_up_seconds",
}
"""What fields were called in the rows of older versions."""


def _key(data: dict[str, Any]) -> KeyMeaning:
    return KeyMeaning(**{name: data[name] for name in KeyMeaning.__slots__ if name in data})


def _lines(language: str, texts: dict[str, Any]) -> Lines:
    known = {name: texts[name] for name in Lines.__slots__ if name in texts}
    frozen: dict[str, Any] = {name: tuple(text) if isinstance(text, list) else text for name, text in known.items()}
    return replace(RUSSIAN if language == "ru" else ENGLISH, **frozen)
