// Each answer's stages one after the other, against the time that an answer may take.

import { card, element } from "./elements.js";
import { milliseconds, seconds, STAGES } from "./words.js";

/** The answers of a call; null without any. */
export function waterfall(call) {
  const answers = call.turns.filter((turn) => turn.latency);
  if (!answers.length) return null;
  const budget = call.response_budget_seconds;
  const scale = 1.05 * Math.max(budget ?? 0, ...answers.map((turn) => turn.latency.total), 0.5);
  return card(
    "Answers by stage",
    element("p", { class: "hint" }, "From the caller's last sound to the answer's first.", budget ? ` The line marks ${seconds(budget)}, which an answer may take.` : ""),
    element("p", { class: "keys" }, STAGES.map(([stage, name]) => element("span", { class: "key" }, element("span", { class: `swatch stage ${stage}`, "aria-hidden": "true" }), name))),
    element("ol", { class: "waterfall" }, answers.map((turn) => bar(turn, scale, budget))),
  );
}

function bar({ number, text, latency }, scale, budget) {
  const told = STAGES.map(([stage, name]) => `${name} ${milliseconds(latency[stage])}`).join(", ");
  const parts = STAGES.map(([stage, name]) => {
    const part = element("span", { class: `stage ${stage}`, title: `${name}: ${milliseconds(latency[stage])}` });
    part.style.width = `${(100 * latency[stage]) / scale}%`;
    return part;
  });
  const limit = budget ? element("span", { class: "limit", "aria-hidden": "true" }) : null;
  if (limit) limit.style.left = `${(100 * budget) / scale}%`;
  return element(
    "li",
    {},
    element("span", { class: "said", dir: "auto" }, `${number}. ${text}`),
    element("div", { class: "track", role: "img", "aria-label": told }, parts, limit),
    element("span", { class: latency.budget_kept ? "total" : "total fault" }, seconds(latency.total), latency.budget_kept ? null : " late", latency.bridged ? " with a filler" : null),
  );
}
