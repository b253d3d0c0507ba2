"""An agent in a language without standard lines holds a whole call: all its texts and its voice are in its file."""

from pathlib import Path

from sandbox.caller.score import says, waits_for_agent, waits_for_end
from sandbox.running import running_sandbox
from tests.end_to_end.calls import END_CALL, hold, score
from tests.end_to_end.service import service_beside

LEAPING_TIME = True

GREETING = "Praxis Gartenstraße, guten Tag."
DISCLOSURE = "Sie sprechen mit einem automatischen System."
PRAXIS = f"""\
prompt: Du nimmst die Anrufe einer Praxis an.
language: de
timezone: Europe/Berlin
greeting: {{de: "{GREETING}"}}
disclosure: {{de: "{DISCLOSURE}"}}
voices: {{de: stimme-anna}}
lines:
  de:
    repeat: Das habe ich nicht verstanden. Könnten Sie es wiederholen?
    keypad: Sie können auch die Tasten benutzen.
    idle: [Sind Sie noch da?]
    fillers: [Einen Moment, bitte.]
    long_wait: [Es dauert noch einen Augenblick.]
    apology: Entschuldigung, das hat nicht geklappt.
    cut_off: Entschuldigung, ich wurde unterbrochen.
    deaf: Ich kann Sie gerade nicht hören.
    reconnected: Entschuldigung, die Verbindung war kurz weg.
    reconnected_repeat: Entschuldigung, die Verbindung war kurz weg. Könnten Sie das wiederholen?
    transfer: Ich verbinde Sie.
    transfer_failed: Leider nimmt niemand ab.
    goodbye: Auf Wiederhören!
    silence_goodbye: Ich höre Sie nicht und lege auf. Auf Wiederhören!
    limit_goodbye: Ich muss das Gespräch jetzt beenden. Auf Wiederhören!
    failure_goodbye: Es gibt eine Störung. Bitte rufen Sie später an.
    shutdown_goodbye: Das Gespräch endet jetzt. Auf Wiederhören!
    refused: Darüber kann ich nicht sprechen.
    stalled: Was kann ich für Sie tun?
    stalled_goodbye: Ich lege jetzt auf. Auf Wiederhören!
    unserved: Gerade kann ich Ihnen nicht helfen.
    message: Was darf ich ausrichten?
    message_again: Bitte sprechen Sie jetzt.
    message_more: Möchten Sie noch etwas sagen?
    message_thanks: Danke, ich richte es aus.
"""
QUIET = 2.5
PRICE = "Ein Besuch kostet 75 Kronen, und der nächste Termin ist am 2026-12-04."
TALK = score(
    waits_for_agent(QUIET),
    says("Guten Tag, was kostet ein Besuch?"),
    waits_for_agent(QUIET),
    says("Vielen Dank, auf Wiederhören!"),
    waits_for_end(),
    replies=({"text": PRICE}, {"text": "Auf Wiederhören!", "tool_calls": END_CALL}),
    language="de",
    patience=20,
)


async def test_an_agent_in_german_holds_a_call(tmp_path: Path) -> None:
    agent = tmp_path / "praxis.yaml"
    agent.write_text(PRAXIS, encoding="utf-8")
    async with (
        running_sandbox(profile="typical") as sandbox,
        service_beside(sandbox, tmp_path, language="de", agent_prompt_file=agent, tts_speed=1.0) as service,
    ):
        call = await hold(service, TALK)
        voiced = [kept.body for kept in sandbox.stage.requests if kept.route == "tts/websocket context"]
        heard = [list(kept.body or ()) for kept in sandbox.stage.requests if kept.vendor == "deepgram"]
        asked = [str(kept.body) for kept in sandbox.stage.requests if kept.route == "responses"]

    assert call.said("user") == ["Guten Tag, was kostet ein Besuch?", "Vielen Dank, auf Wiederhören!"]
    assert call.said("assistant") == [DISCLOSURE, GREETING, PRICE, "Auf Wiederhören!"]
    assert (call.record["end_reason"], call.record["fault"], call.record["language"]) == ("agent_hangup", "none", "de")
    assert {each["language"] for each in voiced if each["context_id"].startswith(call.call_id)} == {"de"}
    assert any("fünfundsiebzig Kronen" in each["transcript"] for each in voiced)
    assert any(("language_hint", "de") in each for each in heard)
    assert "Answer in the language with the code de." in asked[0]
