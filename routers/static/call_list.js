// The list of calls: newest first, filtered by what is in the address, more on demand.

import { ask } from "./api.js";
import { element } from "./elements.js";
import { END_REASONS, abandoned, clock, endReason, fault, moment, parties, unanswered } from "./words.js";

const FILTERS = ["text", "status", "direction", "from", "to", "since", "until", "agent", "fault", "end_reason"];
const DATES = ["since", "until"];
const REFRESH_MILLISECONDS = 4000;
const PAGE = 25;

export async function callList(query, place, left, fail) {
  const wanted = new URLSearchParams(FILTERS.filter((name) => query.get(name)).map((name) => [name, query.get(name)]));
  const asked = new URLSearchParams([...wanted].map(([name, value]) => [name, DATES.includes(name) ? startOfDay(value) : value]));
  const rows = element("ul", { class: "calls" });
  const nothing = element("p", { class: "hint", hidden: true }, ...(wanted.size ? ["No calls match these filters."] : ["No calls yet. ", element("a", { href: "#/talk" }, "Talk to the agent"), "."]));
  const more = element("button", { type: "button", class: "quiet", hidden: true }, "Older calls");
  let older = null;
  let onFirstPage = true;

  async function page(cursor) {
    const parameters = new URLSearchParams([...asked, ["limit", PAGE], ...(cursor ? [["cursor", cursor]] : [])]);
    const { calls, next_cursor: next } = await ask(`calls?${parameters}`);
    if (left.aborted) return;
    older = next;
    more.hidden = !next;
    const items = calls.map(row);
    if (cursor) {
      rows.append(...items);
      items[0]?.querySelector("a").focus();
    } else {
      replaceKeepingFocus(rows, items);
      nothing.hidden = calls.length > 0;
    }
  }

  more.addEventListener("click", () => {
    onFirstPage = false;
    page(older).catch(fail);
  });
  await page();
  place.replaceChildren(element("h1", {}, "Calls"), filterForm(wanted), nothing, rows, more);
  const refreshing = setInterval(() => {
    if (onFirstPage && !document.hidden) page().catch(fail);
  }, REFRESH_MILLISECONDS);
  left.addEventListener("abort", () => clearInterval(refreshing));
}

/** The day begins in the reader's own zone, in which the list shows its times. */
function startOfDay(date) {
  const start = new Date(`${date}T00:00`);
  return Number.isNaN(start.valueOf()) ? date : start.toISOString();
}

function filterForm(wanted) {
  const select = (name, label, values) =>
    field(name, label, element("select", { id: name, name }, element("option", { value: "" }, "any"), values.map((value) => element("option", { value, selected: wanted.get(name) === value }, value))));
  const input = (name, label, type, placeholder, pattern) => field(name, label, element("input", { id: name, name, type, placeholder, pattern, value: wanted.get(name) }));
  const apply = (event) => {
    event.preventDefault();
    const given = [...new FormData(event.target)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
    location.hash = `#/?${new URLSearchParams(given)}`;
  };
  const open = wanted.size > 0 || matchMedia("(min-width: 40rem)").matches;
  const form = element(
    "form",
    { onsubmit: apply },
    input("text", "Words, number or id", "search", "table 4567"),
    select("status", "Status", ["ringing", "active", "ended"]),
    select("direction", "Direction", ["inbound", "outbound", "web"]),
    input("from", "Caller", "text", "+7…"),
    input("to", "Called", "text", "+7…"),
    input("agent", "Agent", "text"),
    input("fault", "Fault", "text", "ours, provider:…", "none|caller|carrier|ours|policy|provider:[^:]+"),
    select("end_reason", "Ended by", Object.keys(END_REASONS)),
    input("since", "Since", "date"),
    input("until", "Before", "date"),
    element("div", { class: "actions" }, element("button", { type: "submit" }, "Filter"), element("a", { href: "#/" }, "Clear")),
  );
  return element("details", { class: "filters card", open }, element("summary", {}, "Filters"), form);
}

function field(name, label, control) {
  return element("div", { class: "field" }, element("label", { for: name }, label), control);
}

function row(call) {
  const waits = unanswered(call);
  const fine = call.fault === "none" && !waits;
  const stage = call.status === "ended" ? abandoned(call.abandoned) ?? endReason(call.end_reason) : { ringing: "Ringing", active: "In progress" }[call.status];
  const outcome = [call.fault === "none" ? null : fault(call.fault), waits, stage].filter(Boolean).join(" ");
  return element(
    "li",
    {},
    element(
      "a",
      { class: "card call", href: `#/calls/${encodeURIComponent(call.call_id)}`, "data-call": call.call_id },
      element("span", { class: "who" }, parties(call)),
      element("span", { class: `badge ${call.status}` }, call.status === "ended" ? call.direction : `${call.direction}, ${call.status}`),
      element("span", { class: fine ? "outcome" : "outcome fault" }, outcome),
      element("span", { class: "when" }, element("time", { datetime: call.started_at }, moment(call.started_at)), call.status === "ended" ? ` · ${clock(call.duration_seconds)}` : null, latencyOf(call)),
    ),
  );
}

function latencyOf(call) {
  const total = call.latency.total;
  return total ? ` · answers in ${total.p50.toFixed(2)} s` : null;
}

function replaceKeepingFocus(rows, items) {
  const focused = document.activeElement?.dataset?.call;
  rows.replaceChildren(...items);
  if (focused) [...rows.querySelectorAll("a")].find((link) => link.dataset.call === focused)?.focus();
}
