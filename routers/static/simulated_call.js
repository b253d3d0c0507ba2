// Has a simulated caller call this service: what they do, which agent answers, and what it should know.

import { ask } from "./api.js";
import { element, field, select } from "./elements.js";
import { fieldsOf, valuesOf } from "./variables.js";

/** The button that opens the form. */
export function simulatedCallButton(agents, fail) {
  return element("button", { type: "button", class: "quiet", onclick: () => open(agents, fail).catch(fail) }, "Simulated call…");
}

async function open({ agents, default: usual }, fail) {
  const [{ scores }, standard] = await Promise.all([ask("calls/simulated"), ask(`agents/${encodeURIComponent(usual)}`)]);
  const fits = scores.find(({ language }) => standard.language.startsWith(language)) ?? scores[0];
  const score = select({ id: "score", "aria-describedby": "score-about" }, scores.map(({ name }) => name), fits.name);
  const about = element("p", { class: "hint", id: "score-about" });
  const agent = select({ id: "call-agent" }, agents.map(({ name }) => name), usual);
  const variables = element("div", { class: "variables" });
  const wrong = element("p", { class: "wrong", role: "alert" });
  const submit = element("button", { type: "submit" }, "Call");
  const tell = () => { about.textContent = scores.find(({ name }) => name === score.value).about; };
  const showVariables = async () => variables.replaceChildren(...fieldsOf((await ask(`agents/${encodeURIComponent(agent.value)}`)).variables));
  score.addEventListener("change", tell);
  agent.addEventListener("change", () => showVariables().catch(fail));
  const place = async (event) => {
    event.preventDefault();
    submit.disabled = true;
    submit.textContent = "Calling…";
    try {
      const body = { score: score.value, agent: agent.value, variables: valuesOf(new FormData(event.target)) };
      const call = await ask("calls/simulated", { method: "POST", body });
      dialog.close();
      location.hash = `#/calls/${encodeURIComponent(call.call_id)}?listen`;
    } catch (error) {
      wrong.textContent = error.message;
    } finally {
      submit.disabled = false;
      submit.textContent = "Call";
    }
  };
  const dialog = element(
    "dialog",
    { "aria-label": "Simulated call", onclose: () => dialog.remove() },
    element("h2", {}, "Simulated call"),
    element(
      "form",
      { onsubmit: place, class: "stack" },
      field("What the caller does", score),
      about,
      field("Agent", agent),
      variables,
      element("p", { class: "hint" }, "You hear both sides as they speak. The call is in no figures; the list shows it under Simulated."),
      wrong,
      element("div", { class: "actions" }, element("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel"), submit),
    ),
  );
  tell();
  document.body.append(dialog);
  dialog.showModal();
  await showVariables();
}
