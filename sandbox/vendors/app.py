"""The sandbox's ASGI application: every vendor under its own path, and the control interface."""

from starlette.applications import Starlette
from starlette.routing import Mount

from sandbox.vendors import control
from sandbox.vendors.cartesia import server as cartesia
from sandbox.vendors.deepgram import server as deepgram
from sandbox.vendors.openai import server as openai
from sandbox.vendors.openai.answer import PromptCache
from sandbox.vendors.stage import LIMITS, Limits, Stage
from sandbox.vendors.voice import default_voice


def create_sandbox(
    *, profile: str = "typical", seed: int = 0, limits: Limits = LIMITS, listens: bool = False
) -> Starlette:
    """Create the application; all vendors share its ``state.stage``. If it ``listens``, sound alone tells it the words.

    Raises KeyError for a profile that is not in :data:`sandbox.vendors.profiles.PROFILES`.
    """
    default_voice()  # load it now, not while the first caller waits
    app = Starlette(
        routes=[
            Mount("/deepgram", routes=deepgram.ROUTES),
            Mount("/openai/v1", routes=openai.ROUTES),
            Mount("/cartesia", routes=cartesia.ROUTES),
            Mount("/control", routes=control.ROUTES),
        ]
    )
    app.state.stage = Stage(profile=profile, seed=seed, limits=limits, listens=listens)
    app.state.prompt_cache = PromptCache()
    return app
