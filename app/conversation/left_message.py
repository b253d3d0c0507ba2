"""A message that the caller leaves when the call cannot be served."""

from dataclasses import dataclass, field

from app.conversation.echo_text import heard_words

_FEWEST_WORDS = 3
"""Fewer words, such as "what?", are probably not all: the agent asks once more."""
_FEWEST_SECONDS = 1.0
"""A shorter sound of the caller is no message."""


@dataclass(slots=True)
class Message:
    """The message as far as it has come. Times are in seconds since the call was created."""

    asked_t: float
    """When the agent asked for it."""
    turns: list[str] = field(default_factory=list)
    """What speech to text has heard of it, and keys."""
    has_keys: bool = False
    unheard_seconds: float = 0.0
    """The caller's sound while speech to text was gone."""
    counted_until_t: float = 0.0
    """Until when that sound is counted."""
    asked_again: bool = False
    asked_for_more: bool = False
    is_transcribed: bool = False
    """Whether its sound has been sent to be transcribed."""

    def add_sound(self, since_t: float, until_t: float) -> None:
        """Count sound of the caller whose words nothing has heard."""
        since_t = max(since_t, self.asked_t, self.counted_until_t)
        if until_t > since_t:
            self.unheard_seconds += until_t - since_t
            self.counted_until_t = until_t

    @property
    def is_unheard(self) -> bool:
        """Whether some of it must be transcribed from its sound."""
        return self.unheard_seconds >= _FEWEST_SECONDS

    @property
    def is_left(self) -> bool:
        """Whether there is anything to pass on."""
        return bool(self.turns) or self.is_unheard

    @property
    def seems_whole(self) -> bool:
        """Whether it is long enough for a message."""
        return self.has_keys or self.is_unheard or len(heard_words(" ".join(self.turns))) >= _FEWEST_WORDS
