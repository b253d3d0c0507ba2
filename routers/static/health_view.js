// The state of the service: vendors, circuit breakers, limits and their use, workers, webhooks, and what today has cost.

import { ask } from "./api.js";
import { card, element, facts, table } from "./elements.js";
import { milliseconds, moment, money, percent } from "./words.js";

const LOOK_MILLISECONDS = 5000;
const STATES = { ok: "Works", degraded: "Degraded", failed: "Failed", starting: "Starting", stale: "Not checked lately", draining: "Stopping" };
const BREAKERS = { closed: "closed: requests go through", half_open: "half open: one request tries", open: "open: nothing is asked" };

export async function healthView(_query, place, left, fail) {
  const body = element("div", { class: "halves" });
  const state = element("p", { class: "lead", role: "status" });
  const draw = (health) => {
    const bad = health.components.filter((part) => part.status !== "ok");
    state.textContent = health.status === "ok" ? "Everything works." : bad.length ? `${STATES[health.status] ?? health.status}: ${bad.map((part) => part.name).join(", ")}` : STATES[health.status] ?? health.status;
    state.classList.toggle("fault", health.status !== "ok");
    const parts = [components(health), vendorLimits(health), spending(health), webhooks(health), running(health)];
    // An unchanged part stays as it is: a reader who selects text or scrolls a table is not disturbed.
    parts.forEach((part, index) => {
      const before = body.children[index];
      if (!before) body.append(part);
      else if (before.textContent !== part.textContent) before.replaceWith(part);
    });
  };
  const health = await ask("health");
  if (left.aborted) return;
  draw(health);
  place.replaceChildren(element("h1", {}, "Health"), state, body);
  const looking = setInterval(async () => {
    if (document.hidden) return;
    try {
      const now = await ask("health");
      if (!left.aborted) draw(now);
    } catch (error) {
      if (error.status === 0) state.textContent = "The service is out of reach. What you see is old.";
      else fail(error);
    }
  }, LOOK_MILLISECONDS);
  left.addEventListener("abort", () => clearInterval(looking));
}

function components({ components: parts }) {
  const rows = parts.map((part) => [
    part.name,
    element("span", {}, element("span", { class: part.status === "ok" ? "state-ok" : "state-bad" }, STATES[part.status] ?? part.status), part.detail ? element("span", { class: "detail" }, part.detail) : null),
    part.latency === null || part.latency === undefined ? "–" : milliseconds(part.latency),
    part.breaker ? BREAKERS[part.breaker] ?? part.breaker : "–",
    part.last_success ? moment(part.last_success) : "–",
  ]);
  const wide = card("Vendors and parts", table("Vendors and parts", ["Part", "State", "Median latency", "Circuit breaker", "Last success"], rows, { words: true }));
  wide.classList.add("wide");
  return wide;
}

function vendorLimits({ limits }) {
  const vendors = limits?.vendors ?? [];
  const rows = vendors.map((each) => [
    each.limit,
    each.concurrent === null ? `${each.in_use}` : `${each.in_use} of ${each.concurrent}`,
    String(each.waiting),
    Object.entries(each.left).map(([kind, share]) => `${percent(share, 1)} of ${kind.replaceAll("_", " ")}`).join(", ") || "not stated",
    each.paused_seconds ? `for ${each.paused_seconds} s` : "no",
  ]);
  const made = card("Limits of the vendors", rows.length ? table("Limits of the vendors", ["Limit", "In use", "Waiting", "Allowance left", "Paused by the vendor"], rows, { words: true }) : element("p", { class: "hint" }, "No vendor was asked yet."), element("p", { class: "hint" }, "Requests under way in the worker that answers this page."));
  made.classList.add("wide");
  return made;
}

function spending({ spending: today, limits }) {
  if (!today) return card("Spending today", element("p", { class: "hint" }, "Not known yet."));
  const limit = today.limit_usd;
  const used = today.spent_usd + today.reserved_usd;
  const bar = limit ? element("meter", { min: 0, max: limit, value: Math.min(used, limit), high: 0.8 * limit, "aria-label": "Share of the limit of the day that is used" }) : null;
  return card(
    "Spending today",
    element("p", { class: "number" }, money(today.spent_usd)),
    bar,
    facts([
      ["Reserved by live calls", money(today.reserved_usd)],
      ["Limit of a day", limit ? money(limit) : "none"],
      ["Limit of a call", limits?.call_usd ? money(limits.call_usd) : "none"],
      ["Calls of unknown cost", String(today.unknown_calls)],
      ["Day (UTC)", today.day],
    ]),
  );
}

function webhooks({ webhooks: queue }) {
  if (!queue) return card("Webhooks", element("p", { class: "hint" }, "Not known."));
  return card(
    "Webhooks",
    facts([
      ["Waiting", String(queue.waiting)],
      ["Oldest of them", queue.oldest ? moment(queue.oldest) : null],
      ["Given up in the last day", String(queue.died)],
      ["Given up in all", String(queue.dead)],
      ["Endpoints that are off", String(queue.switched_off)],
    ]),
    element("p", {}, element("a", { href: queue.dead ? "#/webhooks?status=dead" : "#/webhooks?status=pending" }, "Show them")),
  );
}

function running({ live_calls: live, limits, workers, version, schema, failing_loops: failing }) {
  return card("The service", facts([
    ["Live calls", limits ? `${live} of ${limits.calls} possible` : String(live)],
    ["Workers", String(workers)],
    ["Outbound calls a day", limits ? `at most ${limits.dials_per_day}` : null],
    ["To one number in an hour", limits ? `at most ${limits.dials_per_number_hour}` : null],
    ["Failing background work", failing.length ? failing.join(", ") : "none"],
    ["Version", version],
    ["Database revision", schema],
  ]));
}
