"""Generates an answer with the model: text for the synthesis, and the tools that the model uses in between."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from app.calls.agent.tools import AgentTool, BadArguments
from app.calls.live.call_clock import CallClock
from app.calls.live.dialogue import DialogueManager
from app.calls.live.playback import PlaybackItem
from app.calls.live.tool_runs import ToolRuns
from app.conversation import events as ev
from app.conversation.policy import CallPolicy
from app.errors import ContentRejected, EmptyAnswer, ProviderError
from app.models import Message, TokenUsage
from app.ports.streams import (
    ModelAccepted,
    ModelBegun,
    ModelFailed,
    ModelFinished,
    ModelUsed,
    TextDelta,
    TextRetracted,
    ToolCall,
)
from app.speech_text.clauses import ClauseSplitter

_ROUNDS_MAX = 3
"""How often an answer may use tools. After that the model must answer with what it knows."""
_TOOLS_A_ROUND_MAX = 3
_SLOW_SECONDS = 1.5
"""A clause that takes the model longer is said in parts: a slow answer is better than none."""
_BETWEEN_ROUNDS = " "
_CUT = ("length", "content_filter")
"""Reasons for which a model stops before its answer is complete."""
_STAGE = "think"


async def _nothing() -> None:
    """Retracts nothing: no attempt has begun."""


@dataclass(slots=True)
class Answer:
    """An answer in progress. A new attempt keeps the results of tools."""

    item: PlaybackItem
    messages: list[Message]
    """The prompt. It grows by the tools that were used."""
    first: ToolCall | None = None
    """A tool that is run before the model is asked, because the caller has pressed its key."""
    rounds: int = 0
    """How often tools were used."""
    text: str = ""
    """The text of this attempt, including the phrases said while tools ran."""
    clauses: list[str] = field(default_factory=list)
    """The same text in the clauses that the synthesis got."""
    acts: bool = False
    """Whether the model has called a built-in tool in this attempt."""
    say: Callable[[str], None] = lambda _clause: None
    """Gives the next clause to the synthesis of this attempt."""
    retract: Callable[[], Awaitable[None]] = _nothing
    """Takes back everything that the synthesis got. Raises ProviderError if the caller has heard some of it."""

    def say_phrase(self, phrase: str) -> None:
        """Say a prepared phrase, which the model has not written."""
        phrase += _BETWEEN_ROUNDS
        self.text += phrase
        self.say_clause(phrase)

    def say_clause(self, clause: str) -> None:
        """Say the next clause of the text."""
        self.clauses.append(clause)
        self.say(clause)

    async def take_back(self, text: str, clauses: int) -> None:
        """Take back ``text``, the end of the answer, and keep so many clauses.

        Raises ProviderError if the caller has heard some of it.
        """
        self.text = self.text.removesuffix(text)
        del self.clauses[clauses:]
        await self.retract()
        for clause in self.clauses:
            self.say(clause)


@dataclass(slots=True)
class _Round:
    """What the model writes in response to one request."""

    provider: str
    """The vendor that was asked; at the end, the one that answered."""
    model: str
    way: str = ""
    """The registry's entry that answers, if the model has fallbacks."""
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    """Calls of tools whose results the answer needs."""
    reason: str = "stop"
    """Why the model stopped."""
    usage: TokenUsage | None = None
    request_id: str | None = None


class LlmGeneration:
    """Asks the model until the answer is complete, and emits what it has written and used."""

    def __init__(
        self,
        dialogue: DialogueManager,
        tools: ToolRuns,
        policy: CallPolicy,
        *,
        clock: CallClock,
        emit: Callable[[ev.Event], None],
    ) -> None:
        self._dialogue = dialogue
        self._tools = tools
        self._policy = policy
        self._clock = clock
        self._emit = emit
        self._waiting: dict[int, Answer] = {}
        """Answers that wait for a tool, by the number of their utterance."""

    @property
    def provider(self) -> str:
        """The vendor that is asked."""
        return self._dialogue.provider

    def say_meanwhile(self, number: int, phrase: str) -> None:
        """Say a prepared phrase within the answer of that utterance, if it still waits for a tool."""
        answer = self._waiting.get(number)
        if answer is not None:
            answer.say_phrase(phrase)

    async def write(self, answer: Answer) -> None:
        """Generate the answer from its beginning, and give each clause to the synthesis. Raises ProviderError."""
        answer.text, answer.clauses, answer.acts = "", [], False
        item = answer.item
        try:
            if answer.first is not None and answer.rounds == 0:
                pressed = _Round(self._dialogue.provider, self._dialogue.model, calls=[self._tools.named(answer.first)])
                answer.rounds += 1
                await self._use_tools(answer, pressed)
            while (written := await self._write_round(answer)).calls:
                answer.rounds += 1
                await self._use_tools(answer, written)
            self._check_end(answer, written)
        finally:
            # However it ends: only the journal knows the text that the caller will not hear.
            self._emit(ev.AgentReplyGenerated(item.turn, item.number, answer.text))

    def _check_end(self, answer: Answer, written: _Round) -> None:
        """Keep a text that the model did not complete. Raises ProviderError if it wrote nothing."""
        if not written.text.strip():
            if written.reason == "content_filter":
                raise ContentRejected(written.provider, "all of the answer was filtered", request_id=written.request_id)
            if not answer.acts:
                raise EmptyAnswer(written.provider, "an answer without a word", request_id=written.request_id)
        elif written.reason in _CUT:
            item = answer.item
            failed = ev.ProviderFailed(
                written.provider,
                _STAGE,
                written.reason,
                True,
                item.turn,
                item.number,
                answer="cut",
                reason=f"the answer ended before its time: {written.reason}",
                request_id=written.request_id,
            )
            self._emit(failed)

    async def _write_round(self, answer: Answer) -> _Round:
        splitter, billed = ClauseSplitter(), True
        said_at: float | None = None
        written = _Round(self._dialogue.provider, self._dialogue.model)
        clauses = len(answer.clauses)
        may_use_tools = answer.rounds < _ROUNDS_MAX
        offered = self._tools.toolbox.specs if may_use_tools else self._tools.toolbox.built_in
        try:
            async with aclosing(self._dialogue.reply(answer.messages, offered)) as events:
                async for event in events:
                    match event:
                        case TextDelta(text):
                            self._stamp(answer, "first_token")
                            written.text += text
                            answer.text += text
                            said_at = self._say_in_time(answer, splitter, text, said_at)
                        case TextRetracted():
                            await answer.take_back(written.text, clauses)
                            splitter, written.text = ClauseSplitter(), ""
                        case ToolCall():
                            self._note_call(answer, event, written)
                        case ModelFinished():
                            written.reason = event.reason
                            written.usage = event.usage
                            written.request_id = event.request_id or written.request_id
                            written.provider, written.model = event.provider, event.model
                        case ModelAccepted() | ModelBegun() | ModelFailed() | ModelUsed():
                            self._note_request(answer, event, written)
        except ProviderError:
            billed = bool(written.text)
            raise
        finally:
            if billed:
                self._emit_usage(answer, written)
        written.calls = written.calls[:_TOOLS_A_ROUND_MAX] if may_use_tools else []
        if written.calls and written.text:
            answer.text += _BETWEEN_ROUNDS
            splitter.feed(_BETWEEN_ROUNDS)
        self._say_all(answer, splitter.finish())
        return written

    def _note_call(self, answer: Answer, call: ToolCall, written: _Round) -> None:
        """Emit a call of a built-in tool, for the core to carry out after the last word. Keep others for the answer."""
        call, item = self._tools.named(call), answer.item
        if self._tools.toolbox.is_built_in(call.name):
            answer.acts = True
            self._emit(ev.AgentToolCalled(item.turn, item.number, call.id, call.name, call.arguments))
        else:
            written.calls.append(call)

    async def _use_tools(self, answer: Answer, written: _Round) -> None:
        """Run the tools one after another, and add their results to the prompt."""
        text, quiet = written.text, not written.text
        for call in written.calls:
            try:
                tool = self._tools.check(call, answer.item.turn)
            except BadArguments as error:
                result = self._tools.refuse(answer.item, call, error.explanation)
            else:
                result = await self._use_tool(answer, call, tool, self._waiting_phrase(answer, tool) if quiet else None)
                quiet = False
            asked = {"id": call.id, "name": call.name, "arguments": call.arguments}
            answer.messages.append(Message("assistant", text, metadata={"tool_calls": [asked]}))
            answer.messages.append(Message("tool", result, metadata={"tool_call_id": call.id}))
            text = ""

    async def _use_tool(self, answer: Answer, call: ToolCall, tool: AgentTool, phrase: str | None) -> str:
        """Run a tool. When it takes long, the core has the phrase said."""
        wanted = self._tools.request(answer.item, call, tool, phrase)
        self._waiting[answer.item.number] = answer
        try:
            return await wanted.result
        finally:
            del self._waiting[answer.item.number]
            self._tools.release(wanted)

    def _waiting_phrase(self, answer: Answer, tool: AgentTool) -> str | None:
        """What the agent says while the tool runs: the tool's own phrase, or a filler."""
        fillers = self._policy.lines[answer.item.language].fillers
        return tool.waiting_phrase.get(answer.item.language) or next(iter(fillers), None)

    def _say_in_time(self, answer: Answer, splitter: ClauseSplitter, text: str, said_at: float | None) -> float:
        """Say the clauses that the text completes, or a part of one that has been written for long.

        ``said_at`` is when the last clause was complete, None before the first word. Returns its new value.
        """
        now = self._clock.call_seconds()
        clauses = splitter.feed(text)
        if not clauses and said_at is not None and now - said_at >= _SLOW_SECONDS:
            clauses = splitter.hurry()
        self._say_all(answer, clauses)
        return now if clauses or said_at is None else said_at

    def _say_all(self, answer: Answer, clauses: list[str]) -> None:
        for clause in clauses:
            self._stamp(answer, "first_clause")
            answer.say_clause(clause)

    def _stamp(self, answer: Answer, name: str) -> None:
        answer.item.stamps.setdefault(name, self._clock.call_seconds())

    def _note_request(
        self, answer: Answer, event: ModelAccepted | ModelBegun | ModelFailed | ModelUsed, written: _Round
    ) -> None:
        """Note which model answers which request, and what became of the other requests."""
        match event:
            case ModelAccepted(request_id):
                written.request_id = request_id
            case ModelBegun():
                written.provider, written.model, written.way = event.provider, event.model, event.way
            case ModelFailed(error, is_late):
                self._emit_failure(answer, error, "late" if is_late else "taken_over")
            case ModelUsed():
                self._emit_other_usage(answer, event)

    def _emit_failure(self, answer: Answer, error: ProviderError, outcome: str) -> None:
        """Emit a failure or a delay after which another model is asked."""
        item = answer.item
        failed = ev.ProviderFailed(
            error.provider,
            _STAGE,
            error.code,
            False,
            item.turn,
            item.number,
            answer=outcome,
            reason=str(error),
            request_id=error.request_id,
        )
        self._emit(failed)

    def _emit_other_usage(self, answer: Answer, used: ModelUsed) -> None:
        self._emit(
            ev.ProviderUsed(
                used.provider,
                used.model,
                answer.item.turn,
                stage=_STAGE,
                prompt_tokens=used.usage.prompt,
                cached_tokens=used.usage.cached,
                completion_tokens=used.usage.completion,
                cost=used.usage.cost,
                way=used.way,
                served=used.served,
            )
        )

    def _emit_usage(self, answer: Answer, written: _Round) -> None:
        has_answered = written.usage is not None or bool(written.text or written.calls or answer.acts)
        usage = written.usage or self._dialogue.estimate_usage(answer.messages, written.text)
        self._emit(
            ev.ProviderUsed(
                written.provider,
                written.model,
                answer.item.turn,
                stage=_STAGE,
                prompt_tokens=usage.prompt,
                cached_tokens=usage.cached,
                completion_tokens=usage.completion,
                cost=usage.cost,
                request_id=written.request_id,
                request_ids=(written.request_id,) if written.request_id else (),
                way=written.way,
                served=has_answered,
            )
        )
