// Which time the figures are of. Up to two weeks are shown by hour, in the reader's own days; longer times by UTC day.

const HOUR = 3600e3;
const DAY = 24 * HOUR;
const HOURS_MAX = 14;

/** Ranges by name: days before today at which they begin and end. */
export const RANGES = {
  today: { text: "Today", from: 0, to: 1 },
  yesterday: { text: "Yesterday", from: -1, to: 0 },
  week: { text: "7 days", from: -6, to: 1 },
  month: { text: "30 days", from: -29, to: 1 },
  quarter: { text: "90 days", from: -89, to: 1 },
};

/** `since` and `until` as dates, `bucket`, and the `name` of the range; null if days were chosen. */
export function rangeOf(query) {
  const chosen = [query.get("from"), query.get("to")].map((day) => new Date(`${day}T00:00`));
  if (chosen.every((day) => !Number.isNaN(day.valueOf())) && chosen[0] <= chosen[1]) return between(chosen[0], dayAfter(chosen[1], 1), null);
  const name = query.get("range") in RANGES ? query.get("range") : "today";
  const midnight = new Date(new Date().setHours(0, 0, 0, 0));
  return between(dayAfter(midnight, RANGES[name].from), dayAfter(midnight, RANGES[name].to), name);
}

function between(since, until, name) {
  const bucket = until - since <= HOURS_MAX * DAY ? "hour" : "day";
  return { since, until, bucket, name };
}

/** Days are not always as long as each other. */
function dayAfter(day, count) {
  const other = new Date(day);
  other.setDate(other.getDate() + count);
  return other;
}

/** A date as an input of days has it. */
export const calendarDay = (at) => `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`;

/** Every hour or day of the range until now, in order, also those without calls; `at` is its beginning. */
export function bucketsOf({ since, until, bucket }, found) {
  const length = bucket === "hour" ? HOUR : DAY;
  const known = new Map(found.map((each) => [new Date(each.starts_at).valueOf(), each]));
  const first = Math.floor(since / length) * length;
  const end = Math.min(until, Date.now());
  const all = [];
  for (let at = first; at < end; at += length) all.push({ ...EMPTY, ...known.get(at), at: new Date(at) });
  return all;
}

const EMPTY = { calls: 0, answers: 0, unanswered_turns: 0, late_answers: 0, faults: {}, costs: { total: 0 }, latency: {} };
