from hypothesis import given
from hypothesis import strategies as st

from app.clients.openai.context_window import estimate_tokens, trim
from app.models import Message

ROLES = st.sampled_from(["system", "user", "assistant", "call", "tool"])
CALLS = {"tool_calls": [{"id": "call_1", "name": "book", "arguments": "{}"}]}


def by_length(message: Message) -> int:
    return len(message.content)


def message(role: str, length: int) -> Message:
    if role == "call":
        return Message("assistant", "x" * length, metadata=CALLS)
    return Message(role, "x" * length, metadata={"tool_call_id": "call_1"} if role == "tool" else None)


@st.composite
def dialogues(draw: st.DrawFn) -> list[Message]:
    """Dialogues in which a tool's answer follows a call, as the model demands it."""
    shape = draw(st.lists(st.tuples(ROLES, st.integers(0, 30)), max_size=25))
    built: list[Message] = []
    for role, length in shape:
        if role == "tool" and (not built or (built[-1].role != "tool" and not built[-1].metadata)):
            built.append(message("call", length))
        built.append(message(role, length))
    return built


def turn_in_progress(messages: list[Message]) -> list[Message]:
    """What must stay: from the newest user message on, without one the last message with its exchange."""
    talk = [each for each in messages if each.role != "system"]
    starts = [index for index, each in enumerate(talk) if each.role == "user"]
    starts = starts or [index for index, each in enumerate(talk) if each.role != "tool"]
    return talk[starts[-1] :] if starts else []


@given(dialogues(), st.integers(0, 200))
def test_what_is_kept_fits_the_budget_or_is_only_what_must_stay(messages: list[Message], budget: int) -> None:
    kept = trim(messages, budget, by_length)
    must_stay = turn_in_progress(messages)
    fits = sum(map(by_length, kept)) <= budget
    assert fits or [each for each in kept if each.role != "system"] == must_stay


@given(dialogues(), st.integers(0, 200))
def test_system_messages_and_the_turn_in_progress_always_stay(messages: list[Message], budget: int) -> None:
    kept = trim(messages, budget, by_length)
    assert [each for each in kept if each.role == "system"] == [each for each in messages if each.role == "system"]
    talk = [each for each in kept if each.role != "system"]
    must_stay = turn_in_progress(messages)
    assert talk[len(talk) - len(must_stay) :] == must_stay


@given(dialogues(), st.integers(0, 200))
def test_what_is_kept_of_the_talk_is_its_end_and_begins_with_no_orphaned_answer(
    messages: list[Message], budget: int
) -> None:
    kept = [each for each in trim(messages, budget, by_length) if each.role != "system"]
    talk = [each for each in messages if each.role != "system"]
    assert kept == talk[len(talk) - len(kept) :]
    assert not kept or kept[0].role != "tool"


@given(dialogues(), st.integers(0, 100), st.integers(0, 100))
def test_a_larger_budget_never_keeps_less(messages: list[Message], budget: int, more: int) -> None:
    assert len(trim(messages, budget, by_length)) <= len(trim(messages, budget + more, by_length))


@given(dialogues())
def test_a_budget_for_everything_changes_nothing(messages: list[Message]) -> None:
    assert trim(messages, sum(map(by_length, messages)), by_length) == messages


def test_a_long_prompt_does_not_push_out_the_question() -> None:
    prompt, old, question = message("system", 90), message("assistant", 5), message("user", 50)
    assert trim([prompt, old, question], 100, by_length) == [prompt, question]


def test_tool_calls_count_with_their_message() -> None:
    assert estimate_tokens(message("call", 0)) > estimate_tokens(message("assistant", 0)) > 0
