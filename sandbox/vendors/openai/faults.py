"""Content faults of the stand-in for OpenAI, by name."""

from typing import Final

NAMED: Final[dict[str, str]] = {
    "refused_content": "The vendor refuses the request for its content: 400, `content_filter` or `invalid_prompt`.",
    "refused_in_stream": "The vendor refuses it with an error event inside a 200 stream.",
    "strict_history": "The vendor refuses a history in which a tool call's arguments are not a JSON object: 400.",
    "no_choices": "Events without `choices` (Responses: without `type`) come between the others.",
    "null_usage": "Every number of the usage is null.",
    "content_parts": "The text comes as a list of parts.",
    "comment_lines": "Comments, empty data, data that is not an object, CRLF and a byte order mark; no `[DONE]`.",
    "odd_finish_reason": "The finish reason is `eos` (Chat Completions).",
    "no_finish_reason": "The answer has no finish reason (Responses: no `response.completed`).",
    "two_calls_index_zero": "Every tool call has index 0 and no id (Chat Completions).",
    "calls_without_numbers": "Tool calls have neither an index nor an id (Chat Completions).",
    "no_arguments": "Tool calls come without their arguments.",
    "blank_arguments": "The arguments of tool calls are a space.",
    "object_arguments": "The arguments of tool calls are an object instead of JSON text.",
    "broken_arguments": "The arguments of tool calls break off in the middle.",
    "call_in_text": "Tool calls are written into the text, between `<tool_call>` tags.",
    "call_beside_text": "Each tool call comes with the same call written out as text (Chat Completions).",
    "thinking_tags": "The answer begins with reasoning between `<think>` tags.",
    "thinking_reasoning_tags": "The answer begins with reasoning between `<reasoning>` tags.",
    "thinking_without_end": "The answer is reasoning whose closing tag never comes.",
    "thinking_without_beginning": "The answer begins with reasoning that has only a closing tag, `</think>`.",
    "thinking_field": "The answer begins with reasoning in a separate field.",
    "cut_by_filter": "The answer ends after six words, with `content_filter`.",
    "cut_by_length": "The answer ends after six words, with `length`.",
    "empty_answer": "The answer has no words and no tool call.",
}
"""The kind of each fault, and one sentence that says what happens."""
