"""Reads the messages of Flux, ``/v2/listen``: https://developers.deepgram.com/reference/speech-to-text/listen-flux."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, cast

from app.clients.deepgram.messages import PROVIDER
from app.clients.deepgram.spoken import Message, Spoken, read_phrase, read_seconds, read_token
from app.clients.messages import Unreadable, as_whole, readable
from app.clients.phrase import Clock, Phrase
from app.clients.turn_assembly import Heard, TurnAssembly
from app.errors import ProviderUnavailable
from app.ports.streams import SpeechEvent, TurnEndedEagerly, TurnResumed

_TURNS_MAX = 1_000_000


class TurnInfoMessage(Message, Spoken, total=False):
    """The whole turn so far; it replaces the one before. Flux sends one every 0.25 s, in a turn or not."""

    event: str
    turn_index: int
    audio_window_end: float


class ErrorMessage(Message, total=False):
    """Flux closes the socket after it."""

    code: str


MESSAGES: Final[dict[str, type]] = {
    "TurnInfo": TurnInfoMessage,
    "Connected": Message,
    "ConfigureSuccess": Message,
    "ConfigureFailure": Message,
    "Warning": Message,
    "Error": ErrorMessage,
}
"""The messages that are read, by ``type``. Others are ignored."""


class FluxTurns(TurnAssembly):
    """Flux repeats the whole turn in each message, and reports its end."""

    def __init__(self, language: str | None) -> None:
        super().__init__(language)
        self._index: int | None = None
        """Deepgram's number of the turn on this socket."""
        self._ended: tuple[int, str] | None = None
        """The number of the last turn that ended on this socket, and its text."""
        self._heard_until = 0.0
        """Seconds of this socket."""

    def read(self, message: Mapping[str, object], at: Clock) -> Heard | None:
        """See :meth:`TurnAssembly.read`. Raises ProviderUnavailable for an error after which Flux closes."""
        match message.get("type"):
            case "TurnInfo":
                heard = self._turn(cast(TurnInfoMessage, message), at)
                until = read_seconds(message.get("audio_window_end"))
                return replace(heard, until=until) if heard is not None else None
            case "Error":
                code = read_token(cast(ErrorMessage, message).get("code"))
                raise ProviderUnavailable(PROVIDER, f"fatal error {code or 'without a code'}")
            case str() as kind if kind in MESSAGES:
                return Heard()
            case _:
                return None

    def resume_from(self, moment: float) -> None:
        """See :meth:`TurnAssembly.resume_from`."""
        super().resume_from(moment)
        self._index, self._ended, self._heard_until = None, None, 0.0

    def _turn(self, message: TurnInfoMessage, at: Clock) -> Heard | None:
        event, end = message.get("event"), read_seconds(message.get("audio_window_end"))
        if not isinstance(event, str):
            event = "Update"  # its words are still good
        try:
            phrase = read_phrase(message, at, moment=self._heard_until if end is None else end)
        except Unreadable:
            if event == "Update":
                raise
            phrase = None
        if phrase is None:
            phrase = Phrase("") if event == "Update" or self._latest is None else self._latest
        self._heard_until = self._heard_until if end is None else end
        before, whole = self._ended_before(message), phrase
        if phrase.text and self._ended is not None and self._ended[0] == self._index:
            phrase = phrase.after(self._ended[1])
            if not phrase.text:
                return Heard(before, acknowledged=end)  # a repetition of the ended turn
        heard = self._event(event, phrase, end)
        if event == "EndOfTurn" and self._index is not None:
            self._ended = self._index, whole.text
        if not before:
            return heard
        return Heard(before) if heard is None else Heard((*before, *heard.events), heard.acknowledged)

    def _event(self, event: str, phrase: Phrase, end: float | None) -> Heard | None:
        match event:
            case "Update" if not phrase.text:
                return Heard()  # a sign of life, which also comes between turns
            case "StartOfTurn" | "Update":
                return Heard((self._update(phrase),))
            case "EagerEndOfTurn":
                updated = self._update(phrase)
                self._eager = True
                revoked = (updated,) if isinstance(updated, TurnResumed) else ()
                return Heard((*revoked, TurnEndedEagerly(self._transcript())))
            case "TurnResumed":
                self._update(phrase)
                self._eager = False
                return Heard((TurnResumed(self._transcript()),))
            case "EndOfTurn":
                self._latest = phrase
                return Heard((self._end(),), acknowledged=end)
            case _:
                return None

    def _ended_before(self, message: TurnInfoMessage) -> tuple[SpeechEvent, ...]:
        """End the open turn if Flux reports the next one: the message with its end could not be read."""
        index = readable(lambda: as_whole(message.get("turn_index"), "turn_index", least=0, most=_TURNS_MAX))
        if index is None:
            return ()
        before, self._index = self._index, index
        return self.close() if before is not None and index == before + 1 and not self.orphaned else ()
