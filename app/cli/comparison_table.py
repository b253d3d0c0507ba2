"""Shows a call and the same call held again, turn by turn."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.journal.comparison import Compared, Exchange
from app.observability.printable import printable

_SAME = "the same"


def print_comparison(console: Console, name: str, compared: Sequence[Compared]) -> None:
    """Print a table with a row for each exchange, and what differs in one line."""
    table = Table(title=printable(name), title_justify="left")
    for heading in ("turn", "caller", "then", "now"):
        table.add_column(heading, overflow="fold")
    for heading in ("answer then", "now"):
        table.add_column(heading, justify="right")
    table.add_column("tools", overflow="fold")
    table.add_column("differs")
    for each in compared:
        table.add_row(*_cells(each))
    console.print(table)
    console.print(f"{printable(name)}: {summary(compared)}", soft_wrap=True)


def summary(compared: Sequence[Compared]) -> str:
    """What differs, in one line."""
    different = [each for each in compared if each.differs]
    if not different:
        return f"all {len(compared)} turns are as they were"
    parts = [part for each in different for part in each.differs]
    counts = ", ".join(f"{part} in {parts.count(part)}" for part in dict.fromkeys(parts))
    return f"{len(different)} of {len(compared)} turns differ: {counts}{_slower(compared)}"


def _slower(compared: Sequence[Compared]) -> str:
    pairs = [(each.then.answer, each.now.answer) for each in compared if each.then is not None and each.now is not None]
    both = [now - then for then, now in pairs if then is not None and now is not None]
    if not both:
        return ""
    mean = sum(both) / len(both)
    return f"; answers {abs(mean):.3f} s {'later' if mean > 0 else 'sooner'} on average"


def _cells(each: Compared) -> tuple[Text | str, ...]:
    then, now = each.then, each.now
    differs = each.differs
    caller = (then or now or Exchange("", "")).caller or "(opening)"
    if "caller" in differs and then is not None and now is not None:
        caller = f"{then.caller} / now: {now.caller}"
    said_now = _SAME if then is not None and now is not None and "words" not in differs else _said(now)
    tools = _tools(then) if "tools" not in differs else f"{_tools(then) or 'none'} / now: {_tools(now) or 'none'}"
    style = "bold yellow" if differs else ""
    return (
        str(each.number),
        Text(printable(caller)),
        Text(printable(_said(then))),
        Text(printable(said_now), style="dim" if said_now == _SAME else style),
        _seconds(then),
        _seconds(now),
        Text(printable(tools)),
        Text(", ".join(differs), style=style),
    )


def _said(exchange: Exchange | None) -> str:
    if exchange is None:
        return "-"
    return f"{exchange.agent} ..." if exchange.interrupted else exchange.agent


def _seconds(exchange: Exchange | None) -> str:
    return "-" if exchange is None or exchange.answer is None else f"{exchange.answer:.3f} s"


def _tools(exchange: Exchange | None) -> str:
    return "" if exchange is None else "; ".join(exchange.tools)
