// The form above the list of calls, and what it asks of the service.

import { element, field, select } from "./elements.js";
import { END_REASONS } from "./words.js";

const PLAIN = ["text", "status", "direction", "from", "to", "agent", "fault", "end_reason", "unanswered", "late", "failed", "synthetic", "order"];
const DATES = ["since", "until"];
const FAULTS = [["", "any"], ["none", "none"], ["caller", "the caller's side"], ["carrier", "the carrier"], ["ours", "this service"], ["policy", "a rule of the service"]];
const OUTCOME = /^([a-z][a-z0-9_]*)\s*=\s*(.+)$/;

/** What `GET /calls` is asked for by a view's address. */
export function queryOf(query) {
  const asked = new URLSearchParams();
  for (const [name, value] of query) {
    if (PLAIN.includes(name)) asked.set(name, value);
    else if (DATES.includes(name)) asked.set(name, startOfDay(value));
    const [, outcome, wanted] = name === "outcome" ? value.match(OUTCOME) ?? [] : [];
    if (outcome) asked.set(`outcome.${outcome}`, wanted);
  }
  return asked;
}

/** A date begins in the reader's own zone, in which the list shows its times; a moment stays as it is. */
function startOfDay(date) {
  const start = new Date(/^\d{4}-\d\d-\d\d$/.test(date) ? `${date}T00:00` : date);
  return Number.isNaN(start.valueOf()) ? date : start.toISOString();
}

export function filterForm(query, agents) {
  const input = (name, label, type, more = {}) => field(label, element("input", { id: name, name, type, value: valueOf(query, name, type), ...more }));
  const choice = (name, label, values) => field(label, select({ id: name, name }, values, query.get(name) ?? ""));
  const check = (name, label) => element("label", { class: "check" }, element("input", { type: "checkbox", name, value: "true", checked: query.get(name) === "true" }), label);
  const apply = (event) => {
    event.preventDefault();
    const given = [...new FormData(event.target)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
    location.hash = `#/calls?${new URLSearchParams(given)}`;
  };
  const vendor = (query.get("fault") ?? "").startsWith("provider:") ? [[query.get("fault"), `${query.get("fault").slice(9)}, a vendor`]] : [];
  const wanted = [...query].filter(([name]) => name !== "order" && name !== "text").length;
  return element(
    "form",
    { class: "filters card", onsubmit: apply, role: "search" },
    element("div", { class: "search" }, element("label", { class: "unseen", for: "text" }, "Words, number or id"), element("input", { id: "text", name: "text", type: "search", value: query.get("text"), placeholder: "Words, part of a number, or id" }), element("button", { type: "submit" }, "Search")),
    element(
      "details",
      { open: wanted > 0 },
      element("summary", {}, wanted ? `Filters (${wanted})` : "Filters"),
      element(
        "div",
        { class: "grid" },
        choice("agent", "Agent", [["", "any"], ...agents.map(({ name }) => name)]),
        choice("status", "Status", [["", "any"], "ringing", "active", "ended"]),
        choice("direction", "Direction", [["", "any"], "inbound", "outbound", "web"]),
        choice("end_reason", "How it ended", [["", "any"], ...Object.entries(END_REASONS).map(([code, words]) => [code, words.replace(/\.$/, "")])]),
        choice("fault", "Fault lies with", [...FAULTS, ...vendor]),
        input("outcome", "Outcome", "text", { placeholder: "booked=true", pattern: "\\s*[a-z][a-z0-9_]*\\s*=.+", title: "The name of an outcome's field, =, and its value" }),
        input("from", "Caller's number", "text", { placeholder: "4567", inputmode: "tel" }),
        input("to", "Called number", "text", { placeholder: "+7…", inputmode: "tel" }),
        input("since", "From day", "date"),
        input("until", "Before day", "date"),
        element("fieldset", {}, element("legend", {}, "Only calls with"), check("unanswered", "unanswered turns"), check("late", "late answers"), check("failed", "a failure"), check("synthetic", "a simulated caller")),
        choice("order", "Order", [["", "newest first"], ["worst", "worst first"]]),
        element("div", { class: "actions" }, element("button", { type: "submit" }, "Apply"), element("a", { href: "#/calls" }, "Clear")),
      ),
    ),
  );
}

/** Figures link with exact moments; the form shows the day in which they lie. */
function valueOf(query, name, type) {
  const value = query.get(name);
  if (type !== "date" || !value || value.length === 10) return value;
  const at = new Date(value);
  return Number.isNaN(at.valueOf()) ? null : `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`;
}
