"""What can be wrong with sound.

MediaError
├── BadAudio             audio_invalid    bytes that are no audio of the format they claim
└── RecordingUnreadable  recording_unreadable  segments that cannot be put together

``code`` is stable and for programs, ``str(error)`` is for people.
"""


class MediaError(Exception):
    """Base of the errors of ``media``."""

    code = "media_failed"


class BadAudio(MediaError):
    """The bytes are no audio of the format they claim: half a sample at the end."""

    code = "audio_invalid"


class RecordingUnreadable(MediaError):
    """A recording that does not exist, or whose segments do not fit together."""

    code = "recording_unreadable"
