"""Exceptions for the log: types and locations only, because messages and local variables may quote a caller."""

import traceback
from pathlib import Path

from app.errors import VoiceAgentError

_FRAMES_MAX = 12
_CAUSES_MAX = 5
_ROOT = Path(__file__).parents[2]


def describe(error: BaseException) -> str:
    """The message of one of our errors, which never quotes callers; for any other error its type and location."""
    if isinstance(error, VoiceAgentError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
    return f"{type(error).__name__} at {place}"


def trace(error: BaseException) -> list[str]:
    """The frames of the exception and its causes, each as ``file:line function``; no messages, no values."""
    lines: list[str] = []
    cause: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if cause is None:
            break
        lines.append(type(cause).__name__ if not lines else f"caused by {type(cause).__name__}")
        frames = traceback.extract_tb(cause.__traceback__)[-_FRAMES_MAX:]
        lines += [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return lines


def _short(filename: str) -> str:
    """The path from the root of the project, or the last three parts of a library's path."""
    path = Path(filename)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else "/".join(path.parts[-3:])
