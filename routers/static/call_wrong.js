// What went wrong in a call, first and in one place, each with the moment at which to listen.

import { timeOf } from "./call_turns.js";
import { element } from "./elements.js";
import { failure, fault, seconds, toolOutcome } from "./words.js";

export function wentWrong(call, hear) {
  const found = [
    ...call.turns.filter((turn) => turn.waited_seconds !== null).map((turn) => [turn.started_at, `Turn ${turn.number} of the caller was never answered: they waited ${turn.waited_seconds.toFixed(1)} s.`]),
    ...call.turns.filter((turn) => turn.latency && !turn.latency.budget_kept).map((turn) => [turn.started_at, lateness(turn, call)]),
    ...call.failures.filter(({ stage, answer }) => stage !== "act" && answer !== "late").map((failed) => [failed.at, `${failure(failed)}.`]),
    ...call.tools.filter((tool) => ["failed", "unknown"].includes(tool.outcome)).map((tool) => [tool.called_at, `Tool ${tool.name}: ${toolOutcome(tool)}${whyOf(tool, call)}.`]),
    ...call.recording.gaps.map(([from, to]) => [from, `The recording misses ${(to - from).toFixed(1)} s.`]),
  ].sort(([one], [other]) => one - other);
  const isToBlame = call.fault && call.fault !== "none";
  if (!found.length && !isToBlame) {
    return element("section", { class: "card fine", "aria-label": "What went wrong" }, element("p", {}, "Nothing went wrong: every turn was answered in time, and nothing failed."));
  }
  return element(
    "section",
    { class: "card wrong-card", "aria-label": "What went wrong" },
    element("h2", {}, "What went wrong"),
    isToBlame ? element("p", { class: "fault" }, fault(call.fault), call.end_detail ? ` (${call.end_detail})` : null) : null,
    found.length ? element("ol", { class: "wrongs" }, found.map(([at, text]) => element("li", {}, timeOf(at, hear), " ", text))) : null,
  );
}

/** What is known of a tool's failure: the one of its turn. */
function whyOf(tool, call) {
  const failed = call.failures.find(({ stage, number }) => stage === "act" && number === tool.number);
  const known = [tool.status ? `status ${tool.status}` : null, failed?.code, failed?.reason === failed?.code ? null : failed?.reason].filter(Boolean);
  return known.length ? `: ${known.join(", ")}` : "";
}

function lateness({ number, latency }, call) {
  const slowest = Object.entries(NAMES).reduce((worst, [stage, name]) => (latency[stage] > worst[1] ? [name, latency[stage]] : worst), ["", 0]);
  const allowed = call.response_budget_seconds ? ` of ${seconds(call.response_budget_seconds)} allowed` : "";
  return `Answer ${number} came after ${seconds(latency.total)}${allowed}; most of it was ${slowest[0]}, ${seconds(slowest[1])}.`;
}

const NAMES = {
  end_of_turn: "the end of turn",
  llm_first_token: "the language model's first token",
  first_clause: "the first clause",
  tts_first_audio: "the voice's first audio",
  playout: "playout",
};
