"""The list of numbers that nobody calls again, as operators and callers change it."""

from collections.abc import Callable, Mapping
from typing import Any

from app.calls.agent.telephone_numbers import same_spelling
from app.clients.http_tools import RequestValues, ToolAnswer
from app.clock import utc_now
from app.errors import InvalidRequest, NumberNotListed, ProviderUnavailable, StorageError
from app.storage.do_not_call import DoNotCallStore, ListedNumber, Source

_PROVIDER = "tools"


class DoNotCallList:
    """The list, for numbers in any spelling. Every method may raise InvalidRequest and StorageError."""

    def __init__(self, store: DoNotCallStore, home: Callable[[], str | None]) -> None:
        """A number without its country's code is in the country of ``home``, a number; None if that is not known."""
        self._store = store
        self._home = home

    async def add(self, number: str, by: Source = "operator") -> ListedNumber:
        """Put the number on the list. A caller's number is as carriers write it, at times without its ``+``."""
        return await self._store.add(self._spelling(number, is_carriers=by == "caller"), by, utc_now())

    async def remove(self, number: str) -> None:
        """Take the number off the list. Raises NumberNotListed."""
        if not await self._store.remove(self._spelling(number)):
            raise NumberNotListed("this number is not on the list")

    async def page(self, *, limit: int, cursor: str | None) -> tuple[list[ListedNumber], str | None]:
        """Up to ``limit`` entries, and the cursor of the next page; None on the last one."""
        found = await self._store.page(limit=limit + 1, after=cursor or "")
        page = found[:limit]
        return page, page[-1].number if len(found) > limit else None

    def tool_for(self, number: str) -> "DoNotCallTool | None":
        """The tool of a call with that number; None if it is none that can be called."""
        return DoNotCallTool(self, number) if same_spelling(number, self._home()) else None

    def _spelling(self, number: str, *, is_carriers: bool = False) -> str:
        home = self._home()
        # Without a country, 8 495 1234567 of Moscow would be taken for a number of Vietnam, and Moscow still be called.
        is_clear = is_carriers or home is not None or number.lstrip().startswith("+")
        spelling = same_spelling(number, home) if is_clear else None
        if spelling is None:
            raise InvalidRequest(
                "number: is no telephone number; write it with + and the country's code, such as +74951234567"
            )
        return spelling


class DoNotCallTool:
    """Puts the number of one call on the list. Implements :class:`app.calls.agent.tools.ToolEndpoint`."""

    def __init__(self, numbers: DoNotCallList, number: str) -> None:
        self._numbers = numbers
        self._number = number

    async def call(
        self, _arguments: Mapping[str, Any], *, call_id: str, tool_call_id: str, values: RequestValues
    ) -> ToolAnswer:
        """Put the number on the list. Raises ProviderUnavailable when the database does not take it."""
        try:
            await self._numbers.add(self._number, "caller")
        except StorageError as error:
            raise ProviderUnavailable(_PROVIDER, "the list could not be written") from error
        return ToolAnswer(200, '{"done": true}')
