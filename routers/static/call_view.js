// One call: live while it lives, as events come; then its record, with sound.

import { ask, callPath } from "./api.js";
import { element, notify } from "./elements.js";
import { record } from "./call_record.js";
import { stateOf } from "./words.js";

const CHANGES = [
  "call.answered", "call.ended", "turn.taken", "agent.reply_started", "agent.clause_started", "agent.reply_generated",
  "agent.finished", "agent.interrupted", "provider.failed", "provider.used", "transfer.started", "transfer.failed", "transfer.completed",
];
const SETTLE_MILLISECONDS = 250;

export async function callView(callId, place, left, fail) {
  let call = await ask(callPath(callId));
  if (left.aborted) return;
  const body = element("div", {});
  const live = call.status === "ended" ? null : livePanel(callId, fail);
  const draw = () => {
    body.replaceChildren(...record(call));
    if (call.status !== "ended") body.querySelector(".turn:last-child")?.scrollIntoView({ block: "nearest" });
  };
  place.replaceChildren(element("p", {}, element("a", { href: "#/" }, "← All calls")), body, ...(live ? [live.panel] : []), eraser(callId, () => call, fail));
  draw();
  if (live) follow();

  function follow() {
    const events = new EventSource(callPath(callId, "/events"));
    left.addEventListener("abort", () => events.close());
    let settling = 0;
    const again = async () => {
      settling = 0;
      try {
        call = await ask(callPath(callId));
      } catch (error) {
        events.close();
        return fail(error);
      }
      if (left.aborted) return undefined;
      if (call.status === "ended") {
        events.close();
        live.panel.remove();
      }
      return draw();
    };
    for (const type of CHANGES) events.addEventListener(type, () => { settling ||= setTimeout(again, SETTLE_MILLISECONDS); });
    events.addEventListener("state.changed", (event) => live.state(JSON.parse(event.data).data.after));
    events.addEventListener("caller.words", (event) => live.words(JSON.parse(event.data).data.text));
    for (const type of ["turn.taken", "caller.turn_ended"]) events.addEventListener(type, () => live.words(""));
    events.addEventListener("error", () => live.connection(events.readyState === EventSource.OPEN));
    events.addEventListener("open", () => live.connection(true));
  }
}

/** What is only there while the call lives: who has the floor, what is being said, and what an operator can do. */
function livePanel(callId, fail) {
  const state = element("strong", { role: "status" }, "connecting…");
  const words = element("p", { class: "hearing" });
  const text = element("input", { id: "say", maxlength: 1000, required: true, autocomplete: "off", placeholder: "The agent says this next" });
  const send = async (event) => {
    event.preventDefault();
    try {
      await ask(callPath(callId, "/say"), { method: "POST", body: { text: text.value } });
      notify("The agent will say this after its current speech.");
      text.value = "";
    } catch (error) {
      fail(error);
    }
  };
  const hangUp = () => ask(callPath(callId, "/hangup"), { method: "POST" }).then(() => notify("Ending the call."), fail);
  const panel = element(
    "section",
    { class: "card live", "aria-label": "Live" },
    element("p", { class: "floor" }, element("span", { class: "pulse", "aria-hidden": "true" }), "The agent is ", state),
    element("button", { type: "button", class: "danger", onclick: hangUp }, "Hang up"),
    words,
    element("form", { class: "say", onsubmit: send }, element("label", { class: "unseen", for: "say" }, "Have the agent say"), text, element("button", { type: "submit" }, "Say")),
  );
  return {
    panel,
    state: (code) => { state.textContent = stateOf(code); },
    words: (said) => { words.textContent = said ? `“${said}”` : ""; },
    connection: (open) => { panel.classList.toggle("lost", !open); if (!open) state.textContent = "out of reach; reconnecting…"; },
  };
}

/** Erasing is asked for twice: it cannot be undone. */
function eraser(callId, current, fail) {
  const dialog = element(
    "dialog",
    { "aria-labelledby": "erase-title" },
    element("h2", { id: "erase-title" }, "Erase this call?"),
    element("p", {}, "Its record, events and recording will be deleted for good."),
    element("form", { method: "dialog", class: "actions" }, element("button", { value: "no", class: "quiet", autofocus: true }, "Keep it"), element("button", { value: "yes", class: "danger" }, "Erase")),
  );
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    ask(callPath(callId), { method: "DELETE" }).then(() => {
      location.hash = "#/";
      notify("The call has been erased.");
    }, fail);
  });
  const open = () => {
    if (current().status === "ended") dialog.showModal();
    else notify("You can erase a call once it has ended.");
  };
  return element("p", { class: "erase" }, element("button", { type: "button", class: "quiet", onclick: open }, "Erase this call…"), dialog);
}
