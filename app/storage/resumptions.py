"""Which client may go on with which call over another websocket. Every method may raise StorageError."""

from sqlalchemy import ColumnElement, select, update

from app.errors import TokenInvalid
from app.storage.calls import LIVE, CallRow, call_of
from app.storage.database import Database
from app.storage.leases import alive_at, is_expired
from app.storage.schema import calls


class ResumptionStore:
    """The hashes of each call's tokens: of the next one, and of the one that its client has used last."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, call_id: str, fence: int, token_hashes: str) -> None:
        """Store the hashes of the tokens of a call that this process owns, with a space between them."""
        statement = (
            update(calls).where(calls.c.call_id == call_id, calls.c.fence == fence).values(resume_hash=token_hashes)
        )
        await self._database.write(lambda connection: connection.execute(statement))

    async def find(self, call_id: str, token_hash: str) -> CallRow:
        """The live call that the token resumes. Raises TokenInvalid."""
        statement = select(calls).where(_is(call_id, token_hash))
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none())
        if row is None:
            raise TokenInvalid("the token resumes no call")
        return call_of(row)

    async def claim(self, call_id: str, token_hash: str, owner: str, *, now: float, until: float) -> CallRow | None:
        """Take the call over, if its owner is dead or has let go of it; None while it has not."""
        free = _is(call_id, token_hash) & is_expired(owner, now)
        found = select(calls.c.call_id).where(free)
        if await self._database.read(lambda connection: connection.execute(found).first()) is None:
            return None
        values = {"owner": owner, "fence": calls.c.fence + 1, "lease_until": until, "alive_at": alive_at(now)}
        statement = update(calls).where(free).values(**values).returning(calls)
        row = await self._database.write(lambda connection: connection.execute(statement).one_or_none())
        return None if row is None else call_of(row)


def _is(call_id: str, token_hash: str) -> ColumnElement[bool]:
    return (
        (calls.c.call_id == call_id)
        & calls.c.resume_hash.contains(token_hash, autoescape=True)
        & calls.c.status.in_(LIVE)
    )
