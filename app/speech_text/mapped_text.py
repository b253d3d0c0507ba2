"""What all languages share on the way to the voice: a text that remembers its source, and the removal of markup."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the replacement of a match, and how many characters of the match it covers."""

    said: str
    covers: int


Say = Callable[[re.Match[str]], str | list[Part]]
"""What to say instead of a match; a function that returns the match itself leaves it as it is."""
Rule = tuple[re.Pattern[str], Say]
"""What to look for, and what to say instead."""

_WINDOW_CHARS = 60


def before(match: re.Match[str]) -> str:
    """The text before a match, as much of it as grammar needs."""
    return match.string[max(0, match.start() - _WINDOW_CHARS) : match.start()]


def after(match: re.Match[str]) -> str:
    """The text after a match, as much of it as grammar needs."""
    return match.string[match.end() : match.end() + _WINDOW_CHARS]


def listed(words: str) -> frozenset[str]:
    """The words of a space-separated list."""
    return frozenset(words.split())


@dataclass(frozen=True, slots=True)
class MappedText:
    """A text made from a written one; once ``text[i]`` is said, ``ends[i]`` written characters are covered."""

    text: str
    ends: list[int]

    @classmethod
    def of(cls, written: str) -> Self:
        """The written text itself."""
        return cls(written, list(range(1, len(written) + 1)))

    def sub(self, pattern: re.Pattern[str], say: Say) -> Self:
        """Say something else for every match (which must not be empty).

        Every character of a replacement covers the whole match. A replacement in parts is covered part by part, each by
        its last word. A mark at its beginning covers only the word that it follows, and what is dropped right after a
        word belongs to that word.
        """
        texts: list[str] = []
        ends: list[int] = []
        at = 0
        for match in pattern.finditer(self.text):
            said = say(match)
            if said == match.group():
                continue
            texts.append(self.text[at : match.start()])
            ends += self.ends[at : match.start()]
            at = match.end()
            covered = self.ends[at - 1]
            if isinstance(said, list):
                for part in said:
                    texts.append(part.said)
                    ends += _ends_of(part.said, ends[-1] if ends else 0, self.ends[match.start() + part.covers - 1])
            elif said:
                first = ends[-1] if ends and said[0] in ".,;" else covered
                texts.append(said)
                ends += [first] + [covered] * (len(said) - 1)
            elif ends and not self.text[match.start() - 1].isspace():
                ends[-1] = covered
        if not at:
            return self
        return type(self)("".join(texts) + self.text[at:], ends + self.ends[at:])

    def apply(self, rules: Iterable[Rule]) -> Self:
        """Apply all rules in order."""
        mapped = self
        for pattern, say in rules:
            mapped = mapped.sub(pattern, say)
        return mapped


def _ends_of(said: str, before: int, covered: int) -> list[int]:
    """What each character of a part covers: nothing new before its last word."""
    last_word = len(said.rstrip()) - len(said.split()[-1])
    return [before] * last_word + [covered] * (len(said) - last_word)


def always(text: str) -> Callable[[re.Match[str]], str]:
    """Say the same for every match."""
    return lambda _: text


def one_of(words: Iterable[str]) -> str:
    """A pattern for any of the words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def apart(match: re.Match[str], words: str) -> str:
    """Words that replace digits, with a space where a letter touches them."""
    left = " " if before(match)[-1:].isalpha() else ""
    right = " " if after(match)[:1].isalpha() else ""
    return left + words + right


def in_groups(
    match: re.Match[str], groups: Iterable[str], words: Callable[[str], str], *, sign: str = ""
) -> list[Part]:
    """A number that is read, and counts as heard, group by group; the groups together are its digits.

    ``sign`` is said before the first group.
    """
    ends = [found.end() for found in re.finditer(r"\d", match.group())]
    left = sign + (" " if before(match)[-1:].isalpha() else "")
    parts: list[Part] = []
    digits = 0
    for group in groups:
        digits += len(group)
        parts.append(Part((", " if parts else left) + words(group), ends[digits - 1]))
    right = " " if after(match)[:1].isalpha() else ""
    return [*parts[:-1], Part(parts[-1].said + right, len(match.group()))]


def stop_of(match: re.Match[str]) -> str:
    """The full stop that an abbreviation at the end of a sentence has swallowed."""
    rest = after(match).lstrip()
    return "." if match.group().endswith(".") and (not rest or rest[0].isupper()) else ""


_ZERO_WIDTH_NON_JOINER = "\u200c"
_KEPT_SYMBOLS = "№°℃℉"


def _odd_char(match: re.Match[str]) -> str:
    """A pictogram separates words, an invisible character does not; letters, accents and punctuation stay."""
    char = match.group()
    kind = unicodedata.category(char)
    if char in _KEPT_SYMBOLS or char == _ZERO_WIDTH_NON_JOINER:
        return char
    if kind in {"So", "Sk"}:
        return " "
    variant = 0xFE00 <= ord(char) <= 0xFE0F or 0xE0100 <= ord(char) <= 0xE01EF
    return "" if variant or kind in {"Cc", "Cf", "Cs", "Co", "Cn", "Me"} else char


_LINE_MARK = r"(?:(?:[-*•▪‣·–—]|#{1,6}) |> ?)"
_SENTENCE_MARKS = ".,!?…:;—–-"
_AFTER_WORD = "\"'»”’)*_`~"


def _line_break(match: re.Match[str]) -> str:
    """A line that ends without punctuation gets a full stop, unless the next line continues its sentence."""
    last = before(match).rstrip(_AFTER_WORD)[-1:]
    if not last:
        return ""
    goes_on = after(match)[:1].islower() and not match.group(1)
    return " " if last in _SENTENCE_MARKS or last.isspace() or goes_on else ". "


_LINK_TEXT = r"(?:[^\[\]\n]|\[[^\[\]\n]{0,100}\]){0,300}"
_LINK_TARGET = (
    r"\([ ]?(?:<[^<>\n]{0,500}>|(?:[^()\s]|\((?:[^()\s]|\([^()\s]{0,100}\)){0,200}\)){0,500})"
    r"(?:[ ](?:\"[^\"\n]{0,200}\"|'[^'\n]{0,200}'|\([^()\n]{0,200}\)))?[ ]?\)"
)
"""An address, which may hold pairs of parentheses two deep, and a title (CommonMark 0.31, 6.3)."""
_LINK_LABEL = r"\[[^\[\]\n]{1,100}\]"
_CODE_BLOCK = r"(?ms)^[ ]{0,3}(?P<fence>`{3,}|~{3,})[^\n`]*(?:\n.*?(?:^[ ]{0,3}(?P=fence)[`~]*[ ]?$|\Z)|\Z)"
"""A fenced block of code (CommonMark 0.31, 4.5); the end of the text ends one that is open."""

_MARKUP: tuple[Rule, ...] = (
    (re.compile(r"[^\w\s!-~«»“”„‘’–—…]"), _odd_char),
    (re.compile(r"[^\S\n]+"), always(" ")),
    (re.compile(_CODE_BLOCK), always("")),
    (re.compile(r"(?m)^ ?(?:```[\w+-]*|~~~[\w+-]*|[-*_=]{3,}|\|?[ :|-]*\|[ :|-]*) ?$"), always("")),
    (re.compile(r"</?[a-zA-Z][a-zA-Z0-9]{0,15}(?: [^<>\n]{0,200})?/?>"), always(" ")),
    (re.compile(rf"!?\[(?={_LINK_TEXT}\](?:{_LINK_TARGET}|{_LINK_LABEL}))"), always("")),
    (re.compile(rf"\](?:{_LINK_TARGET}|{_LINK_LABEL})"), always("")),
    (re.compile(r"(?m)^ ?\| ?| ?\| ?$"), always("")),
    (re.compile(r"(?<=[^ |]) ?\| ?"), always(", ")),
    (re.compile(rf"(?: ?\n)+(?:[ \n]*({_LINE_MARK}+))?[ \n]*"), _line_break),
    (re.compile(r"(?<!\d)(?<!\d )\*+|\*+(?! ?\d)"), always("")),
    (re.compile(r"(?<!\w)_+|_+(?!\w)|~~+|`+"), always("")),
    (re.compile(rf"\A *{_LINE_MARK}+"), always("")),
)
_REST: tuple[Rule, ...] = (
    (re.compile(r"[*_#`~|\\^\[\]{}<>]+"), always(" ")),
    (re.compile(r"\( ?\)"), always("")),
    (re.compile(r"\s+"), always(" ")),
    (re.compile(r" (?=[.,!?;:…](?:\s|$))"), always("")),
    (re.compile(r"\A "), always("")),
)


def without_markup(text: MappedText) -> MappedText:
    """Take out markdown, HTML, emoji and invisible characters; ends of lines become ends of sentences."""
    return text.apply(_MARKUP)


def tidied(text: MappedText) -> MappedText:
    """The last step: drop what is left of markup, and put single spaces."""
    return text.apply(_REST)


def _ascii_digit(match: re.Match[str]) -> str:
    char = match.group()
    value = unicodedata.digit(char, None)
    if value is not None:
        return str(value)
    if unicodedata.category(char) != "No":
        return char
    glued = before(match)[-1:].isdigit()
    return (" " if glued else "") + unicodedata.normalize("NFKC", char).replace("\u2044", "/")


_TYPED_COMPARISONS = {"<": ("<",), ">": (">",), "≤": ("≤", "<=", "⩽"), "≥": ("≥", ">=", "⩾"), "≠": ("≠", "!=", "<>")}


def comparison_rules(words: dict[str, str]) -> tuple[Rule, ...]:
    """Signs of comparison between two things; ``words`` are what they are called, for ``< > ≤ ≥ ≠``."""
    signs = {typed: words[sign] for sign, spellings in _TYPED_COMPARISONS.items() for typed in spellings}
    pattern = re.compile(rf"(?:(?<=[\w)%°]) ?|(?<!\S))({one_of(signs)}) ?(?=[\w(+\-−$€£₽])")
    return ((pattern, lambda match: f" {signs[match.group(1)]} "),)


def slash_rules(*, either: str, slash: str) -> tuple[Rule, ...]:
    """A slash between words means a choice; between single letters and in codes it is called by its name."""

    def said(match: re.Match[str]) -> str:
        left, right = re.search(r"[^\W\d_]*\Z", before(match)), re.match(r"[^\W\d_]*", after(match))
        words = [found.group() if found else "" for found in (left, right)]
        if any(word in ("и", "and") for word in map(str.lower, words)):
            return " "
        return f" {either} " if all(len(word) > 1 for word in words) else f" {slash} "

    return ((re.compile(r"(?<=\w) ?/ ?(?=\w)"), said),)


_UNSPOKEN = re.compile(r"[^\w\s!?.,:;…\-–—'’\"«»“”„‘()]")
DIGITS: Rule = (re.compile(r"[^\W\x00-\x7f]"), _ascii_digit)
"""Digits of other scripts, raised and circled ones and fractions too, become plain ones."""


def _unspoken(match: re.Match[str]) -> str:
    return match.group() if unicodedata.category(match.group())[0] in "MCP" and match.group() not in "*#%&@/\\" else " "


UNSPOKEN: Rule = (_UNSPOKEN, _unspoken)
"""Signs that no rule has replaced are not said."""


@dataclass(frozen=True, slots=True)
class AddressWords:
    """What the signs of an address are called."""

    at: str
    dot: str
    slash: str
    dash: str
    underscore: str
    plus: str
    number: Callable[[str], str]
    """Reads a run of digits."""
    domains: dict[str, str]
    """Endings that are not said as they are written, such as ``ru``."""


_TOP = "ru|рф|com|org|net|info|biz|io|ai|app|dev|su|by|kz|ua|uk|de|eu|edu|gov|online|shop|site|store|pro|tv|me"
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(r"(?:https?://|\bwww\.)[^\s<>\"«»]+")
_DOMAIN = re.compile(rf"(?<![\w@.-])(?:[\w-]+\.)+(?:{_TOP})(?![\w-]|\.\w)(?:/[^\s<>\"«»]*)?", re.IGNORECASE)
_TRAILING = ".,:;!?…)'*_]"
_SCHEME = re.compile(r"\A(?:https?://)?(?:www\.)?", re.IGNORECASE)
_LONGEST_PATH = 40
_DIGITS_OF_ADDRESS = re.compile(r"\d+")


def address_rules(words: AddressWords) -> tuple[Rule, ...]:
    """E-mail and web addresses, said sign by sign; queries, fragments and unreadable paths are left out."""
    signs = {"@": words.at, ".": words.dot, "/": words.slash, "-": words.dash, "_": words.underscore, "+": words.plus}

    def spelt(address: str) -> str:
        head, dot, top = address.rpartition(".")
        if dot and top.lower() in words.domains:
            address = f"{head}.{words.domains[top.lower()]}"
        said = "".join(f" {signs[char]} " if char in signs else char if char.isalnum() else " " for char in address)
        return _DIGITS_OF_ADDRESS.sub(lambda found: f" {words.number(found.group())} ", said)

    def email(match: re.Match[str]) -> str:
        return " ".join(spelt(match.group()).split())

    def site(match: re.Match[str]) -> str:
        address = match.group().rstrip(_TRAILING)
        bare = _SCHEME.sub("", address)
        host, _, path = re.split(r"[?#]", bare, maxsplit=1)[0].partition("/")
        path = path.rstrip("/")
        said = spelt(host)
        if path and len(path) <= _LONGEST_PATH and "%" not in path:
            said += f" {words.slash} {spelt(path)}"
        return " ".join(said.split()) + match.group()[len(address) :]

    return ((_EMAIL, email), (_URL, site), (_DOMAIN, site))
