"""What an operator's Prometheus reads after a call."""

import asyncio
import re
from pathlib import Path

import httpx

from app.wiring import VERSION
from sandbox.caller.score import says, waits_for_agent, waits_for_end
from tests.end_to_end.calls import GREETING, QUIET, hold, score
from tests.end_to_end.lines import new_session, opened
from tests.end_to_end.service import running_service

LEAPING_TIME = True

CALLER = "+70000000001"


async def figures_of(http: httpx.AsyncClient) -> dict[str, float]:
    text = (await http.get("/metrics")).text
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("voice_")]
    return {name: float(value) for name, _, value in lines}


async def test_a_call_moves_the_figures_and_none_of_them_names_it(tmp_path: Path) -> None:
    async with running_service(tmp_path, greeting=GREETING) as service, service.async_client() as http:
        call = await hold(service, score(waits_for_agent(QUIET), says("До свидания!"), waits_for_end()))
        async with opened((await new_session(service))["url"]) as line:
            await line.send("no JSON")
            await line.closed()
        async with asyncio.timeout(3):
            while (figures := await figures_of(http)).get('voice_component_status{component="storage"}') != 0:
                await asyncio.sleep(0.02)
        assert figures['voice_calls_total{direction="web",end_reason="agent_hangup",fault="none"}'] == 1
        assert figures['voice_turns_total{source="speech"}'] == 1
        assert figures["voice_unanswered_turns_total"] == 0
        assert figures['voice_utterances_total{kind="greeting"}'] == 1
        budget = figures.get('voice_turn_budget_total{result="kept"}', 0)
        assert budget + figures.get('voice_turn_budget_total{result="missed"}', 0) == 1
        assert figures['voice_provider_usage_total{provider="openai",unit="completion_tokens"}'] > 0
        assert figures['voice_provider_usage_total{provider="deepgram",unit="seconds"}'] > 0
        assert figures["voice_db_write_seconds_count"] >= figures["voice_journal_commit_seconds_count"] > 0
        assert figures['voice_breaker_state{provider="openai"}'] == 0
        assert sum(value for name, value in figures.items() if name.startswith("voice_media_errors_total")) == 1
        assert [name for name in figures if re.fullmatch(rf'voice_build_info{{.*version="{VERSION}".*}}', name)]
        text = (await http.get("/metrics")).text
        assert call.report.call_id not in text
        assert "До свидания" not in text
