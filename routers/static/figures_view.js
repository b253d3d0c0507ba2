// Figures over all calls of a time, each of which leads to its calls.

import { ask } from "./api.js";
import { callRow } from "./call_list.js";
import { barChart, lineChart } from "./charts.js";
import { card, element, field, table } from "./elements.js";
import { bucketsOf, calendarDay, rangeOf, RANGES } from "./figures_range.js";
import { counted, faultKind, endReason, milliseconds, money, percent, seconds, STAGES } from "./words.js";

const WORST = 6;
const COUNTS = { unit: String, tick: (value) => (Number.isInteger(value) ? String(value) : "") };
const BLAMELESS = ["none", "caller", "policy"];

export async function figuresView(query, place, left) {
  const range = rangeOf(query);
  const times = { since: range.since.toISOString(), until: range.until.toISOString() };
  const [stats, worst] = await Promise.all([ask(`stats?${new URLSearchParams({ ...times, bucket: range.bucket })}`), ask(`calls?${new URLSearchParams({ ...times, order: "worst", limit: WORST })}`)]);
  if (left.aborted) return;
  const { total } = stats;
  const callsOf = (wanted) => `#/calls?${new URLSearchParams({ ...times, ...wanted })}`;
  place.replaceChildren(
    element("h1", {}, "Figures"),
    choices(range),
    ...(total.calls ? figures(stats, worst.calls, range, callsOf, left) : [element("p", { class: "hint" }, "No call has begun and ended in this time.")]),
  );
}

function figures(stats, worst, range, callsOf, left) {
  const { total, agents } = stats;
  const buckets = bucketsOf(range, stats.buckets);
  return [
    tiles(total, callsOf),
    worst.length
      ? element("section", { class: "worst", "aria-label": "Worst calls" }, element("h2", {}, "Worst calls"), element("ul", { class: "calls" }, worst.map(callRow)), element("p", { class: "after" }, element("a", { href: callsOf({ order: "worst" }) }, "All calls with trouble, worst first")))
      : element("p", { class: "card fine" }, "No call of this time had a failure, a late answer or an unanswered turn."),
    element(
      "div",
      { class: "charts" },
      barChart(`Calls by ${range.bucket}`, buckets, [["Without a failure", "accent", (each) => each.calls - failedOf(each)], ["With a failure", "bad", failedOf]], { left, ...COUNTS }),
      lineChart(`Time to answer by ${range.bucket}`, buckets, [["Median", "accent", (each) => each.latency?.total?.p50], ["95th percentile", "llm_first_token", (each) => each.latency?.total?.p95], ["99th percentile", "bad", (each) => each.latency?.total?.p99]], { left, unit: seconds }),
      barChart(`Unanswered turns and late answers by ${range.bucket}`, buckets, [["Late answers", "tts_first_audio", (each) => each.late_answers], ["Unanswered turns", "bad", (each) => each.unanswered_turns]], { left, ...COUNTS }),
      barChart(`Cost by ${range.bucket}`, buckets, [["US dollars", "accent", (each) => each.costs?.total ?? 0]], { left, unit: money, tick: (value) => `$${Number(value.toFixed(4))}` }),
    ),
    element(
      "div",
      { class: "halves" },
      shares("How calls ended", total.end_reasons, total.calls, endReason, (code) => callsOf({ end_reason: code })),
      shares("Where the fault lay", total.faults, total.calls, faultKind, (code) => callsOf({ fault: code })),
      Object.keys(total.outcomes).length ? shares("Outcomes, of the calls that were analysed", total.outcomes, Object.values(total.outcomes).reduce((sum, count) => sum + count, 0), (code) => ({ success: "Success", failure: "No success" })[code] ?? code, () => null) : null,
      stages(total),
      costs(total),
    ),
    card("By agent", table("By agent", ["Agent", "Calls", "Unanswered turns", "Late answers", "With a failure", "Median answer", "p95", "Cost"], agents.map((each) => [
      each.agent ? element("a", { href: callsOf({ agent: each.agent }) }, each.agent) : "(none)",
      String(each.calls), String(each.unanswered_turns), `${each.late_answers} (${percent(each.late_answers, each.answers)})`, String(failedOf(each)), timeOf(each, "p50"), timeOf(each, "p95"), money(each.costs.total),
    ]))),
    element("details", { class: "card" }, element("summary", {}, `Every ${range.bucket} as a table`), byTime(buckets, range)),
  ];
}

const failedOf = (each) => (each.faults ? Object.entries(each.faults).reduce((sum, [code, count]) => (BLAMELESS.includes(code) ? sum : sum + count), 0) : 0);

const timeOf = ({ latency }, name) => (latency?.total ? seconds(latency.total[name]) : "–");

function choices(range) {
  const links = Object.entries(RANGES).map(([name, { text }]) => element("a", { href: `#/figures?range=${name}`, "aria-current": range.name === name ? "true" : null }, text));
  const day = (name, label, at) => field(label, element("input", { id: name, name, type: "date", required: true, value: calendarDay(at) }));
  const apply = (event) => {
    event.preventDefault();
    location.hash = `#/figures?${new URLSearchParams(new FormData(event.target))}`;
  };
  const last = new Date(range.until.valueOf() - 1);
  return element(
    "div",
    { class: "ranges" },
    element("nav", { class: "chips", "aria-label": "Time" }, links),
    element("details", { open: range.name === null }, element("summary", {}, "Other days"), element("form", { class: "row", onsubmit: apply }, day("from", "From", range.since), day("to", "To the end of", last), element("button", { type: "submit", class: "quiet" }, "Show"))),
  );
}

function tiles(total, callsOf) {
  const failed = failedOf(total);
  const tile = (name, value, more, href, bad) => {
    const inside = [element("span", { class: "hint" }, name), element("span", { class: bad ? "number fault" : "number" }, value), element("span", { class: "hint" }, more)];
    return element("li", {}, href ? element("a", { class: "card tile", href }, inside) : element("div", { class: "card tile" }, inside));
  };
  const answers = total.latency.total;
  return element(
    "ul",
    { class: "tiles" },
    tile("Calls", String(total.calls), `${total.answered} answered`, callsOf({})),
    tile("Unanswered turns", String(total.unanswered_turns), `in ${counted(total.unanswered_calls, "call")}`, callsOf({ unanswered: "true", order: "worst" }), total.unanswered_turns > 0),
    tile("Late answers", String(total.late_answers), `${percent(total.late_answers, total.answers)} of ${total.answers}`, callsOf({ late: "true", order: "worst" }), total.late_answers > 0),
    tile("Calls with a failure", String(failed), percent(failed, total.calls), callsOf({ failed: "true", order: "worst" }), failed > 0),
    tile("Time to answer", answers ? seconds(answers.p50) : "–", answers ? `median; p95 ${seconds(answers.p95)}` : "no answers"),
    tile("Cost", money(total.costs.total), total.costs.unpriced_calls ? `without ${counted(total.costs.unpriced_calls, "call")} of unknown price` : `${money(total.answered ? total.costs.total / total.answered : 0)} a call`),
  );
}

/** Counts with bars, the largest first; each leads to its calls. */
function shares(title, counts, all, named, href) {
  const rows = Object.entries(counts).sort(([, one], [, other]) => other - one).map(([code, count]) => {
    const fill = element("span", { class: "fill" });
    fill.style.width = `${(100 * count) / all}%`;
    const name = named(code).replace(/\.$/, "");
    const address = href(code);
    return element("li", {}, address ? element("a", { href: address }, name) : element("span", {}, name), element("span", { class: "count" }, `${count} · ${percent(count, all)}`), element("span", { class: "share", "aria-hidden": "true" }, fill));
  });
  return rows.length ? card(title, element("ul", { class: "shares" }, rows)) : null;
}

function stages({ latency }) {
  const rows = [...STAGES, ["total", "Total"]].filter(([stage]) => latency[stage]).map(([stage, name]) => [name, ...["p50", "p95", "p99", "max"].map((which) => milliseconds(latency[stage][which]))]);
  return rows.length ? card("Answers by stage", table("Answers by stage", ["Stage", "Median", "p95", "p99", "Longest"], rows)) : null;
}

function costs({ costs: found }) {
  const parts = [["stt", "Speech recognition"], ["llm", "Language model"], ["tts", "Speech synthesis"], ["telephony", "Telephony"], ["total", "Total"]];
  return card("Costs", table("Costs", ["For", "US dollars"], parts.map(([part, name]) => [name, money(found[part])])));
}

function byTime(buckets, range) {
  const rows = buckets.map((each) => [
    each.at.toLocaleString([], range.bucket === "day" ? { dateStyle: "medium", timeZone: "UTC" } : { dateStyle: "short", timeStyle: "short" }),
    ...[each.calls, failedOf(each), each.unanswered_turns, each.late_answers].map(String), timeOf(each, "p50"), timeOf(each, "p95"), money(each.costs?.total ?? 0),
  ]);
  return table(`Figures by ${range.bucket}`, [range.bucket === "day" ? "Day (UTC)" : "Hour", "Calls", "With a failure", "Unanswered turns", "Late answers", "Median answer", "p95", "Cost"], rows);
}
