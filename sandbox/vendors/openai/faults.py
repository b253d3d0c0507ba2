"""What OpenAI's stand-in can get wrong in the content of its answers, by name."""

from typing import Final

NAMED: Final[dict[str, str]] = {
    "refused_content": "The request is refused for what it says: 400, `content_filter` or `invalid_prompt`.",
    "refused_in_stream": "The same refusal as an error event inside a 200 stream.",
    "strict_history": "A history with arguments of a tool call that are no JSON object is refused: 400.",
    "no_choices": "Events without `choices` (Responses: without `type`) come between the others.",
    "null_usage": "Every number of the bill is null.",
    "content_parts": "The text comes as a list of parts.",
    "comment_lines": "Comments, empty data, data that is no object, CRLF and a byte order mark; no `[DONE]`.",
    "odd_finish_reason": "The finish reason is `eos` (Chat Completions).",
    "no_finish_reason": "No finish reason is given (Responses: no `response.completed`).",
    "two_calls_index_zero": "Every tool call has index 0 and no id (Chat Completions).",
    "calls_without_numbers": "Tool calls have neither an index nor an id (Chat Completions).",
    "no_arguments": "Tool calls come without their arguments.",
    "blank_arguments": "The arguments of tool calls are a space.",
    "object_arguments": "The arguments of tool calls are an object instead of its text.",
    "broken_arguments": "The arguments of tool calls break off in the middle.",
    "call_in_text": "Tool calls are written into the text, between `<tool_call>` tags.",
    "call_beside_text": "Each tool call comes with the same call written out as text (Chat Completions).",
    "thinking_tags": "The answer begins with a thought between `<think>` tags.",
    "thinking_reasoning_tags": "The answer begins with a thought between `<reasoning>` tags.",
    "thinking_without_end": "The answer is a thought that does not end.",
    "thinking_without_beginning": "The answer begins with a thought of which only the end, `</think>`, is marked.",
    "thinking_field": "The answer begins with a thought in a field of its own.",
    "cut_by_filter": "The answer ends after six words, with `content_filter`.",
    "cut_by_length": "The answer ends after six words, with `length`.",
    "empty_answer": "The answer has no word and no tool call.",
}
"""Kind of the fault to one sentence that says what happens."""
