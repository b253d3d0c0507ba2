"""What both remember of a call."""

from app.conversation.history import ConversationHistory, Remark


def remembered(history: ConversationHistory) -> list[str]:
    return [remark.text for remark in history]


def test_remarks_keep_the_order_of_their_turns() -> None:
    history = ConversationHistory()
    history.add(1, "assistant", "Hello!")
    history.add(2, "user", "I want to pay.")
    history.add(2, "assistant", "Gladly.")

    assert list(history) == [
        Remark(1, "assistant", "Hello!"),
        Remark(2, "user", "I want to pay."),
        Remark(2, "assistant", "Gladly."),
    ]
    assert len(history) == 3


def test_what_was_heard_of_a_cut_reply_comes_before_the_words_that_cut_it() -> None:
    history = ConversationHistory()
    history.add(2, "user", "I want to pay.")
    history.add(3, "user", "And a receipt.")
    history.add(2, "assistant", "Gladly")

    assert remembered(history) == ["I want to pay.", "Gladly", "And a receipt."]


def test_within_a_turn_the_caller_comes_first_and_the_agents_remarks_keep_their_order() -> None:
    history = ConversationHistory()
    history.add(2, "assistant", "Gladly.")
    history.add(2, "assistant", "Sorry, I got cut off.")
    history.add(2, "user", "I want to pay.")

    assert remembered(history) == ["I want to pay.", "Gladly.", "Sorry, I got cut off."]


def test_a_tool_stands_between_the_question_and_the_answer_from_its_beginning_on() -> None:
    history = ConversationHistory()
    history.add(2, "assistant", "Gladly.")
    history.add(2, "user", "I want to pay.")
    history.tool_called(2, "tool-1", "pay", "{}")
    history.add(3, "user", "Is it done?")

    assert [remark.role for remark in history] == ["user", "tool", "assistant", "user"]
    history.tool_finished("tool-1", "paid")
    history.tool_finished("tool-1", "paid twice")
    history.tool_finished("tool-2", "nobody called it")

    assert remembered(history) == ["I want to pay.", "paid", "Gladly.", "Is it done?"]


def test_what_nobody_heard_leaves_no_trace() -> None:
    history = ConversationHistory()
    history.add(1, "assistant", "")

    assert len(history) == 0
