"""What can be wrong with sound and with the lines that carry it.

MediaError
├── BadAudio             audio_invalid    bytes that are no audio of the format they claim
├── NotAnswered          not_answered     a call whose line could not be opened, or whose caller left before
└── RecordingUnreadable  recording_unreadable  segments that cannot be put together

``code`` is stable and for programs, ``str(error)`` is for people.
"""


class MediaError(Exception):
    """Base of the errors of ``media``."""

    code = "media_failed"


class BadAudio(MediaError):
    """The bytes are no audio of the format they claim: half a sample at the end."""

    code = "audio_invalid"


class NotAnswered(MediaError):
    """No sound will flow.

    ``reason`` is an end reason: ``caller_hangup``, ``media_lost``, or why a telephone that was called did not answer.
    The message says what happened, without anybody's number.
    """

    code = "not_answered"

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class RecordingUnreadable(MediaError):
    """A recording that does not exist, or whose segments do not fit together."""

    code = "recording_unreadable"
