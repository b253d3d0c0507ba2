"""The health of the storage: the database, the journal, and their folder."""

import asyncio
from datetime import datetime

from app.clock import utc_now
from app.errors import StorageError
from app.models import ServiceHealth
from app.observability.outages import Outage
from app.storage.data_folder import DataFolder
from app.storage.database import Database
from app.storage.journal import JournalWriter

_ANSWER_SECONDS = 1.8
"""Less than a check of health may take. A check that is cancelled by a stop says nothing about the storage."""


class StorageHealth:
    """Checks the storage every second. While it has failed, no new call is taken, because it could not be stored."""

    def __init__(
        self,
        database: Database,
        journal: JournalWriter,
        folder: DataFolder,
        *,
        longest_commit_seconds: float = 2.0,
    ) -> None:
        self._database = database
        self._journal = journal
        self._folder = folder
        self._longest_commit_seconds = longest_commit_seconds
        self._last_success: datetime | None = None
        self._problem: str | None = None
        self._outage = Outage("storage.failed", "storage.recovered")

    def require(self) -> None:
        """Raises StorageError when the last check found that calls cannot be stored, or the journal waits too long."""
        problem = self._problem or self._problem_of_journal()
        if problem is not None:
            raise StorageError(problem)

    async def check(self) -> ServiceHealth:
        """Check all three now."""
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._look()
        except StorageError as error:
            self._problem = str(error)
            return self._failed(error)
        except TimeoutError:
            self._problem = "the storage does not answer"
            return self._failed(StorageError(self._problem))
        self._problem = None
        if (problem := self._problem_of_journal()) is not None:
            return self._failed(StorageError(problem))
        self._outage.over()
        self._last_success = utc_now()
        return ServiceHealth("storage", "ok", latency=clock() - asked_at, last_success=self._last_success)

    async def _look(self) -> None:
        await self._database.ping()
        await self._folder.check()

    def _problem_of_journal(self) -> str | None:
        """Why the journal cannot be written at this moment; None if it can."""
        if self._journal.is_failing:
            return "the journal cannot be written"
        if self._journal.commit_seconds > self._longest_commit_seconds:
            return f"a commit takes more than {self._longest_commit_seconds:.0f} s"
        return None

    def _failed(self, error: StorageError) -> ServiceHealth:
        self._outage.failed(error)
        return ServiceHealth("storage", "failed", last_success=self._last_success, detail=str(error))
