"""The errors of ``media``: sound that is not what it claims to be, and lines that do not open.

MediaError
├── BadAudio             audio_invalid         bytes that are not audio of the format they claim
├── NotAnswered          not_answered          the line could not be opened, or the caller left before it was
└── RecordingUnreadable  recording_unreadable  segments that cannot be put together

``code`` is stable and for programs, ``str(error)`` is for people.
"""


class MediaError(Exception):
    """Base of the errors of ``media``."""

    code = "media_failed"


class BadAudio(MediaError):
    """The bytes are not audio of the format they claim: they end in half a sample."""

    code = "audio_invalid"


class NotAnswered(MediaError):
    """The call was not answered: no sound will flow.

    ``reason`` is an end reason: ``caller_hangup``, ``media_lost``, or why the telephone we called did not answer.
    The message says what happened and contains no telephone number.
    """

    code = "not_answered"

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class RecordingUnreadable(MediaError):
    """The recording does not exist, or its segments do not fit together."""

    code = "recording_unreadable"
