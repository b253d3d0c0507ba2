"""Anything that may be told of a call, drawn by chance."""

from dataclasses import replace

from hypothesis import strategies as st

from app.conversation import events as ev
from app.conversation.deadlines import Deadline
from app.conversation.opening_events import ConsentAnswered
from app.conversation.policy import RUSSIAN, CallPolicy, KeyMeaning
from tests.conversation.script import LINES

texts = st.sampled_from(
    [
        "", " ", "yes", "uh-huh", "stop", "one second", "no", "I want to move my appointment", "to Tuesday, please",
        "I'm a voice assistant", "let me check", "да", "Запишите меня на вторник", LINES.greeting, "Of course. ",
        "Which day?",
    ]
)  # fmt: skip
moments = st.floats(0, 60)
short_times = st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.6, 4.0, 9.0, 31.0])
languages = st.sampled_from([None, "en", "ru", "fr"])
policies = st.builds(
    CallPolicy,
    max_duration_seconds=st.sampled_from([30.0, 1800.0]),
    idle_prompts=st.sampled_from([0, 1, 2, 5]),
    max_failures=st.sampled_from([1, 2, 3]),
    fallback_human=st.sampled_from([None, "fallback"]),
    takes_messages=st.booleans(),
    asks_consent=st.booleans(),
    keypad=st.sampled_from(
        [(), (KeyMeaning("1"), KeyMeaning("2", tool="find_times"), KeyMeaning("0", transfers_to="sales"))]
    ),
    lines=st.sampled_from([{"ru": RUSSIAN, "en": LINES}, {"en": replace(LINES, disclosure="I am a machine.")}]),
)
caller_events = st.one_of(
    st.builds(ev.CallerSoundStarted, moments),
    st.builds(ev.CallerSoundStopped, moments),
    st.builds(ev.CallerWords, texts),
    st.builds(ev.CallerTurnEndedEagerly, texts, languages),
    st.builds(ev.CallerTurnResumed, texts),
    st.builds(
        ev.CallerTurnEnded, texts, st.none() | st.sampled_from([0.1, 0.9]), languages, st.none() | moments
    ),
    st.builds(ev.CallerDtmf, st.sampled_from("0129*#A")),
    st.builds(ev.CallerTyped, st.sampled_from(["When are you open?", "yes", "Goodbye!"])),
    st.builds(ev.CallerHeld, moments),
    st.builds(ev.CallerReturned, moments),
    st.builds(ev.LegLost, moments),
    st.builds(ev.LegRejoined, moments),
)  # fmt: skip
outside_events = st.one_of(
    st.builds(ev.ProviderFailed, st.just("deepgram"), st.just("listen"), st.just("lost"), st.booleans()),
    st.builds(ev.ProviderRestored, st.just("deepgram"), st.sampled_from(["listen", "think"])),
    st.builds(ev.ProviderUsed, st.just("openai"), st.just("m")),
    st.builds(ev.SayRequested, texts),
    st.builds(ev.TransferRequested, st.sampled_from(["", "sales"])),
    st.just(ev.TransferDialled()),
    st.builds(ev.TransferFailed, st.sampled_from(["refused", "no_answer", "unavailable"])),
)
odd_events = st.one_of(
    st.just(ev.CallAnswered()),
    st.just(ev.MessageRequested()),
    st.builds(ev.MessageTranscribed, texts),
    st.builds(ev.DeadlinePassed, st.sampled_from([*Deadline, "none", "unheard of"])),
    st.builds(ev.CallCreated, st.just({}), st.just("en")),
    st.builds(ev.StateChanged, st.just("listening"), st.just("ended")),
    st.builds(ev.CallerIgnored, st.just("echo")),
    st.builds(ev.TransferStarted, st.just("sales")),
    st.builds(ConsentAnswered, st.booleans(), st.just("speech")),
    st.builds(ev.TurnTaken, st.just(3), texts, st.just("speech"), moments, moments),
)
last_events = st.one_of(
    st.builds(ev.CallerLeft, st.sampled_from(["caller_hangup", "media_lost", "busy", "carrier_error"])),
    st.builds(ev.TransferCompleted, st.sampled_from(["refer", "dialled"])),
    st.builds(ev.HangupRequested, st.sampled_from(["operator_hangup", "shutdown"]), st.booleans()),
    st.builds(ev.ProviderFailed, st.just("deepgram"), st.just("listen"), st.just("lost"), st.just(True)),
)


tools = st.sampled_from(["end_call", "transfer", "send_dtmf", "dance"])
arguments = st.sampled_from(["{}", "", "[1]", '{"target": "sales"}', '{"target": 5}', '{"digits": "1w2#"}'])


@st.composite
def agent_events(draw: st.DrawFn, speeches: st.SearchStrategy[int]) -> ev.Event:
    """Any fact of an utterance with one of those numbers."""
    turn, speech, text = draw(st.integers(0, 9)), draw(speeches), draw(texts)
    kind = draw(st.sampled_from(["reply", "greeting", "filler"]))
    stage = draw(st.sampled_from(["think", "speak"]))
    events: list[ev.Event] = [
        ev.AgentReplyStarted(turn, speech, kind),
        ev.AgentReplyGenerated(turn, speech, text),
        ev.AgentClauseStarted(turn, speech, text, 0),
        ev.AgentPaused(turn, speech, text),
        ev.AgentResumed(turn, speech),
        ev.AgentInterrupted(turn, speech, text, text),
        ev.AgentFinished(turn, speech, text, text),
        ev.AgentToolCalled(turn, speech, "1", draw(tools), draw(arguments)),
        ev.AgentToolCalled(turn, speech, "2", "dance", "{}", 8.0, draw(st.sampled_from([None, "One moment."]))),
        ev.AgentToolFinished(turn, speech, "3", "dance", False, None, 8.0, text),
        ev.ProviderFailed("openai", stage, "broken", draw(st.booleans()), turn, speech),
    ]
    return draw(st.sampled_from(events))
