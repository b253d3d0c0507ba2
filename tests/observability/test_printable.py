from app.observability.printable import escaped, printable

HOSTILE = "\x1b[2Jcall\r\n[0:01] agent: forged \x9b31m\u202eback\u2066\u200f\x00\x7f\u2028end"


def test_a_line_for_people_is_one_line_and_gives_no_orders() -> None:
    assert printable(HOSTILE) == "[2Jcall [0:01] agent: forged 31m back end"


def test_written_out_every_order_can_be_read() -> None:
    assert escaped("a\x1b[2J\n\tb\x9b\u202e\ud800") == "a\\x1b[2J\n\tb\\x9b\\u202e\\ud800"
