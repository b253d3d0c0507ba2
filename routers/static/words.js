// The service's codes in plain words, and how numbers are written.

export const END_REASONS = {
  caller_hangup: "The caller hung up.",
  agent_hangup: "The agent said goodbye and hung up.",
  silence: "Nobody spoke, so the agent said goodbye.",
  max_duration: "The call reached its time limit.",
  transferred: "The caller was transferred to a person.",
  operator_hangup: "An operator hung up.",
  media_lost: "The connection broke.",
  message_taken: "The agent could not serve the call, and the caller left a message.",
  media_timeout: "The caller's side stopped sending sound.",
  rejected_capacity: "All places for calls were taken.",
  rejected_policy: "The service's rules do not allow this call.",
  no_answer: "Nobody answered.",
  busy: "The number was busy.",
  declined: "The call was declined.",
  invalid_number: "The number does not exist.",
  carrier_error: "The carrier could not connect the call.",
  provider_failure: "A vendor failed, and the agent apologised and ended the call.",
  spending_limit: "The spending limit was reached.",
  shutdown: "The service was shutting down.",
  crashed: "The process that held the call died.",
  internal_error: "A bug in the service ended the call.",
};

const FAULTS = {
  none: "No failure was noted.",
  caller: "Something went wrong on the caller's side.",
  carrier: "Something went wrong at the carrier.",
  ours: "Something went wrong on our side.",
  policy: "The rules of the service ended it.",
};

const FAULT_KINDS = { none: "No fault", caller: "Caller's side", carrier: "Carrier", ours: "This service", policy: "Rules of the service" };

const ABANDONED = {
  ringing: "The caller hung up before the call was answered.",
  early: "The caller hung up within ten seconds.",
  waiting: "The caller hung up while they waited.",
};

const STAGE_FAILED = {
  listen: "could not hear",
  think: "gave no answer",
  speak: "could not speak",
  act: "could not do what it was asked",
};

const STATES = { LISTENING: "listening", PROCESSING: "thinking", SPEAKING: "speaking" };

export const STAGES = [
  ["end_of_turn", "End of turn"],
  ["llm_first_token", "Time to first token"],
  ["first_clause", "First clause"],
  ["tts_first_audio", "Time to first audio"],
  ["playout", "Playout"],
];

export const endReason = (code) => END_REASONS[code] ?? code;

/** When the caller gave the call up, or null when they did not. */
export const abandoned = (code) => (code ? ABANDONED[code] ?? code : null);

/** How many turns were never answered, and how long the caller waited at most; null when all were. */
export function unanswered(call) {
  const { count, waited_seconds: waited } = call.unanswered ?? { count: 0 };
  if (!count) return null;
  const longest = Math.max(...waited).toFixed(1);
  return count === 1 ? `One turn was never answered: the caller waited ${longest} s.` : `${count} turns were never answered: the caller waited up to ${longest} s.`;
}

/** One line that says what came of a call: what its analysis found, else how it ended. */
export function whatCameOfIt(call) {
  if (call.status !== "ended") return { ringing: "Ringing", active: "In progress" }[call.status] ?? call.status;
  if (call.analysis?.status === "done" && call.analysis.summary) return call.analysis.summary;
  if (call.message?.text) return `Message: ${call.message.text}`;
  return abandoned(call.abandoned) ?? endReason(call.end_reason);
}

/** What was wrong with a call, in a few words each. */
export function troubles(call) {
  const count = call.unanswered?.count ?? 0;
  const late = call.late_answers ?? 0;
  return [
    count ? `${count} unanswered` : null,
    call.fault && call.fault !== "none" ? faultKind(call.fault) : null,
    late ? `${late} late` : null,
    call.analysis?.success === false ? "no success" : null,
  ].filter(Boolean);
}

/** What failed, and whatever is known of it. */
export function failure({ provider, stage, code, reason, request_id: request, answer }) {
  if (answer === "late") return `${provider} had not begun to answer, so another model was asked too`;
  const manner = { cut: "cut the answer short", refused: "refused what was said" }[answer] ?? STAGE_FAILED[stage] ?? `failed (${stage})`;
  const details = [code, reason === code ? null : reason, request ? `request ${request}` : null].filter(Boolean);
  return `${provider} ${manner}: ${details.join(", ")}`;
}

/** The service of a vendor that is asked at that stage. */
export const stageName = (code) => ({ listen: "Speech recognition", think: "Language model", speak: "Speech synthesis", act: "Tool" })[code] ?? code;

export function fault(code) {
  const [kind, vendor] = (code ?? "none").split(":");
  return kind === "provider" ? `${vendor} failed during the call.` : FAULTS[kind] ?? code;
}

/** Where the fault lies, as a name. */
export function faultKind(code) {
  const [kind, vendor] = code.split(":");
  return kind === "provider" ? `${vendor} failed` : FAULT_KINDS[kind] ?? code;
}

export const toolOutcome = ({ outcome, seconds }) => {
  const said = { ok: "done", failed: "failed", running: "running", unknown: "called, outcome unknown" }[outcome] ?? outcome;
  return seconds === null ? said : `${said} after ${seconds.toFixed(1)} s`;
};

export const stateOf = (code) => STATES[code.toUpperCase()] ?? code;

export const moment = (iso) => (iso ? new Date(iso).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : null);

/** Seconds as m:ss. */
export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** How long something lasted: 8 s, or 1 min 20 s. */
export function span(seconds) {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

export const milliseconds = (seconds) => `${Math.round(seconds * 1000)} ms`;

export const seconds = (value) => `${value.toFixed(2)} s`;

export const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(part && part < whole / 10 ? 1 : 0)} %` : "–");

/** US dollars, small ones to a hundredth of a cent. */
export function money(amount) {
  if (amount === null || amount === undefined) return "not known";
  if (amount > 0 && amount < 0.0001) return "below $0.0001";
  return `$${amount.toFixed(amount && amount < 1 ? 4 : 2)}`;
}

const WITHOUT_NUMBER = { browser: "Browser (Talk)", simulated: "Simulated caller" };

/** The caller and the called number. */
export function parties(call) {
  const caller = call.caller_number ?? (call.direction === "web" ? "Web client" : "Withheld number");
  return call.called_number ? `${caller} → ${call.called_number}` : WITHOUT_NUMBER[caller] ?? caller;
}
