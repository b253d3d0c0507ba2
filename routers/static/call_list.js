// The list of calls, filtered by what is in the address. It stays as it is while it is read: what is new waits for a press.

import { ask } from "./api.js";
import { filterForm, queryOf } from "./call_filters.js";
import { element } from "./elements.js";
import { moment, parties, seconds, span, troubles, whatCameOfIt } from "./words.js";

const LOOK_MILLISECONDS = 4000;
const PAGE = 25;

export async function callList(query, place, left, fail) {
  const asked = queryOf(query);
  const isFiltered = [...query].some(([name]) => name !== "order");
  const rows = element("ul", { class: "calls" });
  const nothing = element("p", { class: "hint", hidden: true }, ...(isFiltered ? ["No calls match these filters. ", element("a", { href: "#/calls" }, "Show all calls")] : ["No calls yet. ", element("a", { href: "#/talk" }, "Talk to the agent"), "."]));
  const more = element("button", { type: "button", class: "quiet", hidden: true }, "Older calls");
  const fresh = element("button", { type: "button", class: "quiet fresh" }, "");
  const known = new Map(); // what is shown of each call, by its id
  let older = null;

  async function page(cursor) {
    const parameters = new URLSearchParams([...asked, ["limit", PAGE], ...(cursor ? [["cursor", cursor]] : [])]);
    const { calls, next_cursor: next } = await ask(`calls?${parameters}`);
    if (left.aborted) return;
    if (!cursor) {
      known.clear();
      rows.replaceChildren();
      fresh.hidden = true;
    }
    older = next;
    more.hidden = !next;
    const items = calls.map(callRow);
    for (const call of calls) known.set(call.call_id, call.status);
    rows.append(...items);
    nothing.hidden = known.size > 0;
    if (cursor) items[0]?.querySelector("a").focus();
  }

  more.addEventListener("click", () => page(older).catch(fail));
  fresh.addEventListener("click", async () => {
    await page().catch(fail);
    rows.querySelector("a")?.focus();
  });
  fresh.hidden = true;
  const [{ agents }] = await Promise.all([ask("agents"), page()]);
  if (left.aborted) return;
  place.replaceChildren(element("div", { class: "head" }, element("h1", {}, "Calls"), element("div", { class: "fresh-place", role: "status" }, fresh)), shortcuts(query), filterForm(query, agents), nothing, rows, more);
  const looking = setInterval(async () => {
    if (document.hidden || asked.get("order") === "worst") return;
    try {
      const { calls } = await ask(`calls?${new URLSearchParams([...asked, ["limit", PAGE]])}`);
      const changed = calls.filter((call) => known.get(call.call_id) !== call.status).length;
      fresh.hidden = changed === 0;
      fresh.textContent = changed === 1 ? "Show 1 new or changed call" : `Show ${changed} new or changed calls`;
    } catch (error) {
      if (error.status !== 0) fail(error);
    }
  }, LOOK_MILLISECONDS);
  left.addEventListener("abort", () => clearInterval(looking));
}

/** The questions that are asked most, each a press away. The agent and the dates stay. */
function shortcuts(query) {
  const kept = ["agent", "since", "until"].filter((name) => query.get(name)).map((name) => [name, query.get(name)]);
  const choices = [["All", []], ["Worst first", [["order", "worst"]]], ["Unanswered", [["unanswered", "true"]]], ["Late answers", [["late", "true"]]], ["Failed", [["failed", "true"]]], ["Simulated", [["synthetic", "true"]]]];
  const links = choices.map(([text, wanted]) => {
    const address = new URLSearchParams([...kept, ...wanted]).toString();
    const isCurrent = address === new URLSearchParams([...query].sort(([one], [other]) => (kept.some(([name]) => name === one) ? 0 : 1) - (kept.some(([name]) => name === other) ? 0 : 1))).toString();
    return element("a", { href: address ? `#/calls?${address}` : "#/calls", "aria-current": isCurrent ? "true" : null }, text);
  });
  return element("nav", { class: "chips", "aria-label": "Often asked" }, links);
}

/** A call in a list: who, what came of it, and what was wrong. */
export function callRow(call) {
  const wrong = troubles(call);
  const total = call.latency.total;
  return element(
    "li",
    {},
    element(
      "a",
      { class: "card call", href: `#/calls/${encodeURIComponent(call.call_id)}`, "data-call": call.call_id },
      element("span", { class: "who" }, parties(call)),
      element("span", { class: `badge ${call.status}` }, call.status === "ended" ? call.direction : `${call.direction}, ${call.status}`),
      element("span", { class: "outcome", dir: "auto" }, whatCameOfIt(call)),
      wrong.length ? element("span", { class: "tags" }, wrong.map((text) => element("span", { class: "tag-bad" }, text))) : null,
      element(
        "span",
        { class: "when" },
        element("time", { datetime: call.started_at }, moment(call.started_at)),
        call.status === "ended" ? ` · ${span(call.duration_seconds ?? 0)}` : null,
        call.agent ? ` · ${call.agent}` : null,
        total ? ` · answers in ${seconds(total.p50)}, longest ${seconds(total.max)}` : null,
      ),
    ),
  );
}
