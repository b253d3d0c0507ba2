// What the service's codes mean, in plain words, and how its numbers are written.

const END_REASONS = {
  caller_hangup: "The caller hung up.",
  agent_hangup: "The agent said goodbye and hung up.",
  silence: "Nobody spoke, so the agent said goodbye.",
  max_duration: "The call reached its longest duration.",
  transferred: "The caller was handed over to a person.",
  operator_hangup: "An operator hung up.",
  media_lost: "The connection broke.",
  media_timeout: "No sound came from the caller's side any more.",
  rejected_capacity: "All places for calls were taken.",
  rejected_policy: "The rules do not allow this call.",
  no_answer: "Nobody answered.",
  busy: "The number was busy.",
  declined: "The call was declined.",
  invalid_number: "The number does not exist.",
  carrier_error: "The carrier could not connect the call.",
  provider_failure: "A vendor failed, and the agent apologised and ended the call.",
  spending_limit: "The spending limit was reached.",
  shutdown: "The service was being stopped.",
  crashed: "The process that held the call died.",
  internal_error: "A mistake in the service ended the call.",
};

const FAULTS = {
  none: "Nothing went wrong.",
  caller: "Something went wrong on the caller's side.",
  carrier: "Something went wrong at the carrier.",
  ours: "Something went wrong on our side.",
  policy: "The rules of the service ended it.",
};

const STATES = { LISTENING: "listening", PROCESSING: "thinking", SPEAKING: "speaking" };

export const STAGES = [
  ["end_of_turn", "Noticing that the caller has finished"],
  ["llm_first_token", "First word of the model"],
  ["first_clause", "First clause of the model"],
  ["tts_first_audio", "First sound of the voice"],
  ["playout", "Handing it to the line"],
];

export const endReason = (code) => END_REASONS[code] ?? code;

export function fault(code) {
  const [kind, vendor] = (code ?? "none").split(":");
  return kind === "provider" ? `${vendor} failed during the call.` : FAULTS[kind] ?? code;
}

export const stateOf = (code) => STATES[code.toUpperCase()] ?? code;

export const moment = (iso) => (iso ? new Date(iso).toLocaleString() : null);

/** Seconds as m:ss. */
export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export const milliseconds = (seconds) => `${Math.round(seconds * 1000)} ms`;

export const money = (amount, currency) =>
  amount === null || amount === undefined ? "not known" : `${amount.toFixed(4)} ${currency ?? ""}`.trim();

/** Who talks to whom. */
export function parties(call) {
  const caller = call.caller_number ?? (call.direction === "web" ? "A web client" : "Withheld number");
  return call.called_number ? `${caller} → ${call.called_number}` : caller;
}
