"""An index of passages in memory, with SQLite's full-text search (FTS5).

The index holds words and their stems, because FTS5 itself knows no Russian endings. A passage ranks by BM25; words of
its headings count three times.
"""

import asyncio
import sqlite3
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from app.ports.knowledge import Passage
from app.storage.stems import searched_words

_THREADS = 2
_POOL = ThreadPoolExecutor(_THREADS, "knowledge")
"""Apart from asyncio's own pool: a search must not wait for a name server, nor for a disk."""
_QUERY_WORDS_MAX = 40
_CREATE = "CREATE VIRTUAL TABLE passages USING fts5(heading, body, tokenize='unicode61')"
_INSERT = "INSERT INTO passages(rowid, heading, body) VALUES (?, ?, ?)"
_SEARCH = "SELECT rowid FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, 3.0, 1.0), rowid LIMIT ?"


class KnowledgeIndex:
    """The passages of one agent. Implements :class:`app.ports.knowledge.KnowledgeSearch`.

    It is complete when it is made, which takes some tens of milliseconds for 200 kB, and never changes.
    """

    def __init__(self, passages: Sequence[Passage], language: str) -> None:
        """``language`` is that of words which are not Cyrillic, by its code."""
        self._passages = tuple(passages)
        self._language = language
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._connection.close)
        self._connection.execute(_CREATE)
        self._connection.executemany(_INSERT, map(self._row, range(len(self._passages))))
        self._connection.commit()

    def __repr__(self) -> str:
        return f"<KnowledgeIndex {len(self._passages)} passages>"

    async def search(self, words: str, *, limit: int) -> Sequence[Passage]:
        """The passages that have at least one of these words, best first, ``limit`` at most. Works in a thread."""
        return await asyncio.get_running_loop().run_in_executor(_POOL, self.find, words, limit)

    def find(self, words: str, limit: int) -> Sequence[Passage]:
        """The same at once, for a caller that may wait."""
        query = self._query(words)
        if not query:
            return ()
        with self._lock:
            found = self._connection.execute(_SEARCH, (query, limit)).fetchall()
        return [self._passages[number] for (number,) in found]

    def _row(self, number: int) -> tuple[int, str, str]:
        passage = self._passages[number]
        return number, self._forms(passage.heading), self._forms(passage.text)

    def _forms(self, text: str) -> str:
        words = searched_words(text, self._language)
        return " ".join(form for word in words for form in dict.fromkeys((word.stem, word.word)))

    def _query(self, words: str) -> str:
        """Any of the words, each in quotes: FTS5 would read a bare ``or`` or ``near`` as an operator."""
        wanted = list(dict.fromkeys(searched_words(words, self._language)))[-_QUERY_WORDS_MAX:]
        stems = [f'"{word.stem}"' for word in wanted]
        beginnings = [f'"{word.beginning}" *' for word in wanted if word.beginning is not None]
        return " OR ".join(dict.fromkeys((*stems, *beginnings)))
