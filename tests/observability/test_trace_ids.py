from app.observability.trace_ids import span_id, tool_key, trace_id, traceparent, with_trace_id


def test_every_process_works_out_the_same_ids_and_other_calls_have_others() -> None:
    first, second = "call_" + "a" * 24, "call_" + "b" * 24

    assert trace_id(first) == trace_id(first) != trace_id(second)
    assert span_id(first, tool_key("1")) != span_id(first, tool_key("2"))
    assert span_id(first, "call") != span_id(second, "call")
    assert (len(bytes.fromhex(trace_id(first))), len(bytes.fromhex(span_id(first, "call")))) == (16, 8)


def test_the_header_says_whether_the_trace_is_sent() -> None:
    sent, not_sent = (traceparent("call_1", "call", is_sampled=is_sampled) for is_sampled in (True, False))

    assert sent == f"00-{trace_id('call_1')}-{span_id('call_1', 'call')}-01"
    assert not_sent == f"{sent[:-2]}00"


def test_a_line_of_the_log_about_a_call_has_the_id_of_its_trace_and_no_other_line_has() -> None:
    assert with_trace_id(None, "info", {"event": "x", "call_id": "call_1"})["trace_id"] == trace_id("call_1")
    assert "trace_id" not in with_trace_id(None, "info", {"event": "x"})
