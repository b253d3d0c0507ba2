"""Writes an answer with the model: text for the voice, and between its pieces the tools that the model uses."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from app.calls.agent.tools import AgentTool, BadArguments
from app.calls.live.call_clock import CallClock
from app.calls.live.dialogue import DialogueManager
from app.calls.live.playback import PlaybackItem
from app.calls.live.tool_runs import RequestedTool, ToolRuns
from app.conversation import events as ev
from app.conversation.policy import CallPolicy
from app.errors import ContentRejected, EmptyAnswer, ProviderError
from app.models import Message, TokenUsage
from app.ports.streams import ModelFinished, TextDelta, TextRetracted, ToolCall
from app.speech_text.clauses import ClauseSplitter

_ROUNDS_MAX = 3
"""How often an answer may use tools; then the model must say what it knows."""
_TOOLS_A_ROUND_MAX = 3
_BETWEEN_ROUNDS = " "
_CUT = ("length", "content_filter")
"""Why a model stops before it has said what it wanted to say."""
_STAGE = "think"


async def _nothing() -> None:
    """What the voice of no attempt was given."""


@dataclass(slots=True)
class Answer:
    """An answer that is being written. What tools gave stands when the rest of it is tried again."""

    item: PlaybackItem
    messages: list[Message]
    """What the model is shown; grows by the tools that were used."""
    rounds: int = 0
    """How often tools were used."""
    text: str = ""
    """Of this attempt, with the lines that were said while tools ran."""
    clauses: list[str] = field(default_factory=list)
    """The same, as the voice was given it."""
    acts: bool = False
    """Whether the model has called a built-in tool in this attempt."""
    say: Callable[[str], None] = lambda _clause: None
    """Gives the next clause to the voice of this attempt."""
    retract: Callable[[], Awaitable[None]] = _nothing
    """Takes back from the voice all that it was given. Raises ProviderError when some of it was heard."""

    def say_line(self, line: str) -> None:
        """A line that the model has not written."""
        line += _BETWEEN_ROUNDS
        self.text += line
        self.say_clause(line)

    def say_clause(self, clause: str) -> None:
        """The next clause of the text."""
        self.clauses.append(clause)
        self.say(clause)

    async def take_back(self, text: str, clauses: int) -> None:
        """The end of the text is void, and all but so many clauses. Raises ProviderError when some of it was heard."""
        self.text = self.text.removesuffix(text)
        del self.clauses[clauses:]
        await self.retract()
        for clause in self.clauses:
            self.say(clause)


@dataclass(slots=True)
class _Round:
    """What the model writes in one go."""

    provider: str
    """Who is asked, and in the end who has answered."""
    model: str
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    """Of tools whose results it waits for."""
    reason: str = "stop"
    """Why the model stopped."""
    usage: TokenUsage | None = None
    request_id: str | None = None


class LlmGeneration:
    """Asks the model until it has nothing more to say, and tells what was used and written as facts."""

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

    @property
    def provider(self) -> str:
        """The vendor that is asked."""
        return self._dialogue.provider

    async def write(self, answer: Answer) -> None:
        """Write it from its beginning, and give each clause to its voice. Raises ProviderError."""
        answer.text, answer.clauses, answer.acts = "", [], False
        item = answer.item
        try:
            while (written := await self._write_round(answer)).calls:
                answer.rounds += 1
                await self._use_tools(answer, written)
            self._look_at_end(answer, written)
        finally:
            # However it ends: what was written and will not be heard is known to the journal alone.
            self._emit(ev.AgentReplyGenerated(item.turn, item.number, answer.text))

    def _look_at_end(self, answer: Answer, written: _Round) -> None:
        """What was written stands even if the model was cut. Raises ProviderError when it wrote nothing."""
        if not written.text.strip():
            if written.reason == "content_filter":
                raise ContentRejected(written.provider, "all of the answer was filtered", request_id=written.request_id)
            if not answer.acts:
                raise EmptyAnswer(written.provider, "an answer without a word", request_id=written.request_id)
        elif written.reason in _CUT:
            item = answer.item
            failed = ev.ProviderFailed(
                written.provider, _STAGE, written.reason, True, item.turn, item.number, answer="cut"
            )
            self._emit(failed)

    async def _write_round(self, answer: Answer) -> _Round:
        splitter, billed = ClauseSplitter(), True
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
                            self._say_all(answer, splitter.feed(text))
                        case TextRetracted():
                            await answer.take_back(written.text, clauses)
                            splitter, written.text = ClauseSplitter(), ""
                        case ToolCall():
                            self._note_call(answer, event, written)
                        case ModelFinished():
                            written.reason = event.reason
                            written.usage, written.request_id = event.usage, event.request_id
                            written.provider, written.model = event.provider, event.model
        except ProviderError:
            billed = bool(written.text)
            raise
        finally:
            if billed:
                self._tell_usage(answer, written)
        written.calls = written.calls[:_TOOLS_A_ROUND_MAX] if may_use_tools else []
        if written.calls and written.text:
            answer.text += _BETWEEN_ROUNDS
            splitter.feed(_BETWEEN_ROUNDS)
        self._say_all(answer, splitter.finish())
        return written

    def _note_call(self, answer: Answer, call: ToolCall, written: _Round) -> None:
        """The conversation carries out what is built in, after the last word; for other tools the answer waits."""
        call, item = self._tools.named(call), answer.item
        if self._tools.toolbox.is_built_in(call.name):
            answer.acts = True
            self._emit(ev.AgentToolCalled(item.turn, item.number, call.id, call.name, call.arguments))
        else:
            written.calls.append(call)

    async def _use_tools(self, answer: Answer, written: _Round) -> None:
        """One after another, and show the model what each gave."""
        text, quiet = written.text, not written.text
        for call in written.calls:
            try:
                tool = self._tools.check(call)
            except BadArguments as error:
                result = self._tools.refuse(answer.item, call, error.explanation)
            else:
                result = await self._use_tool(answer, call, tool, self._line(answer, tool) if quiet else None)
                quiet = False
            asked = {"id": call.id, "name": call.name, "arguments": call.arguments}
            answer.messages.append(Message("assistant", text, metadata={"tool_calls": [asked]}))
            answer.messages.append(Message("tool", result, metadata={"tool_call_id": call.id}))
            text = ""

    async def _use_tool(self, answer: Answer, call: ToolCall, tool: AgentTool, line: str | None) -> str:
        """Of an answer that has said nothing yet, the core says the line, and all that is needed until it begins."""
        if line is not None and answer.text:
            answer.say_line(line)
            line = None
        wanted = self._tools.request(answer.item, call, tool, line)
        try:
            return await self._bridged(answer, wanted)
        finally:
            self._tools.release(wanted)

    async def _bridged(self, answer: Answer, wanted: RequestedTool) -> str:
        """The result; an answer that has begun is not silent until then."""
        for line in self._fillers(answer):
            done, _ = await asyncio.wait([wanted.result], timeout=self._policy.filler_repeat_seconds)
            if done:
                break
            if answer.item.started:
                answer.say_line(line)
        return await wanted.result

    def _line(self, answer: Answer, tool: AgentTool) -> str | None:
        """What is said while it runs: its own line, or a prepared one."""
        return tool.waiting_phrase.get(answer.item.language) or next(iter(self._fillers(answer)), None)

    def _fillers(self, answer: Answer) -> tuple[str, ...]:
        return self._policy.lines[answer.item.language].fillers

    def _say_all(self, answer: Answer, clauses: list[str]) -> None:
        for clause in clauses:
            self._stamp(answer, "first_clause")
            answer.say_clause(clause)

    def _stamp(self, answer: Answer, name: str) -> None:
        answer.item.stamps.setdefault(name, self._clock.call_seconds())

    def _tell_usage(self, answer: Answer, written: _Round) -> None:
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
            )
        )
