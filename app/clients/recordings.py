"""What the clients that transcribe whole recordings share."""

import asyncio

from media.errors import BadAudio
from media.formats import AudioFormat
from media.wav import read_wav

_RECORDING = AudioFormat("pcm_s16le", 16000)
RECOVERY_SECONDS = 1.0
"""A recogniser's breaker lets an attempt through after this time: well within the time in which a lost stream is tried
again."""


async def samples_of(audio: bytes, audio_format: AudioFormat) -> tuple[bytes, AudioFormat]:
    """The samples of a WAV file of any kind, or raw audio in that format, and their format. Raises BadAudio."""
    if audio[:4] == b"RIFF":
        return await asyncio.to_thread(read_wav, audio, _RECORDING.sample_rate), _RECORDING
    if not audio:
        raise BadAudio("the audio is empty")
    if len(audio) % audio_format.sample_bytes:
        raise BadAudio(f"{len(audio)} bytes do not make whole samples of {audio_format.sample_bytes} bytes")
    return audio, audio_format
