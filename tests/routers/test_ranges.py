import pytest
from starlette.exceptions import HTTPException

from routers.ranges import wanted_bytes


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-", range(100)),
        ("bytes=10-19", range(10, 20)),
        (" bytes = 10 - 10 ", range(10, 11)),
        ("bytes=90-1000", range(90, 100)),
        ("bytes=-10", range(90, 100)),
        ("bytes=-1000", range(100)),
    ],
)
def test_one_range_is_given(header: str, wanted: range) -> None:
    assert wanted_bytes(header, 100) == wanted


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-1", "bytes=0-1,4-5", "a=0-1", "bytes=٣-"],
)
def test_what_is_not_a_single_range_is_the_whole(header: str | None) -> None:
    assert wanted_bytes(header, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_bytes_that_are_not_there_are_refused_with_the_size(header: str) -> None:
    with pytest.raises(HTTPException) as refused:
        wanted_bytes(header, 100)
    assert (refused.value.status_code, refused.value.headers) == (416, {"Content-Range": "bytes */100"})
