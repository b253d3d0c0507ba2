"""Whether words heard on the line are an echo of the agent's own.

A loudspeaker or a bad line returns what was just played, and speech to text takes it for the caller's words.
"""

import re
from difflib import SequenceMatcher

_FEWEST_WORDS = 3
_FEWEST_WORDS_OF_A_QUESTION = 6
_SHARE = 0.8
_FEWEST_LETTERS = 2
_WORDS_FOR_ONE_MISSING = 10
_SAID_WORDS = 80
_HEARD_WORDS = 40
_FUZZY_FROM_LETTERS = 4
_FUZZY_RATIO = 0.75
_NEARLY_RATIO = 0.88
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE = re.compile(r"[^.!?…\n]*[.!?…]*")
_HYPHENS = re.compile("[-'’]")


def heard_words(text: str) -> list[str]:
    """The words of ``text`` for comparison: lower case, ``ё`` as ``е``, no punctuation, split at hyphens."""
    lowered = text.lower().replace("ё", "е")
    return [part for word in _WORD.findall(lowered) for part in _HYPHENS.split(word) if part]


def is_echo(heard: str, said: str, *, with_sound: bool = True) -> bool:
    """Whether ``heard`` is nearly a run of the last words of ``said``.

    The rule: at least three words, of which at least 80 % are found in ``said`` in the same order and close together
    (the run holds at most a quarter more words than were heard). A word may differ in a few letters, because
    recognisers err. Within a question it takes six words, because callers answer by repeating a part of it: "Во вторник
    в десять". ``said`` is what was played lately. Only its last 80 words count, and the first 40 of ``heard``.

    ``with_sound`` says whether the caller has made a sound of their own. Without one, any number of words is an echo,
    in a question too, and the last word may be the beginning of one that was said.
    """
    words = heard_words(heard)[:_HEARD_WORDS]
    if not words or (with_sound and len(words) < _FEWEST_WORDS):
        return False
    uttered = _said_words(said)
    same = _similar_words(set(words), {word for word, _ in uttered})
    if not with_sound and len(words[-1]) >= _FEWEST_LETTERS:
        same[words[-1]] |= {word for word, _ in uttered if word.startswith(words[-1])}
    for start in range(len(uttered)):
        run = uttered[start : start + len(words) + len(words) // 4]
        if uttered[start][0] not in same[words[0]] and (len(words) < 5 or uttered[start][0] not in same[words[1]]):
            continue
        if _in_order(words, [word for word, _ in run], same) >= _SHARE * len(words):
            asked = with_sound and any(of_question for _, of_question in run)
            if not asked or len(words) >= _FEWEST_WORDS_OF_A_QUESTION:
                return True
    return False


def are_same_words(words: list[str], others: list[str]) -> bool:
    """Whether both are the same but for a recogniser's errors: a few letters, or one word in ten that is missing.

    A different word makes them different: "on Monday" is not "on Tuesday".
    """
    if words == others:
        return True
    shorter, longer = sorted((words[:_SAID_WORDS], others[:_SAID_WORDS]), key=len)
    if not shorter or len(longer) - len(shorter) > len(longer) // _WORDS_FOR_ONE_MISSING:
        return False
    same = {word: {other for other in longer if _similar(word, other, _NEARLY_RATIO)} for word in shorter}
    return _in_order(shorter, longer, same) == len(shorter)


def _said_words(said: str) -> list[tuple[str, bool]]:
    """The last words that were said, each with whether it belongs to a question."""
    sentences = _SENTENCE.findall(said[-20 * _SAID_WORDS :])
    return [(word, "?" in sentence) for sentence in sentences for word in heard_words(sentence)][-_SAID_WORDS:]


def _similar_words(heard: set[str], said: set[str]) -> dict[str, set[str]]:
    return {word: {other for other in said if _similar(word, other)} for word in heard}


def _similar(word: str, other: str, ratio: float = _FUZZY_RATIO) -> bool:
    if word == other:
        return True
    if min(len(word), len(other)) < _FUZZY_FROM_LETTERS or abs(len(word) - len(other)) > 2:
        return False
    matcher = SequenceMatcher(None, word, other, autojunk=False)
    return matcher.real_quick_ratio() >= ratio and matcher.quick_ratio() >= ratio and matcher.ratio() >= ratio


def _in_order(words: list[str], run: list[str], same: dict[str, set[str]]) -> int:
    """How many of ``words`` occur in ``run`` in their order (the longest common subsequence)."""
    lengths = [0] * (len(run) + 1)
    for word in words:
        diagonal = 0
        for index, other in enumerate(run, start=1):
            above = lengths[index]
            lengths[index] = diagonal + 1 if other in same[word] else max(above, lengths[index - 1])
            diagonal = above
    return lengths[-1]
