from typing import Any

from sandbox.vendors.added_latency import added_latencies


def test_what_the_vendors_took_is_not_the_services() -> None:
    timings: list[dict[str, Any]] = [
        {"at": 10.00, "vendor": "deepgram", "event": "end_of_turn"},
        {"at": 10.01, "vendor": "openai", "event": "request"},
        {"at": 10.41, "vendor": "openai", "event": "delta"},
        {"at": 10.42, "vendor": "cartesia", "event": "input", "context_id": "c1"},
        {"at": 10.52, "vendor": "cartesia", "event": "first_audio", "context_id": "c1", "text": 1},
    ]

    [added] = added_latencies([10.53], timings)

    assert round(added, 6) == 0.03


def test_an_answer_prepared_before_the_end_of_the_turn_adds_only_its_transport() -> None:
    timings: list[dict[str, Any]] = [
        {"at": 9.50, "vendor": "openai", "event": "request"},
        {"at": 9.80, "vendor": "openai", "event": "delta"},
        {"at": 9.81, "vendor": "cartesia", "event": "input", "context_id": "c1"},
        {"at": 9.90, "vendor": "cartesia", "event": "first_audio", "context_id": "c1", "text": 1},
        {"at": 10.00, "vendor": "deepgram", "event": "end_of_turn"},
    ]

    assert [round(seconds, 6) for seconds in added_latencies([10.004], timings)] == [0.004]


def test_sound_before_any_turn_is_not_an_answer() -> None:
    assert added_latencies([1.0], []) == []
