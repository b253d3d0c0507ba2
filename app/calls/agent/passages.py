"""Cuts a file of the operator's into passages that make sense on their own.

markdown-it-py, a CommonMark parser, says where headings, lists, tables and code begin and end: a ``#`` within code is
no heading.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from app.ports.knowledge import Passage

LETTERS_MAX = 800
"""About the most that belongs to one thing; longer sections become several passages."""
_BETWEEN = " › "
_MARKDOWN = (".md", ".markdown")
_TABLE_HEAD_LINES = 2
"""The names of the columns, and the line below them."""


def is_markdown(name: str) -> bool:
    """Whether a file with that name is markdown; otherwise it is plain text."""
    return name.lower().endswith(_MARKDOWN)


def passages_of(name: str, text: str) -> list[Passage]:
    """The passages of the file with that name, in their order."""
    lines = text.splitlines()
    blocks = _markdown_blocks(text, lines) if is_markdown(name) else _paragraphs(lines)
    packed: list[_Block] = []
    for block in chain.from_iterable(map(_pieces, blocks)):
        if packed and packed[-1].takes(block):
            packed[-1] = packed[-1].with_more(block)
        else:
            packed.append(block)
    return [Passage(name, block.heading, block.line, block.text) for block in packed]


@dataclass(frozen=True, slots=True)
class _Block:
    """A paragraph, a list, a table or the like."""

    heading: str
    line: int
    text: str
    repeated: str = ""
    """What each part of the block needs at its beginning: the head of a table."""

    def takes(self, other: "_Block") -> bool:
        """Whether the other one still belongs to this passage."""
        return self.heading == other.heading and len(self.text) + len(other.text) < LETTERS_MAX

    def with_more(self, other: "_Block") -> "_Block":
        return _Block(self.heading, self.line, f"{self.text}\n\n{other.text}")


def _markdown_blocks(text: str, lines: list[str]) -> Iterator[_Block]:
    from markdown_it import MarkdownIt  # only agents with knowledge need it

    headings: list[tuple[int, str]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse("\n".join(lines))
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.level or token.map is None:
            continue
        begin, end = token.map
        if token.type == "heading_open" and following is not None:
            depth = int(token.tag[1:])
            headings = [*(above for above in headings if above[0] < depth), (depth, following.content.strip())]
            continue
        written = "\n".join(lines[begin:end]).strip("\n")
        head = "\n".join(lines[begin : begin + _TABLE_HEAD_LINES]) if token.type == "table_open" else ""
        if written.strip():
            yield _Block(_BETWEEN.join(name for _, name in headings if name), begin + 1, written, head)


def _paragraphs(lines: list[str]) -> Iterator[_Block]:
    """The paragraphs of a plain text, which empty lines part."""
    begin = 0
    for number, line in enumerate([*lines, ""]):
        if not line.strip():
            if begin < number:
                yield _Block("", begin + 1, "\n".join(lines[begin:number]))
            begin = number + 1


def _pieces(block: _Block) -> Iterator[_Block]:
    """The block itself, or what it has to be cut into: at the ends of lines if possible, else between words."""
    if len(block.text) <= LETTERS_MAX:
        yield block
        return
    taken: list[str] = []
    begin = block.line
    for offset, line in enumerate(block.text.split("\n")):
        for part in _parts(line):
            if taken and len("\n".join([*taken, part])) > LETTERS_MAX:
                yield _Block(block.heading, begin, "\n".join(taken))
                taken, begin = [*([block.repeated] if block.repeated else []), part], block.line + offset
            else:
                taken.append(part)
    yield _Block(block.heading, begin, "\n".join(taken))


def _parts(line: str) -> Iterator[str]:
    while len(line) > LETTERS_MAX:
        cut = max(line.rfind(mark, 0, LETTERS_MAX) for mark in (". ", "! ", "? ")) + 1
        cut = cut or line.rfind(" ", 0, LETTERS_MAX) + 1 or LETTERS_MAX
        yield line[:cut].rstrip()
        line = line[cut:].lstrip()
    yield line
