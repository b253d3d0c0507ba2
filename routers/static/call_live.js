// What is only there while a call lives: who has the floor, what is being said, and what an operator can do.

import { ask, callPath } from "./api.js";
import { agrees, element, notify, select } from "./elements.js";
import { listening } from "./listen.js";
import { stateOf } from "./words.js";

const SILENT = "The caller is silent.";

/** `element` is the panel. Its parts keep their places, whatever they say. */
export function livePanel(call, agents, left, fail) {
  const order = (door, body) => ask(callPath(call.call_id, door), { method: "POST", body });
  const state = element("strong", { role: "status" }, "connecting…");
  const words = element("p", { class: "hearing", dir: "auto" }, SILENT);
  const text = element("input", { id: "say", maxlength: 1000, required: true, autocomplete: "off", placeholder: "The agent says this next" });
  const say = async (event) => {
    event.preventDefault();
    try {
      await order("/say", { text: text.value });
      notify("The agent will say this after its current utterance.");
      text.value = "";
    } catch (error) {
      fail(error);
    }
  };
  const hangUp = async () => {
    if (!(await agrees("Hang up?", "The call ends at once, for the caller too.", { yes: "Hang up", no: "Stay on the line" }))) return;
    await order("/hangup").then(() => notify("Ending the call."), fail);
  };
  const ears = listening(call.call_id, left, fail);
  const actions = element("div", { class: "actions" }, ears.button, element("button", { type: "button", class: "danger", onclick: hangUp }, "Hang up…"));
  const panel = element(
    "section",
    { class: "card live", "aria-label": "Live" },
    element("p", { class: "floor" }, element("span", { class: "pulse", "aria-hidden": "true" }), element("span", { class: "wide-only" }, "The agent is "), state),
    actions,
    ears.levels,
    words,
    element("form", { class: "say", onsubmit: say }, element("label", { class: "unseen", for: "say" }, "Have the agent say"), text, element("button", { type: "submit" }, "Say")),
    transferForm(call, agents.transfer_targets, order, fail),
  );
  return {
    element: panel,
    listen: ears.start,
    state: (code) => { state.textContent = stateOf(code); },
    words: (said) => { words.textContent = said ? `“${said}”` : SILENT; },
    connection: (open) => {
      panel.classList.toggle("lost", !open);
      if (!open) state.textContent = "out of reach; reconnecting…";
    },
    /** The call is over: the reader says when its record takes the place of what they read. */
    end: (show) => {
      ears.stop();
      const button = element("button", { type: "button", onclick: show }, "Show the record");
      panel.replaceChildren(element("p", { class: "lead", role: "status" }, "The call is over."), element("div", { class: "actions" }, button));
      panel.classList.add("over");
    },
  };
}

function transferForm(call, targets, order, fail) {
  if (call.direction === "web" || !targets.length) return null;
  const to = select({ id: "transfer-to" }, targets);
  const transfer = async (event) => {
    event.preventDefault();
    if (!(await agrees(`Transfer to ${to.value}?`, "The agent finishes its utterance and hands the caller over.", { yes: "Transfer" }))) return;
    await order("/transfer", { to: to.value }).then(() => notify(`Transferring to ${to.value}.`), fail);
  };
  return element("form", { class: "say", onsubmit: transfer }, element("label", { class: "unseen", for: "transfer-to" }, "Transfer to"), to, element("button", { type: "submit", class: "quiet" }, "Transfer…"));
}
