"""Answers in the shapes that servers of OpenAI's interfaces send, by their documents and issue lists."""

import json
from dataclasses import dataclass, field
from typing import Any

from app.errors import ContentRejected, ProviderError, ProviderRejected, ProviderUnavailable
from app.ports.streams import ToolCall
from tests.clients.openai.server import Api, Refuse

TEXT = "Of course."
BOOK = ToolCall("call_1", "book", '{"day":"fri"}')


@dataclass(frozen=True)
class Dialect:
    """A recorded shape, and what it means."""

    stream: str | Refuse
    api: Api = "chat"
    text: str = TEXT
    calls: list[ToolCall] = field(default_factory=list)
    reason: str = "stop"
    prompt_tokens: int | None = None
    """None: none was reported, so it is estimated."""
    error: type[ProviderError] | None = None


def chunk(delta: Any = None, reason: str | None = None, **more: Any) -> str:
    """A chunk of Chat Completions; ``more`` stands beside the choices."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason}
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]} | more)}\n\n"


def data(payload: Any) -> str:
    return f"data: {json.dumps(payload)}\n\n"


def called(arguments: Any, index: int | None = 0, **more: Any) -> Any:
    place: dict[str, Any] = {} if index is None else {"index": index}
    return {"tool_calls": [place | {"type": "function", "function": {"name": "book", "arguments": arguments}} | more]}


DONE = "data: [DONE]\n\n"
BILL = {"prompt_tokens": 43, "completion_tokens": 3, "total_tokens": 46}
AZURE_REFUSAL = {
    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    "type": None,
    "param": "prompt",
    "code": "content_filter",
    "status": 400,
    "innererror": {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {"violence": {"filtered": True, "severity": "medium"}},
    },
}

DIALECTS: dict[str, Dialect] = {
    "vLLM: the bill in every chunk": Dialect(
        chunk({"role": "assistant", "content": ""}, usage={**BILL, "completion_tokens": 0})
        + chunk({"content": "Of "}, usage={**BILL, "completion_tokens": 1}, logprobs=None)
        + chunk({"content": "course."}, "stop", usage=BILL, stop_reason=None, token_ids=None)
        + data({"object": "chat.completion.chunk", "choices": [], "usage": BILL})
        + DONE,
        prompt_tokens=43,
    ),
    "vLLM: a reasoning parser": Dialect(
        chunk({"reasoning": "Shall I?", "reasoning_content": "Shall I?"}) + chunk({"content": TEXT}, "stop") + DONE
    ),
    "vLLM: no reasoning parser, and a template that begins the thought": Dialect(
        chunk({"content": "Shall I?"}) + chunk({"content": "\n</think>\n\n"}) + chunk({"content": TEXT}, "stop") + DONE
    ),
    "vLLM: no tool parser": Dialect(
        chunk({"content": "Of course."})
        + "".join(
            chunk({"content": part}) for part in ("<tool", "_call>", '{"name": "book",', ' "arguments": {}}', "</")
        )
        + chunk({"content": "tool_call>"}, "stop")
        + DONE
    ),
    "vLLM: the finish reason with the last arguments": Dialect(
        chunk(called('{"day":', id="call_1"))
        + chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"fri"}'}}]}, "tool_calls")
        + DONE,
        text="",
        calls=[BOOK],
        reason="tool_calls",
    ),
    "vLLM: no finish reason at all": Dialect(
        chunk({"content": TEXT}) + chunk(called('{"day":"fri"}', id="call_1")) + DONE, calls=[BOOK], reason="tool_calls"
    ),
    "vLLM: the request was aborted": Dialect(chunk({"content": "Of "}, "abort") + DONE, error=ProviderUnavailable),
    "vLLM: an error in the stream": Dialect(
        chunk({"content": "Of "})
        + data({"error": {"message": "too long", "type": "BadRequestError", "param": None, "code": 400}})
        + DONE,
        error=ProviderRejected,
    ),
    "vLLM: an error as it was before": Dialect(
        data({"object": "error", "message": "x", "type": "InternalServerError", "code": 500}) + DONE,
        error=ProviderUnavailable,
    ),
    "llama.cpp: timings, and the choice last": Dialect(
        data({"choices": [{"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}}]})
        + data({"choices": [{"finish_reason": None, "index": 0, "delta": {"content": TEXT}}], "timings": {"n": 1}})
        + data({"choices": [{"finish_reason": "stop", "index": 0, "delta": {}}], "usage": BILL, "timings": {"n": 1}})
        + DONE,
        prompt_tokens=43,
    ),
    "llama.cpp: its tool calls": Dialect(
        chunk(called("{", id="call_1"))
        + chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"day":"fri"}'}}]})
        + chunk({}, "tool_calls")
        + DONE,
        text="",
        calls=[BOOK],
        reason="tool_calls",
    ),
    "llama.cpp: an error with status 200": Dialect(
        json.dumps({"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_ctx": 8192}}),
        error=ProviderRejected,
    ),
    "Ollama: empty finish reasons": Dialect(
        chunk({"role": "assistant", "content": "Of "}, "")
        + chunk({"content": "course."}, "")
        + chunk({}, "stop")
        + DONE
    ),
    "Ollama: a whole tool call that is a stop": Dialect(
        chunk({"role": "assistant", "content": "", **called('{"day":"fri"}', id="call_1")}) + chunk({}, "stop") + DONE,
        text="",
        calls=[BOOK],
        reason="tool_calls",
    ),
    "Ollama: an error that is a text": Dialect(data({"error": "model runner has stopped"}), error=ProviderUnavailable),
    "OpenRouter: comments while it waits": Dialect(
        ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n"
        + chunk({"role": "assistant", "content": TEXT}, provider="x", native_finish_reason=None)
        + chunk({"content": ""}, "stop", native_finish_reason="STOP")
        + data(
            {"choices": [{"delta": {"role": "assistant", "content": ""}, "index": 0}], "usage": {**BILL, "cost": 1e-5}}
        )
        + DONE,
        prompt_tokens=43,
    ),
    "OpenRouter: an error in the middle": Dialect(
        chunk({"content": "Of "})
        + chunk({"content": ""}, "error", error={"code": "server_error", "message": "Provider disconnected"}),
        error=ProviderUnavailable,
    ),
    "OpenRouter: an error with a status as its code": Dialect(
        data({"error": {"code": 502, "message": "bad gateway"}, "choices": []}), error=ProviderUnavailable
    ),
    "OpenRouter: moderation": Dialect(
        Refuse(
            403,
            {
                "code": 403,
                "message": "flagged",
                "metadata": {"reasons": ["violence"], "flagged_input": "...", "provider_name": "x"},
            },
        ),
        error=ContentRejected,
    ),
    "Azure: what it found in the prompt comes first": Dialect(
        data(
            {
                "choices": [],
                "created": 0,
                "id": "",
                "model": "",
                "object": "",
                "prompt_filter_results": [{"prompt_index": 0}],
            }
        )
        + chunk({"role": "assistant", "content": "", "refusal": None}, content_filter_results={})
        + data(
            {
                "choices": [
                    {"index": 0, "delta": {"content": TEXT}, "content_filter_results": {"hate": {"filtered": False}}}
                ]
            }
        )
        + chunk({}, "stop")
        + DONE
    ),
    "Azure: its filter beside the stream": Dialect(
        chunk({"content": TEXT})
        + data(
            {
                "choices": [{"content_filter_offsets": {"check_offset": 44}, "finish_reason": None, "index": 0}],
                "usage": None,
            }
        )
        + chunk({}, "stop")
        + data(
            {
                "choices": [
                    {"content_filter_results": {"error": {"code": "content_filter_error", "message": "x"}}, "index": 0}
                ]
            }
        )
        + DONE
    ),
    "Azure: an answer that is filtered": Dialect(
        chunk({"content": TEXT}) + chunk({}, "content_filter") + DONE, reason="content_filter"
    ),
    "Azure: a refused prompt": Dialect(Refuse(400, AZURE_REFUSAL), error=ContentRejected),
    "Azure: a refused prompt in the stream": Dialect(data({"error": AZURE_REFUSAL}), error=ContentRejected),
    "OpenAI: a refused prompt": Dialect(
        Refuse(400, {"message": "x", "type": "invalid_request_error", "param": None, "code": "invalid_prompt"}),
        error=ContentRejected,
    ),
    "OpenAI Responses: a refused prompt": Dialect(
        data({"type": "response.created", "response": {"status": "in_progress"}})
        + data({"type": "response.failed", "response": {"error": {"code": "invalid_prompt", "message": "x"}}}),
        api="responses",
        error=ContentRejected,
    ),
    "OpenAI Responses: an answer that is filtered": Dialect(
        data({"type": "response.output_text.delta", "delta": TEXT})
        + data({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "content_filter"}}}),
        api="responses",
        reason="content_filter",
    ),
    "Mistral: content in parts, thoughts among them": Dialect(
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Shall I?"}]}]})
        + chunk({"content": [{"type": "text", "text": TEXT}]}, "stop")
        + DONE
    ),
    "a proxy that says nothing of the end": Dialect("\ufeff" + chunk({"content": TEXT}, "stop").replace("\n", "\r\n")),
    "a server that does not stream": Dialect(
        json.dumps({"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}], "usage": BILL}),
        prompt_tokens=43,
    ),
    "a server of Responses that does not stream": Dialect(
        json.dumps(
            {
                "object": "response",
                "status": "completed",
                "error": None,
                "output": [{"type": "message", "content": [{"type": "output_text", "text": TEXT}]}],
                "usage": {"input_tokens": 43, "output_tokens": 3},
            }
        ),
        api="responses",
        prompt_tokens=43,
    ),
    "an old server with functions": Dialect(
        chunk({"function_call": {"name": "book", "arguments": ""}})
        + chunk({"function_call": {"arguments": '{"day":"fri"}'}})
        + chunk({}, "function_call")
        + DONE,
        text="",
        calls=[ToolCall("", "book", '{"day":"fri"}')],
        reason="tool_calls",
    ),
}
