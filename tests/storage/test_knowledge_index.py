"""Passages are found by the words of a question, whatever their endings."""

import asyncio
import gc
import threading

import pytest

from app.ports.knowledge import Passage
from app.storage.knowledge_index import KnowledgeIndex

VISIT = Passage("цены.md", "Цены › Приём", 3, "Повторный приём стоит полторы тысячи рублей.")
YARD = Passage("дорога.md", "Как доехать", 1, "Стоянка во дворе, для пациентов бесплатно. По субботам закрыта.")
CHILDREN = Passage("faq.txt", "", 9, "We accept children from the age of three, with their parents.")
BROTHERS = Passage("faq.txt", "", 20, "Near and or not: brothers pay half.")
ALL = [VISIT, YARD, CHILDREN, BROTHERS]


@pytest.fixture
def index() -> KnowledgeIndex:
    return KnowledgeIndex(ALL, "en")


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Сколько стоит повторный прием?", VISIT),
        ("А есть ли у вас стоянки?", YARD),
        ("По субботу тоже?", YARD),
        ("Do you take a child?", CHILDREN),  # the stemmer knows no such plural, but the words begin alike
        ("Are children accepted?", CHILDREN),
        ("parent", CHILDREN),
        ("brother", BROTHERS),
        ("Ну да, хорошо, спасибо", None),
        ("", None),
        ('" OR near( * -', BROTHERS),
    ],
)
def test_a_question_finds_its_passage(index: KnowledgeIndex, question: str, found: Passage | None) -> None:
    assert list(index.find(question, 1)) == ([] if found is None else [found])


def test_the_best_comes_first_and_headings_count_more() -> None:
    beside = Passage("a.md", "Other things", 1, "Parking is one word here of many that say nothing about it at all.")
    about = Passage("a.md", "Parking", 9, "In the yard, two euros an hour.")
    index = KnowledgeIndex([beside, about, *ALL], "en")

    assert list(index.find("Where is the parking?", 5)) == [about, beside]
    assert list(index.find("Where is the parking?", 1)) == [about]


def test_words_of_other_languages_lose_their_own_endings() -> None:
    house = Passage("haus.md", "", 1, "Die Häuser sind geöffnet.")

    assert list(KnowledgeIndex([house], "de").find("Haus", 1)) == [house]
    assert list(KnowledgeIndex([house], "xx").find("sind", 1)) == [house]


async def test_a_search_leaves_the_event_loop_and_many_may_search_at_once(index: KnowledgeIndex) -> None:
    async with asyncio.TaskGroup() as tasks:
        searches = [tasks.create_task(index.search("стоянка", limit=3), name=f"search-{n}") for n in range(50)]

    assert [list(search.result()) for search in searches] == [[YARD]] * 50
    assert {thread.name.rpartition("_")[0] for thread in threading.enumerate()} >= {"knowledge"}


def test_an_index_that_nobody_needs_closes_itself() -> None:
    """An open connection would be a warning, and so fail this test."""
    index = KnowledgeIndex(ALL, "en")
    del index
    gc.collect()
