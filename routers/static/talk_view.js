// Talk to an agent from the browser: who answers is chosen first, then the call is shown as it happens.

import { ask } from "./api.js";
import { element, notify } from "./elements.js";
import { openLine } from "./talk_line.js";
import { liveTranscript } from "./talk_transcript.js";
import { fieldsOf, valuesOf } from "./variables.js";
import { endReason, stateOf } from "./words.js";

const KEYS = [..."123456789*0#"];

export async function talkView(query, place, left, fail) {
  const { agents, default: usual } = await ask("agents");
  if (left.aborted) return;
  const asked = query.get("agent") ?? usual;
  const chosen = agents.some((agent) => agent.name === asked) ? asked : usual;
  const variables = element("div", { class: "variables" });
  const names = element("select", { id: "agent", name: "agent" }, agents.map(({ name }) => element("option", { value: name, selected: name === chosen }, name)));
  const start = element("button", { type: "submit" }, "Call");
  const stage = element("div", { class: "talk-stage" });
  const begin = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    start.disabled = names.disabled = true;
    try {
      await hold(stage, left, { agent: names.value, variables: valuesOf(form) });
    } catch (error) {
      fail(error);
    } finally {
      start.disabled = names.disabled = false;
    }
  };
  const form = element(
    "form",
    { class: "card talk", onsubmit: begin },
    element("div", { class: "field" }, element("label", { for: "agent" }, "Agent"), names),
    variables,
    element("div", { class: "actions" }, start),
    element("p", { class: "hint" }, "Your browser asks for the microphone. Without one, or if you refuse it, you can type what you say. The call is a real one, and is listed like any other."),
    "sandbox" in document.body.dataset
      ? element("p", { class: "hint" }, "This service asks no vendor. Its stand-in for speech recognition notices that you speak, and not what you say: type your words below once the call has begun.")
      : null,
  );
  const showVariables = async () => variables.replaceChildren(...fieldsOf((await ask(`agents/${encodeURIComponent(names.value)}`)).variables));
  names.addEventListener("change", () => showVariables().catch(fail));
  await showVariables();
  place.replaceChildren(element("h1", {}, "Talk"), form, stage);
}

/** One call, from the session to its end. */
async function hold(stage, left, wanted) {
  const session = await ask("media/sessions", { method: "POST", body: { ...wanted, caller: "browser", events: "all" } });
  await new Promise((over) => {
    const transcript = liveTranscript();
    const panel = controls();
    stage.replaceChildren(transcript.log, panel.panel);
    const opened = openLine(session, {
      ready: (_hasMicrophone, problem) => {
        panel.say(problem ?? "Connected.");
        panel.enable(true);
      },
      event: (row) => {
        if (row.type === "state.changed") panel.state(stateOf(row.data.after));
        transcript.take(row);
      },
      heard: panel.heard,
      spoke: panel.spoke,
      ended: (reason, complaint) => {
        panel.enable(false);
        stage.querySelector(".live").replaceWith(farewell(session.call_id, reason, complaint));
        over();
      },
    });
    opened.then((line) => {
      panel.connect(line);
      left.addEventListener("abort", line.abandon);
    }, (error) => {
      stage.replaceChildren();
      notify(`The call could not begin: ${error.message}`);
      over();
    });
  });
}

function farewell(callId, reason, complaint) {
  return element(
    "section",
    { class: "card", "aria-label": "The call is over" },
    element("p", { class: "lead" }, reason ? endReason(reason) : "The call is over."),
    complaint ? element("p", { class: "fault" }, complaint) : null,
    element("p", {}, element("a", { href: `#/calls/${encodeURIComponent(callId)}` }, "Its record, with sound")),
  );
}

/** What the caller can do, and who has the floor. */
function controls() {
  const state = element("strong", { role: "status" }, "connecting…");
  const heard = element("meter", { min: 0, max: 1, value: 0, "aria-label": "Loudness of the agent" });
  const spoke = element("meter", { min: 0, max: 1, value: 0, "aria-label": "Loudness of your microphone" });
  const note = element("p", { class: "hint" });
  let line = null;
  const mute = element("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => {
    const muted = mute.getAttribute("aria-pressed") !== "true";
    mute.setAttribute("aria-pressed", String(muted));
    mute.textContent = muted ? "Muted" : "Mute";
    line.mute(muted);
  } }, "Mute");
  const text = element("input", { id: "typed", maxlength: 1000, required: true, autocomplete: "off", placeholder: "Type instead of speaking" });
  const send = (event) => {
    event.preventDefault();
    line.type(text.value);
    text.value = "";
  };
  const keypad = element("details", { class: "keys" }, element("summary", {}, "Keypad"), element("div", { class: "keypad" }, KEYS.map((key) => element("button", { type: "button", class: "quiet", onclick: () => line.press(key) }, key))));
  const panel = element(
    "section",
    { class: "card live", "aria-label": "Your call" },
    element("p", { class: "floor" }, element("span", { class: "pulse", "aria-hidden": "true" }), "The agent is ", state),
    element("button", { type: "button", class: "danger", onclick: () => line.hangUp() }, "Hang up"),
    element("div", { class: "levels" }, element("span", {}, "Agent"), heard, element("span", {}, "You"), spoke, mute),
    element("form", { class: "say", onsubmit: send }, element("label", { class: "unseen", for: "typed" }, "Type what you say"), text, element("button", { type: "submit" }, "Send")),
    keypad,
    note,
  );
  const enable = (on) => { for (const control of panel.querySelectorAll("button, input")) control.disabled = !on; };
  enable(false);
  return {
    panel,
    enable,
    connect: (opened) => { line = opened; },
    state: (words) => { state.textContent = words; },
    say: (words) => { note.textContent = words; },
    heard: (level) => { heard.value = shown(level); },
    spoke: (level) => { spoke.value = shown(level); },
  };
}

/** Loudness as ears have it: 60 dB from left to right. */
function shown(level) {
  return level > 0 ? Math.max(0, 1 + Math.log10(level) / 3) : 0;
}
