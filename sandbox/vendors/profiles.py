"""How fast the vendors are: delays drawn from seeded lognormal distributions.

The figures of ``typical`` are published ones. Deepgram detects the end of a turn about 260 ms after the speech
(Deepgram's page on Flux), and 350 ms at worst (pipecat's stt-benchmark); an eager end comes 150 ms earlier. A language
model for voice answers in about 400 ms and writes 100 tokens a second. Sonic's first sound takes 90 ms in the model,
110 ms with the network, and 190 ms in independent measurements; speech is produced 3 to 10 times faster than it is
spoken. ``slow`` takes the worst published figures: Flux's 95th percentile of 1.5 s, the slower models for voice.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Final

_P95_DEVIATIONS = 1.645


@dataclass(frozen=True, slots=True)
class Delay:
    """A lognormal delay, in seconds. A median of 0 means no delay."""

    median: float
    p95: float

    def draw(self, chance: Random) -> float:
        """Draw one delay, in seconds."""
        if self.median == 0:
            return 0.0
        deviation = math.log(self.p95 / self.median) / _P95_DEVIATIONS
        return chance.lognormvariate(math.log(self.median), deviation)


_NONE = Delay(0, 0)


@dataclass(frozen=True, slots=True)
class Profile:
    """The delays of every vendor."""

    name: str
    end_of_turn: Delay
    """From the last voiced sample to the end of the turn; never less than the detector needs."""
    eager_end: Delay
    """From the last voiced sample to the eager end of the turn."""
    first_token: Delay
    """From a request to the first token."""
    token: Delay
    """From one token to the next."""
    first_audio: Delay
    """From a text to its first sound."""
    audio_speed: tuple[float, float] | None
    """Seconds of sound produced per second, as a range (from, to); None: all at once."""

    def draw_audio_speed(self, chance: Random) -> float:
        """Draw the seconds of sound produced per second, for one text."""
        return math.inf if self.audio_speed is None else chance.uniform(*self.audio_speed)


PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile("instant", _NONE, _NONE, _NONE, _NONE, _NONE, None),
        Profile(
            "typical",
            end_of_turn=Delay(0.26, 0.35),
            eager_end=Delay(0.12, 0.16),
            first_token=Delay(0.40, 0.80),
            token=Delay(0.010, 0.020),
            first_audio=Delay(0.11, 0.19),
            audio_speed=(3.0, 10.0),
        ),
        Profile(
            "slow",
            end_of_turn=Delay(0.45, 1.5),
            eager_end=Delay(0.20, 0.60),
            first_token=Delay(0.90, 2.0),
            token=Delay(0.030, 0.080),
            first_audio=Delay(0.25, 0.70),
            audio_speed=(1.5, 3.0),
        ),
    )
}
