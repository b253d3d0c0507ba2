// What was said in a call, in order, with what happened in between. A turn keeps its place when it is drawn again.

import { element } from "./elements.js";
import { clock, failure, seconds, toolOutcome } from "./words.js";

/**
 * `hear` plays from a second on; null without a recording. `draw` adds what is new and changes what has changed. In a
 * live call what is new comes last, even if its moment lies before others, so that nothing moves that is being read.
 */
export function conversation(hear, { isLive = false } = {}) {
  const log = element("div", { class: "turns", role: "log", "aria-label": "What was said" });
  const nothing = element("p", { class: "hint" }, "Nobody has said anything yet.");
  log.append(nothing);
  const shown = new Map(); // each with its JSON, by what it is

  function draw(call) {
    const moments = momentsOf(call);
    const known = new Set(moments.map(({ key }) => key));
    nothing.hidden = moments.length > 0;
    for (const [key, { drawn }] of shown) {
      if (known.has(key)) continue;
      drawn.remove();
      shown.delete(key);
    }
    let before = nothing;
    for (const moment of moments) {
      const told = JSON.stringify(moment);
      let entry = shown.get(moment.key);
      if (entry?.told !== told) {
        const drawn = moment.turn ? turnOf(moment, hear) : asideOf(moment, hear);
        entry?.drawn.replaceWith(drawn);
        entry = { told, drawn };
        shown.set(moment.key, entry);
      }
      if (isLive) {
        if (!log.contains(entry.drawn)) log.append(entry.drawn);
      } else if (before.nextSibling !== entry.drawn) before.after(entry.drawn);
      before = entry.drawn;
    }
  }

  return { element: element("section", { class: "card", "aria-label": "Conversation" }, element("h2", {}, "Conversation"), log), draw };
}

/** Everything that has its moment in a call, in order. Each has a key that stays the same. */
export function momentsOf(call) {
  const moments = [
    ...call.turns.map((turn) => ({ key: `turn ${turn.role} ${turn.number} ${turn.kind} ${turn.started_at}`, at: turn.started_at, turn, who: whoOf(turn) })),
    ...call.fillers.map((filler) => ({ key: `filler ${filler.started_at}`, at: filler.started_at, kind: "filler", what: "Filler", text: filler.text })),
    ...call.tools.map((tool) => ({ key: `tool ${tool.id} ${tool.called_at}`, at: tool.called_at, kind: "tool", what: `Tool ${tool.name}`, text: toolOutcome(tool), bad: ["failed", "unknown"].includes(tool.outcome) })),
    ...call.failures.map((failed, index) => ({ key: `failure ${index}`, at: failed.at, text: failure(failed), ...(failed.answer === "late" ? { kind: "hedge", what: "A slow answer" } : { kind: "failure", what: "Failure", bad: true }) })),
    ...call.holds.map((hold) => ({ key: `hold ${hold.started_at}`, at: hold.started_at, kind: "hold", what: "On hold", text: hold.ended_at === null ? "no sound came again" : `for ${(hold.ended_at - hold.started_at).toFixed(1)} s` })),
  ];
  return moments.sort((one, other) => one.at - other.at);
}

function whoOf(turn) {
  if (turn.role === "user") return { keypad: "Caller, by keys", typed: "Caller, typing" }[turn.kind] ?? "Caller";
  const lines = { say: "for an operator", greeting: "greeting", disclosure: "disclosure", goodbye: "goodbye", prompt: "prepared line", apology: "apology" };
  return turn.kind in lines ? `Agent, ${lines[turn.kind]}` : "Agent";
}

/** What happened beside the turns, at its moment. */
function asideOf({ at, what, text, bad }, hear) {
  return element("article", { class: "turn aside" }, element("p", { class: "meta" }, what, " · ", timeOf(at, hear), " "), element("p", { class: bad ? "said fault" : "said", dir: "auto" }, text));
}

function turnOf({ turn, who }, hear) {
  const agent = turn.role === "assistant";
  const unheard = agent && turn.text_generated?.startsWith(turn.text) ? turn.text_generated.slice(turn.text.length) : "";
  const { latency } = turn;
  return element(
    "article",
    { class: `turn ${agent ? "agent" : "caller"}` },
    element(
      "p",
      { class: "meta" },
      who,
      " · ",
      timeOf(turn.started_at, hear),
      latency ? element("span", { class: latency.budget_kept ? "" : "fault" }, ` · after ${seconds(latency.total)}${latency.budget_kept ? "" : ", late"}`) : null,
      turn.interrupted ? " · interrupted" : null,
      turn.heard === "estimated" ? " · what was heard is estimated" : null,
    ),
    element("p", { class: "said", dir: "auto" }, turn.text, unheard ? element("span", { class: "unheard" }, element("span", { class: "tag" }, "not heard:"), unheard) : null),
    turn.knowledge?.length ? element("p", { class: "meta" }, `From ${turn.knowledge.map(({ file, heading }) => (heading ? `${file}, ${heading}` : file)).join("; ")}`) : null,
    turn.waited_seconds === null ? null : element("p", { class: "fault" }, `Never answered: the caller waited ${turn.waited_seconds.toFixed(1)} s.`),
  );
}

/** A moment that plays when it is pressed, if there is sound. */
export function timeOf(at, hear) {
  if (!hear) return clock(at);
  return element("button", { type: "button", class: "time", "aria-label": `Play from ${clock(at)}`, onclick: () => hear(at) }, clock(at));
}
