// What is known of a call besides what was said: what came of it, figures, costs, ids.

import { ask, callPath } from "./api.js";
import { agrees, card, element, facts, notify, table } from "./elements.js";
import { endReason, milliseconds, moment, money, span, STAGES } from "./words.js";

const COST_PARTS = [["stt", "Speech recognition"], ["llm", "Language model"], ["tts", "Speech synthesis"], ["telephony", "Telephony"], ["total", "Total"]];

/** What came of the call: its summary, and the values with the words that they come from. */
export function cameOfIt(call) {
  const found = call.analysis;
  const state = found && { pending: "The call is being analysed.", failed: `The analysis failed: ${found.reason}.` }[found.status];
  const success = found?.status === "done" && found.success !== null ? element("p", { class: found.success ? "hint" : "fault" }, found.reason ?? (found.success ? "A success." : "No success.")) : null;
  if (!found) return null;
  const fields = Object.entries(found.fields ?? {}).map(([name, value]) => outcomeField(name, value));
  return card(
    "Outcome",
    state ? element("p", { class: found.status === "failed" ? "fault" : "hint" }, state) : null,
    success,
    fields.length ? element("dl", { class: "outcome-fields" }, fields) : null,
    found?.cost ? element("p", { class: "hint" }, `Analysed by ${found.model} for ${money(found.cost)}, apart from the costs of the call.`) : null,
  );
}

function outcomeField(name, { value, quote, turn, verified_by: by }) {
  const shown = value === null ? "not found" : typeof value === "string" ? value : JSON.stringify(value);
  const verified = by === null ? null : { caller: "confirmed by the caller", keypad: "entered by keys", tool: "taken by a tool" }[by] ?? by;
  return element(
    "div",
    {},
    element("dt", {}, name.replaceAll("_", " ")),
    element("dd", { dir: "auto" }, shown, verified ? element("span", { class: "hint" }, ` · ${verified}`) : null, quote === null ? null : element("blockquote", { dir: "auto" }, `“${quote}” (turn ${turn})`)),
  );
}

/** How the call went, in facts. */
export function aside(call) {
  const ended = call.status === "ended";
  return card("The call", facts([
    ["Ended", ended ? endReason(call.end_reason) : null],
    ["Began", moment(call.started_at)],
    ["Answered", call.answered_at ? moment(call.answered_at) : ended ? "never" : null],
    ["Lasted", ended ? span(call.duration_seconds ?? 0) : null],
    ["Direction", call.direction],
    ["Agent", call.agent],
    ["Language", call.language],
    ["Consent to recording", call.consent],
    ["Message", call.message?.text],
  ]));
}

export function latencies(call) {
  const rows = [...STAGES, ["total", "Total"]].filter(([stage]) => call.latency[stage]).map(([stage, name]) => {
    const { p50, p95, max } = call.latency[stage];
    return [name, ...[p50, p95, max].map(milliseconds)];
  });
  return rows.length ? card("Latency by stage", table("Latency by stage", ["Stage", "Median", "p95", "Longest"], rows)) : null;
}

export function costs(call) {
  const isLive = call.status !== "ended";
  const rows = COST_PARTS.map(([part, name]) => [name, isLive && call.costs[part] === null ? "at its end" : money(call.costs[part])]);
  const { prompt, cached, completion } = call.token_usage;
  const isUnpriced = call.status === "ended" && call.costs.telephony === null;
  return card(
    "Costs",
    table("Costs", ["For", "US dollars"], rows),
    isUnpriced ? element("p", { class: "hint" }, "The total is not known without the carrier's price: set TELEPHONY_USD_PER_MINUTE.") : null,
    prompt ? element("p", { class: "hint" }, `${prompt} prompt tokens, ${cached} of them cached; ${completion} completion tokens.`) : null,
  );
}

export function details(call) {
  const { sip_call_id: sip, room_sid: room, requests } = call.provider_ids;
  const json = (title, value) => (Object.keys(value ?? {}).length ? [element("h3", {}, title), element("pre", { tabindex: 0, "aria-label": title, role: "region" }, JSON.stringify(value, null, 2))] : []);
  return element(
    "details",
    { class: "card" },
    element("summary", {}, "Ids and metadata"),
    facts([
      ["Call", call.call_id],
      ["Room", call.livekit_room],
      ["Room at LiveKit", room],
      ["SIP call", sip],
      ["Requests to vendors", requests?.length ? String(requests.length) : null],
      ["Version of the agent", call.agent_hash?.slice(0, 12)],
      ["Version of the service", call.version],
    ]),
    ...json("Variables", call.variables),
    ...json("Metadata", call.metadata),
  );
}

/** Erasing is asked for twice: it cannot be undone. */
export function eraser(call, fail) {
  const erase = async () => {
    if (!(await agrees("Erase this call?", "Its record, events and recording will be deleted for good.", { yes: "Erase", no: "Keep it" }))) return;
    await ask(callPath(call.call_id), { method: "DELETE" }).then(() => {
      location.hash = "#/calls";
      notify("The call has been erased.");
    }, fail);
  };
  return element("p", { class: "erase" }, element("button", { type: "button", class: "quiet", onclick: erase }, "Erase this call…"));
}
