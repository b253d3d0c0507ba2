// What is said in a live call, as its journal tells it: words while they are heard, answers while they are spoken.

import { element } from "./elements.js";

export function liveTranscript() {
  const log = element("section", { class: "turns", role: "log", "aria-label": "What is said" });
  const answers = new Map(); // by the number of the agent's speech
  let interim = null;

  function turn(kind, who, text) {
    const said = element("p", { class: "said", dir: "auto" }, text);
    const shown = element("article", { class: `turn ${kind}` }, element("p", { class: "meta" }, who), said);
    log.append(shown);
    shown.scrollIntoView({ block: "nearest" });
    return { shown, said };
  }

  /** The words of the caller's open turn; null ends it. */
  function hear(text) {
    if (text) (interim ??= turn("caller interim", "You", "")).said.textContent = text;
    else {
      interim?.shown.remove();
      interim = null;
    }
  }

  function speaks({ speech, kind, stamps }) {
    const answer = turn("agent", kind === "filler" ? "Agent, while it prepares the answer" : "Agent", "");
    answers.set(speech, answer);
    if (kind !== "reply" || !stamps?.last_voiced) return;
    const seconds = stamps.first_frame - stamps.last_voiced;
    answer.shown.append(element("p", { class: "meta" }, `answered after ${seconds.toFixed(2)} s`));
  }

  function stops({ speech, heard, generated }) {
    const answer = answers.get(speech);
    if (!answer) return;
    const unheard = generated?.startsWith(heard) ? generated.slice(heard.length) : "";
    answer.said.replaceChildren(heard, ...(unheard ? [element("span", { class: "unheard" }, element("span", { class: "tag" }, "not heard:"), unheard)] : []));
  }

  const rows = {
    "caller.words": ({ text }) => hear(text),
    "caller.turn_resumed": ({ text }) => hear(text),
    "caller.ignored": () => hear(null),
    "turn.taken": ({ text }) => {
      hear(null);
      turn("caller", "You", text);
    },
    "agent.reply_started": speaks,
    "agent.clause_started": ({ speech, text }) => answers.get(speech)?.said.append(text),
    "agent.interrupted": stops,
    "agent.finished": stops,
    "agent.tool_called": ({ name }) => turn("aside", `Tool ${name}`, "called"),
    "provider.failed": ({ provider, reason }) => turn("aside", "Failure", `${provider}: ${reason ?? "failed"}`),
  };
  return { log, take: ({ type, data }) => rows[type]?.(data) };
}
