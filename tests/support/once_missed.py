"""The cells of the fault matrix that once missed an aim, by their names. Each run of the tests holds them again."""

from typing import Final

ONCE_MISSED: Final = [
    "cartesia-socket cuts thinking all warm",
    "cartesia-socket stalls before all cold",
    "flux 429-short greeting all cold",
    "flux drips greeting all cold",
]
