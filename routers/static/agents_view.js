// The agents that answer, each with its numbers and languages, and what is wrong with the files that were refused.

import { ask } from "./api.js";
import { card, element, table } from "./elements.js";

const HASH_SHOWN = 12;

export async function agentsView(_query, place, left) {
  const { agents, default: first, problems } = await ask("agents");
  if (left.aborted) return;
  const rows = agents.map((agent) => [
    agent.name === first ? `${agent.name} (default)` : agent.name,
    element("span", { class: "links" }, element("a", { href: `#/talk?${new URLSearchParams({ agent: agent.name })}` }, "Talk"), " · ", element("a", { href: `#/calls?${new URLSearchParams({ agent: agent.name })}` }, "Calls")),
    agent.numbers.join(", ") || "none",
    agent.languages.join(", "),
    element("code", { title: agent.version }, agent.version.slice(0, HASH_SHOWN)),
  ]);
  place.replaceChildren(element("h1", {}, "Agents"), ...refused(problems), card("All agents", table("Agents", ["Agent", "", "Numbers", "Languages", "Version"], rows, { words: true })));
}

function refused(problems) {
  if (problems.length === 0) return [];
  const list = element("ul", {}, problems.map((problem) => element("li", { class: "wrong" }, problem)));
  return [element("section", { class: "card" }, element("h2", {}, "Refused files"), element("p", {}, "Their agents stay as they were."), list)];
}
