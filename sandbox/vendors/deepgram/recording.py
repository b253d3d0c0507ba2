"""Deepgram's ``POST /v1/listen``: transcribes a whole recording."""

import io
import wave

from starlette.datastructures import QueryParams

from sandbox.vendors.deepgram.nova import alternative_of
from sandbox.vendors.deepgram.query import ENCODINGS, BadQuery, flag, nova_model
from sandbox.vendors.deepgram.stream import languages_of
from sandbox.vendors.encodings import SAMPLE_BYTES, Encoding
from sandbox.vendors.hearing import SpeechDetector
from sandbox.vendors.script import Script
from sandbox.vendors.stage import Stage
from sandbox.vendors.wire import Message


def hear_recording(body: bytes, query: QueryParams, stage: Stage) -> Message:
    """Deepgram's JSON for a WAV file, or for raw audio with ``encoding`` and ``sample_rate``; raises BadQuery.

    As in a stream, the words come from the script of the query's ``tag``. The duration is that of the audio.
    """
    model = nova_model(query)
    audio, encoding, sample_rate = _recording(body, query)
    language = query.get("language")
    recogniser = Script(stage, query.get("tag"), (language,) if language else ()).recogniser
    for now, speech in SpeechDetector(encoding, sample_rate).feed(audio):
        recogniser.step(now, speech)
    recogniser.settle()
    words = recogniser.words
    recogniser.end_turn()
    written = flag(query, "punctuate") or flag(query, "smart_format")
    channel: Message = {"alternatives": [alternative_of(words, written=written)]}
    if flag(query, "detect_language"):
        detected = languages_of(words) or ["en"]
        channel |= {"detected_language": detected[0], "language_confidence": 0.99}
    metadata = {
        "transaction_key": "deprecated",
        "request_id": "00000000-0000-4000-8000-000000000000",
        "sha256": "0" * 64,
        "created": "2026-01-01T00:00:00.000Z",
        "duration": round(len(audio) / SAMPLE_BYTES[encoding] / sample_rate, 3),
        "channels": 1,
        "models": ["sandbox"],
        "model_info": {"sandbox": {"name": f"general-{model}", "version": "sandbox", "arch": model}},
    }
    return {"metadata": metadata, "results": {"channels": [channel]}}


def _recording(body: bytes, query: QueryParams) -> tuple[bytes, Encoding, int]:
    """The audio as whole samples, its encoding and its sample rate in hertz."""
    if body.startswith(b"RIFF"):
        return _wav(body)
    encoding = ENCODINGS.get(query.get("encoding", ""))
    sample_rate = query.get("sample_rate", "")
    if encoding is None or not sample_rate.isdigit() or int(sample_rate) == 0:
        raise BadQuery("raw audio needs encoding and sample_rate")
    return body[: len(body) // SAMPLE_BYTES[encoding] * SAMPLE_BYTES[encoding]], encoding, int(sample_rate)


def _wav(body: bytes) -> tuple[bytes, Encoding, int]:
    try:
        with wave.open(io.BytesIO(body)) as file:
            if (file.getsampwidth(), file.getnchannels()) == (SAMPLE_BYTES["pcm_s16le"], 1):
                return file.readframes(file.getnframes()), "pcm_s16le", file.getframerate()
    except (wave.Error, EOFError):
        pass  # the BadQuery below covers it
    raise BadQuery("this stand-in reads mono WAV files of 16 bits")
