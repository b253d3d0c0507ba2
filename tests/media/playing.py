"""What the tests of the playout share."""

from media.formats import AudioFormat
from media.playout import PlayedAudio, Playout

TELEPHONE = AudioFormat("pcm_s16le", 8000)
FRAME = 160
LEAD = 1600


def sound(samples: int, first: int = 0) -> bytes:
    """Samples that count."""
    return b"".join((number % 65536).to_bytes(2, "little") for number in range(first, first + samples))


def playout_with(samples: int, *, finished: bool = False) -> Playout:
    playout = Playout(TELEPHONE, 0.2)
    playout.add(sound(samples))
    if finished:
        playout.finish()
    return playout


def released(playout: Playout, until: float, since: float = 0.0) -> list[PlayedAudio]:
    """All that leaves until then, as an owner with a timer takes it."""
    pieces, now = [], since
    while now <= until:
        if piece := playout.release(now):
            pieces.append(piece)
        following = playout.next_release(now)
        if following is None:
            break
        now = max(following, now + 0.001)
    return pieces


def samples_of(pieces: list[PlayedAudio]) -> int:
    return sum(TELEPHONE.samples(piece.audio) for piece in pieces)
