"""What both sides say in the bench's calls, in both languages. ``[0.7]`` is a pause of 0.7 s within a sentence."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lines:
    """The texts of one language."""

    questions: tuple[str, ...]
    stories: tuple[tuple[str, ...], ...]
    """Answers of several clauses that ask nothing."""
    answers: tuple[str, ...]
    """Short answers."""
    interruptions: tuple[str, ...]
    backchannels: tuple[str, ...]
    hellos: tuple[str, ...]
    overheard: tuple[str, ...]
    hesitations: tuple[str, ...]
    spellings: tuple[tuple[str, str], ...]
    """What the agent asks for, and how the caller gives it."""
    ask_to_spell: str


RUSSIAN = Lines(
    questions=(
        "Скажите, пожалуйста, как вы работаете на этой неделе?",
        "Расскажите, как подготовиться к первому приёму.",
        "Какие документы мне нужно взять с собой?",
        "Подскажите, как до вас лучше добраться?",
    ),
    stories=(
        (
            "Мы открыты каждый день с девяти утра до восьми вечера.",
            "В субботу врачи принимают с десяти часов и до обеда, поэтому приходите пораньше.",
            "В воскресенье у нас дежурит только один терапевт, и записываться к нему не нужно.",
        ),
        (
            "Подготовиться совсем не сложно, и времени это почти не займёт.",
            "Накануне постарайтесь не есть жирного и острого, а утром выпейте стакан воды.",
            "Результаты прежних анализов тоже возьмите с собой, даже если им больше года.",
        ),
        (
            "Возьмите паспорт и полис, если он у вас есть.",
            "Если вы придёте с ребёнком, понадобится ещё его свидетельство о рождении.",
            "Выписки от других врачей необязательны, но с ними разговор пойдёт быстрее.",
        ),
        (
            "От метро до нас пять минут пешком, дорога прямая.",
            "Выйдите из последнего вагона и поверните налево, к большому книжному магазину.",
            "Вход в клинику со двора, рядом с аптекой, над дверью висит синяя вывеска.",
        ),
    ),
    answers=(
        "Первый приём стоит две тысячи пятьсот рублей.",
        "Конечно, это можно сделать прямо сейчас.",
        "Да, такая возможность у нас есть.",
        "Хорошо, я всё записала.",
    ),
    interruptions=(
        "Подождите, а сколько стоит приём?",
        "Нет, мне нужно совсем другое, запишите меня к врачу.",
        "Стоп, у меня другой вопрос.",
        "А можно прийти сегодня вечером?",
        "Извините, я хотел спросить про анализы.",
    ),
    backchannels=("угу", "ага", "да", "понятно", "хорошо", "так", "да-да", "ясно"),
    hellos=("Алло?", "Да?", "Здравствуйте.", "Алло, алло?", "Добрый день."),
    overheard=(
        "Мама, а где лежит мой синий рюкзак?",
        "Принеси мне, пожалуйста, воды из холодильника.",
        "Во сколько сегодня начинается футбол?",
        "Закрой окно, там очень шумно.",
    ),
    hesitations=(
        "Я хотел бы записаться к врачу на [0.7] на следующую среду, если можно.",
        "Мне нужно узнать, принимаете ли вы детей и [0.8] сколько это стоит.",
        "У меня болит спина уже третий день, то есть [0.7] с понедельника, и лучше не становится.",
        "Скажите, а можно ли перенести мой приём с вторника [0.6] на пятницу или на субботу?",
    ),
    spellings=(
        (
            "Назовите, пожалуйста, номер вашего телефона.",
            "Восемь девятьсот три [0.7] сто двадцать пять [0.8] сорок семь ноль два",
        ),
        ("Назовите, пожалуйста, вашу фамилию по буквам.", "Ка [0.5] о [0.6] эр [0.5] ша [0.6] у [0.5] эн"),
        (
            "Продиктуйте, пожалуйста, номер полиса.",
            "Двенадцать тридцать четыре [0.8] пятьдесят шесть [0.7] семьдесят восемь",
        ),
        ("Назовите, пожалуйста, ваш адрес.", "Улица Садовая [0.7] дом двенадцать [0.8] квартира сорок пять"),
    ),
    ask_to_spell="Я хочу записаться на приём.",
)

ENGLISH = Lines(
    questions=(
        "Could you tell me how you are open this week?",
        "Please tell me how to prepare for a first visit.",
        "Which documents do I need to bring along?",
        "What is the best way to get to you?",
    ),
    stories=(
        (
            "We are open every day from nine in the morning to eight in the evening.",
            "On Saturday the doctors see patients from ten until noon, so please come early.",
            "On Sunday there is only one doctor on duty, and no appointment is needed.",
        ),
        (
            "There is not much to prepare, and it takes hardly any time.",
            "The day before, avoid rich and spicy food, and in the morning have only a glass of water.",
            "Bring the results of earlier tests as well, even if they are more than a year old.",
        ),
        (
            "Please bring a passport, and your insurance card if you have one.",
            "If you come with a child, we also need the birth certificate of that child.",
            "Letters from other doctors are not required, but they save us some time.",
        ),
        (
            "It is five minutes on foot from the station, straight down the road.",
            "Leave by the last carriage and turn left towards the big bookshop on the corner.",
            "The entrance is in the courtyard, next to the chemist, under a large blue sign.",
        ),
    ),
    answers=(
        "A first visit is sixty pounds.",
        "Of course, we can do that right away.",
        "Yes, that is possible here.",
        "Good, I have written everything down.",
    ),
    interruptions=(
        "Wait, how much does a visit cost?",
        "No, I need something else, please book me an appointment.",
        "Stop, I have another question.",
        "Can I come this evening instead?",
        "Sorry, I wanted to ask about the tests.",
    ),
    backchannels=("uh-huh", "yeah", "okay", "right", "I see", "mm-hmm", "got it", "yes"),
    hellos=("Hello?", "Yes?", "Hi there.", "Hello, hello?", "Good morning."),
    overheard=(
        "Mum, where did you put my blue backpack?",
        "Bring me some water from the kitchen, please.",
        "What time does the football start tonight?",
        "Close the window, it is far too loud out there.",
    ),
    hesitations=(
        "I would like to see a doctor on [0.7] on Wednesday next week, if I may.",
        "I need to know whether you take children and [0.8] how much that would be.",
        "My back has been hurting for three days, that is [0.7] since Monday, and it is not getting better.",
        "Could you move my appointment from Tuesday [0.6] to Friday or to Saturday?",
    ),
    spellings=(
        ("Please tell me your phone number.", "Two oh seven [0.7] nine four six [0.8] zero one five eight"),
        ("Please spell your last name.", "M [0.5] O [0.6] R [0.5] G [0.6] A [0.5] N"),
        ("Please read me the number of your policy.", "Twelve thirty-four [0.8] fifty-six [0.7] seventy-eight"),
        ("Please tell me your address.", "Garden Street [0.7] number twelve [0.8] flat forty-five"),
    ),
    ask_to_spell="I would like to book an appointment.",
)

LINES = {"ru": RUSSIAN, "en": ENGLISH}
