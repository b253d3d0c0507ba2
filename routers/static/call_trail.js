// Everything that is written down about a call, each part fetched when it is opened: explanation, journal, webhooks.

import { ask, callPath } from "./api.js";
import { element, table } from "./elements.js";
import { moment } from "./words.js";

const DATA_SHOWN = 120;

export function trail(call, left, fail) {
  const path = (door) => callPath(call.call_id, door);
  return element(
    "section",
    { class: "card", "aria-label": "Everything that is written down" },
    element("h2", {}, "Everything that is written down"),
    element(
      "p",
      { class: "actions" },
      element("a", { class: "button", href: path("/archive"), download: "" }, "Download all as one zip"),
      element("a", { class: "button", href: path("/scenario?sound=true"), download: "" }, "Make a test of this call"),
      element("a", { href: path("/transcript?format=text") }, "Transcript as text"),
    ),
    part("Explanation: everything in order", async () => explained((await ask(path("/explanation"))).lines)),
    part("Journal: every event", async () => journal((await ask(path("/events"))).events)),
    part("Webhooks", async () => webhooks((await ask(`webhooks/deliveries?${new URLSearchParams({ call_id: call.call_id, limit: 200 })}`)).deliveries)),
  );

  function part(title, load) {
    const body = element("div", {}, element("p", { class: "hint" }, "Loading…"));
    const made = element("details", { class: "part" }, element("summary", {}, title), body);
    made.addEventListener("toggle", async () => {
      if (!made.open) return;
      try {
        const content = await load();
        if (!left.aborted) body.replaceChildren(content);
      } catch (error) {
        fail(error);
      }
    });
    return made;
  }
}

function explained(lines) {
  return element("pre", { class: "explanation", tabindex: 0, role: "region", "aria-label": "Explanation" }, lines.map(({ text, tone }) => element("span", { class: `tone-${tone}` }, `${text}\n`)));
}

function journal(events) {
  const rows = events.map(({ seq, t, type, turn, data }) => [`${seq}`, `${t.toFixed(3)} s`, turn === null ? "" : String(turn), type, dataOf(data)]);
  return element("div", { class: "journal" }, table("Journal", ["Row", "Time", "Turn", "Event", "Data"], rows, { words: true }));
}

/** What a row holds; much of it is opened on demand. */
function dataOf(data) {
  const text = JSON.stringify(data);
  if (text.length <= DATA_SHOWN) return element("code", { class: "data" }, text);
  return element("details", {}, element("summary", { class: "data" }, `${text.slice(0, DATA_SHOWN)}…`), element("pre", { class: "data" }, JSON.stringify(data, null, 2)));
}

function webhooks(deliveries) {
  if (!deliveries.length) return element("p", { class: "hint" }, "No endpoint was to hear of this call.");
  const states = { pending: "waiting", delivered: "delivered", dead: "given up" };
  return table("Webhooks", ["Event", "State", "Attempts", "Last answer", "At"], deliveries.map((each) => [
    each.event,
    states[each.status] ?? each.status,
    String(each.attempts),
    each.error ?? (each.answer === null ? "none yet" : String(each.answer)),
    moment(each.delivered_at ?? each.happened_at),
  ]), { words: true });
}
