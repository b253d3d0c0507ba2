"""Answers of judges and personas, kept by the hash of what was asked: the second time they cost nothing."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.models import Message
from app.ports.vendors import TextGenerator

_VERSION = 1
"""Raise it when answers of before must not be used any more."""


class KeptAnswers:
    """A folder with one file for each answer. Without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._asking: dict[str, asyncio.Lock] = {}
        """Calls that run at the same time ask the same question one after another, so that it is asked once."""
        self.asked = 0
        """How many answers came from the model."""
        self.kept = 0
        """How many were known."""
        self.cost_usd: float | None = 0.0
        """What the model's answers cost; None as soon as a price is not known."""

    async def ask(
        self, generator: TextGenerator, model: str, messages: list[Message], schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The answer to these messages, as JSON of that schema. Raises ProviderError, and ValueError if it is none."""
        key = _key(model, messages, schema)
        async with self._asking.setdefault(key, asyncio.Lock()):
            return await self._ask(key, generator, messages, schema)

    async def _ask(
        self, key: str, generator: TextGenerator, messages: list[Message], schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        if (known := self._find(key)) is not None:
            self.kept += 1
            return known
        generated = await generator.generate(messages, schema=schema)
        self.asked += 1
        cost = generated.usage.cost
        self.cost_usd = None if self.cost_usd is None or cost is None else self.cost_usd + cost
        answer = json.loads(generated.text)
        if not isinstance(answer, dict):
            raise ValueError("the model's answer is not a JSON object")
        self._keep(key, answer)
        return answer

    def _find(self, key: str) -> dict[str, Any] | None:
        if self._folder is None:
            return None
        try:
            answer = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return answer if isinstance(answer, dict) else None

    def _keep(self, key: str, answer: dict[str, Any]) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{key}.json"
        written = path.with_suffix(".part")
        written.write_text(json.dumps(answer, ensure_ascii=False), encoding="utf-8")
        written.replace(path)


def _key(model: str, messages: list[Message], schema: Mapping[str, Any]) -> str:
    asked = [_VERSION, model, [(message.role, message.content) for message in messages], dict(schema)]
    return hashlib.sha256(json.dumps(asked, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
