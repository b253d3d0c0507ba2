"""How long the search of an agent's knowledge takes, at its largest: ``python -m bench.knowledge_search [--seed 1]``.

Makes 200 kB of markdown in Russian and English from the words of ``turns_russian.txt`` and ``turns_english.txt``, then
asks questions of its own words. A search is what an answer waits for, with the way to its thread and back; the CPU's
time is that of the search alone, however busy the machine is.
"""

import argparse
import asyncio
import random
import re
import time
from pathlib import Path

from app.calls.agent.knowledge import BYTES_MAX
from app.calls.agent.passages import passages_of
from app.storage.knowledge_index import KnowledgeIndex

_FOLDER = Path(__file__).parent
_QUESTIONS = 2000
_WORDS_A_QUESTION = 12
_SHARES = (0.5, 0.95, 0.99, 1.0)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    chance = random.Random(parser.parse_args().seed)  # noqa: S311 - no secret
    words = [
        word
        for name in ("turns_russian.txt", "turns_english.txt")
        for word in re.findall(r"[^\W\d_]{3,}", (_FOLDER / name).read_text("utf-8"))
    ]
    text = _markdown(chance, words)
    began = time.perf_counter()  # noqa: TID251 - no event loop runs
    passages = passages_of("knowledge.md", text)
    index = KnowledgeIndex(passages, "en")
    made = time.perf_counter() - began  # noqa: TID251
    print(f"{len(text.encode()):,} bytes, {len(passages)} passages, index made in {made * 1000:.0f} ms")
    questions = [" ".join(chance.choices(words, k=_WORDS_A_QUESTION)) for _ in range(_QUESTIONS)]
    print(f"{_QUESTIONS} searches of {_WORDS_A_QUESTION} words: {_spread(asyncio.run(_asked(index, questions)))}")
    print(f"of the CPU: {_spread([_cpu_seconds(index, question) for question in questions])}")


def _markdown(chance: random.Random, words: list[str]) -> str:
    sections: list[str] = []
    size = 0
    while size < BYTES_MAX:
        heading = " ".join(chance.choices(words, k=3))
        section = f"## {heading}\n\n{' '.join(chance.choices(words, k=60))}.\n"
        sections.append(section)
        size += len(section.encode()) + 1
    return "\n".join(sections[:-1])


def _spread(times: list[float]) -> str:
    ordered = sorted(times)
    return ", ".join(
        f"p{share * 100:.0f} {ordered[round(share * (len(times) - 1))] * 1000:.2f} ms" for share in _SHARES
    )


def _cpu_seconds(index: KnowledgeIndex, question: str) -> float:
    began = time.thread_time()
    index.find(question, 4)
    return time.thread_time() - began


async def _asked(index: KnowledgeIndex, questions: list[str]) -> list[float]:
    loop = asyncio.get_running_loop()
    times = []
    for question in questions:
        began = loop.time()
        await index.search(question, limit=4)
        times.append(loop.time() - began)
    return times


if __name__ == "__main__":
    main()
