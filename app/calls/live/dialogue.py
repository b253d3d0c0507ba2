"""The dialogue with the language model: builds the prompt from the history, and requests the next answer."""

from collections.abc import AsyncGenerator, Sequence

from app.clock import utc_now
from app.conversation.history import ConversationHistory, Remark
from app.models import CallContext, ConversationContext, ConversationSummary, Message, TokenUsage
from app.ports.streams import ModelEvent, ToolSpec, text_after
from app.ports.vendors import LanguageModel

_MANNERS = (
    "You are speaking on the telephone. Answer briefly, in one to three spoken sentences, without lists, markdown or "
    "emoji. Text that starts with [keypad] are keys that the caller pressed. Never claim to have done what you have "
    "not done."
)
_RUNNING = '{"status": "running", "message": "It is not known yet what comes of it. Do not call it again for that."}'


class DialogueManager:
    """Gets the agent's answers from the model. During a call the conversation core fills the shared history."""

    def __init__(
        self,
        *,
        model: LanguageModel,
        context: CallContext,
        prompt: str,
        history: ConversationHistory | None = None,
    ) -> None:
        self._model = model
        self._context = context
        self._prompt = f"{prompt.strip()}\n\n{_MANNERS}"
        self._history = history if history is not None else ConversationHistory()
        self._turn = 0

    @property
    def provider(self) -> str:
        """The vendor of the model."""
        return self._model.provider

    @property
    def model(self) -> str:
        """The vendor's name of the model."""
        return self._model.model

    def messages(self, language: str, pending: str | None = None) -> list[Message]:
        """The prompt with the history. ``pending`` holds the caller's words in a turn that has only probably ended.

        The parts that never change come first, so that the vendor's prompt cache works.
        """
        messages = [Message("system", self._prompt)]
        messages += [message for remark in self._history.shown() for message in _shown(remark)]
        if pending is not None:
            messages.append(Message("user", pending))
        messages.append(Message("system", f"Answer in the language with the code {language}."))
        return messages

    def reply(self, messages: list[Message], tools: Sequence[ToolSpec] = ()) -> AsyncGenerator[ModelEvent, None]:
        """Stream the answer while the model writes it; it may call these tools. Raises ProviderError."""
        return self._model.stream_reply(messages, tools=tools, call_id=self._context.call_id)

    def estimate_usage(self, messages: list[Message], answer: str) -> TokenUsage:
        """Estimate the usage of an answer that was cancelled before the vendor reported it."""
        return self._model.calculate_token_usage([*messages, Message("assistant", answer)])

    async def process_user_input(self, text: str, context: ConversationContext) -> str:
        """Answer a text, and add both to the history. After a ProviderError only the question is in the history."""
        await self.add_to_history("user", text)
        language = context.call_context.metadata.get("language_hint") or "en"
        answer = ""
        async for event in self.reply(self.messages(language)):
            answer = text_after(answer, event)
        await self.add_to_history("assistant", answer)
        return answer

    async def add_to_history(self, role: str, content: str) -> None:
        """Add a remark of ``user`` or ``assistant`` to the history. A remark of the user starts a turn."""
        if role == "user" or self._turn == 0:
            self._turn += 1
        self._history.add(self._turn, role, content)

    async def get_conversation_summary(self) -> ConversationSummary:
        """Sum up the dialogue so far. ``end_reason`` is None while the call is live."""
        said = [remark.text for remark in self._history if remark.role == "user"]
        return ConversationSummary(
            call_id=self._context.call_id,
            turns=len(said),
            duration=(utc_now() - self._context.start_time).total_seconds(),
            topics_text="\n".join(said),
            end_reason=None,
        )


def _shown(remark: Remark) -> list[Message]:
    """The remark as messages for the model. A tool's result follows its call."""
    tool = remark.tool
    if tool is None:
        return [Message(remark.role, remark.text)]
    called = {"id": tool.id, "name": tool.name, "arguments": tool.arguments}
    result = _RUNNING if tool.is_running else remark.text
    return [
        Message("assistant", "", metadata={"tool_calls": [called]}),
        Message("tool", result, metadata={"tool_call_id": tool.id}),
    ]
