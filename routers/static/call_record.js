// The record of a call as elements: turns with their latency, the figures, the sound.

import { callPath } from "./api.js";
import { element, facts, notify, table } from "./elements.js";
import { abandoned, clock, endReason, failure, fault, milliseconds, moment, money, parties, STAGES, unanswered } from "./words.js";

const COST_PARTS = [["stt", "Speech recognition"], ["llm", "Language model"], ["tts", "Speech synthesis"], ["telephony", "Telephony"], ["total", "Total"]];
let player = null;

/** Everything about the call, in order. The player is kept while the same call is drawn again, and plays on. */
export function record(call) {
  return [
    element("h1", {}, parties(call), " ", element("span", { class: `badge ${call.status}` }, call.status)),
    outcome(call),
    analysis(call),
    recording(call),
    turns(call),
    latencies(call),
    costs(call),
    details(call),
  ].filter((part) => part !== null);
}

function outcome(call) {
  const ended = call.status === "ended";
  const bad = call.fault && call.fault !== "none";
  const waits = unanswered(call);
  return element(
    "section",
    { class: "card", "aria-label": "Outcome" },
    ended ? element("p", { class: "lead" }, abandoned(call.abandoned) ?? endReason(call.end_reason)) : null,
    waits ? element("p", { class: "fault" }, waits) : null,
    bad || (ended && !waits) ? element("p", { class: bad ? "fault" : "hint" }, fault(call.fault)) : null,
    facts([
      ["Began", moment(call.started_at)],
      ["Answered", moment(call.answered_at)],
      ["Lasted", ended ? clock(call.duration_seconds) : null],
      ["Direction", call.direction],
      ["Agent", call.agent],
      ["Language", call.language],
    ]),
  );
}

/** What came of the call: its summary, and the values with the words that they come from. */
function analysis(call) {
  const found = call.analysis;
  if (!found) return null;
  const said = { pending: "The call is being analysed.", failed: `The analysis failed: ${found.reason}.`, done: found.summary ?? "The caller said nothing." }[found.status];
  const rows = Object.entries(found.fields ?? {}).map(([name, { value, quote, turn, verified_by: by }]) => [
    name,
    value === null ? "–" : typeof value === "string" ? value : JSON.stringify(value),
    quote === null ? "" : `“${quote}” (turn ${turn})`,
    by === null ? "" : { caller: "the caller", keypad: "keys", tool: "a tool" }[by] ?? by,
  ]);
  const success = found.status === "done" && found.success !== null ? element("p", { class: found.success ? "hint" : "fault" }, found.reason ?? (found.success ? "A success." : "No success.")) : null;
  return element(
    "section",
    { class: "card", "aria-label": "What came of it" },
    element("h2", {}, "What came of it"),
    element("p", { class: found.status === "failed" ? "fault" : "lead", dir: "auto" }, said),
    success,
    rows.length ? table("Outcome", ["Field", "Value", "Said", "Verified by"], rows) : null,
    found.cost ? element("p", { class: "hint" }, `Worked out by ${found.model} for ${money(found.cost, call.costs.currency)}, apart from the costs of the call.`) : null,
  );
}

function recording(call) {
  const { status, gaps } = call.recording;
  if (!call.recording_available) {
    return status === "failed" ? element("section", { class: "card", "aria-label": "Recording" }, element("p", { class: "fault" }, "The recording is lost: the service could not write it to the disk.")) : null;
  }
  if (player?.dataset.call !== call.call_id) {
    player = element("audio", { controls: true, preload: "none", src: callPath(call.call_id, "/recording"), "data-call": call.call_id, "aria-label": "Recording: caller left, agent right" });
  }
  return element("section", { class: "card", "aria-label": "Recording" }, player, element("p", { class: "hint" }, "The caller is on the left, the agent on the right. Press a turn's time to play it."), missing(gaps));
}

function missing(gaps) {
  if (gaps.length === 0) return null;
  const spans = gaps.map(([from, to]) => `${clock(from)}–${clock(to)}`).join(", ");
  return element("p", { class: "fault" }, `Missing from the recording: ${spans}.`);
}

function turns(call) {
  const moments = [
    ...call.turns.map((turn) => [turn.started_at, turnOf(turn, call)]),
    ...call.fillers.map((filler) => [filler.started_at, aside(filler.started_at, "Agent, while it prepared the answer", filler.text)]),
    ...call.tools.map((tool) => [tool.called_at, aside(tool.called_at, `Tool ${tool.name}`, toolOutcome(tool), tool.outcome === "failed" || tool.outcome === "unknown")]),
    ...call.failures.map((failed) => [failed.at, aside(failed.at, "Failure", failure(failed), true)]),
  ];
  const said = moments.sort(([one], [other]) => one - other).map(([, shown]) => shown);
  return element("section", { class: "turns", role: "log", "aria-label": "What was said" }, said.length ? said : element("p", { class: "hint" }, "Nobody has said anything yet."));
}

/** What happened beside the turns, at its moment. */
function aside(at, what, text, bad = false) {
  return element("article", { class: "turn aside" }, element("p", { class: "meta" }, what, " · ", clock(at)), element("p", { class: bad ? "said fault" : "said", dir: "auto" }, text));
}

function toolOutcome(tool) {
  const outcome = { ok: "done", failed: "failed", running: "running", unknown: "called, outcome unknown" }[tool.outcome] ?? tool.outcome;
  return tool.seconds === null ? outcome : `${outcome} after ${tool.seconds.toFixed(1)} s`;
}

function turnOf(turn, call) {
  const agent = turn.role === "assistant";
  const who = agent ? (turn.kind === "say" ? "Agent, for an operator" : "Agent") : "Caller";
  const unheard = agent && turn.text_generated?.startsWith(turn.text) ? turn.text_generated.slice(turn.text.length) : "";
  return element(
    "article",
    { class: `turn ${agent ? "agent" : "caller"}` },
    element("p", { class: "meta" }, who, " · ", timeOf(turn, call), unheard && turn.interrupted ? " · interrupted" : null),
    element("p", { class: "said", dir: "auto" }, turn.text, unheard ? element("span", { class: "unheard" }, element("span", { class: "tag" }, "not heard:"), unheard) : null),
    turn.latency ? stagesBar(turn.latency) : null,
    turn.waited_seconds === null ? null : element("p", { class: "fault" }, `Never answered: the caller waited ${turn.waited_seconds.toFixed(1)} s.`),
  );
}

function timeOf(turn, call) {
  const at = clock(turn.started_at);
  if (!call.recording_available) return at;
  const hear = () => {
    player.currentTime = Math.max(0, turn.started_at);
    player.play().catch(() => notify("The recording cannot be played."));
  };
  return element("button", { type: "button", class: "time", "aria-label": `Play from ${at}`, onclick: hear }, at);
}

/** One bar an answer: its stages, as wide as they are long. */
function stagesBar(latency) {
  const scale = Math.max(latency.total, 1.5);
  const parts = STAGES.map(([stage, name]) => {
    const part = element("span", { class: `stage ${stage}`, title: `${name}: ${milliseconds(latency[stage])}` });
    part.style.width = `${(100 * latency[stage]) / scale}%`;
    return part;
  });
  const told = STAGES.map(([stage, name]) => `${name} ${milliseconds(latency[stage])}`).join(", ");
  const late = latency.budget_kept ? null : element("span", { class: "fault" }, "late");
  return element("div", { class: "latency" }, element("div", { class: "bar", role: "img", "aria-label": told }, parts), element("span", { class: "total" }, `${latency.total.toFixed(2)} s`), late);
}

function latencies(call) {
  const rows = [...STAGES, ["total", "Total"]].filter(([stage]) => call.latency[stage]).map(([stage, name]) => {
    const { p50, p95, max } = call.latency[stage];
    return [element("span", { class: "key" }, element("span", { class: `swatch stage ${stage}`, "aria-hidden": "true" }), name), ...[p50, p95, max].map(milliseconds)];
  });
  if (!rows.length) return null;
  return element("section", { class: "card" }, element("h2", {}, "From the caller's last sound to the answer"), table("Latency by stage", ["Stage", "Median", "95th percentile", "Longest"], rows));
}

function costs(call) {
  const rows = COST_PARTS.map(([part, name]) => [name, money(call.costs[part], call.costs.currency)]);
  const { prompt, cached, completion } = call.token_usage;
  const tokens = prompt === undefined ? null : element("p", { class: "hint" }, `${prompt} prompt tokens, ${cached} of them cached; ${completion} completion tokens.`);
  const ended = call.status === "ended";
  const unpriced = ended && call.costs.telephony === null ? element("p", { class: "hint" }, "The total is not known without the carrier's price: set TELEPHONY_USD_PER_MINUTE.") : null;
  return element("section", { class: "card" }, element("h2", {}, "Costs"), table("Costs", ["For", "Amount"], rows), unpriced, tokens);
}

function details(call) {
  const { sip_call_id: sip, room_sid: room, requests } = call.provider_ids;
  const metadata = Object.keys(call.metadata).length ? element("pre", {}, JSON.stringify(call.metadata, null, 2)) : null;
  return element(
    "details",
    { class: "card" },
    element("summary", {}, "Details"),
    facts([
      ["Call", call.call_id],
      ["Room", call.livekit_room],
      ["Room at LiveKit", room],
      ["SIP call", sip],
      ["Vendor requests", requests?.length ? String(requests.length) : null],
      ["Version", call.version],
    ]),
    metadata,
    element("p", {}, element("a", { href: callPath(call.call_id, "/events") }, "Every event"), " · ", element("a", { href: callPath(call.call_id, "/transcript?format=text") }, "Transcript as text")),
  );
}
