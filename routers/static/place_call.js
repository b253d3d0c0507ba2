// Places a call to a telephone: which number, which agent, and what the agent should know.

import { ask } from "./api.js";
import { element, field, select } from "./elements.js";
import { fieldsOf, valuesOf } from "./variables.js";

/** The button that opens the form; null where the service calls no telephones. */
export function placeCallButton(agents, fail) {
  if (!agents.places_calls) return null;
  return element("button", { type: "button", class: "quiet", onclick: () => open(agents, fail) }, "Place a call…");
}

async function open({ agents, default: usual }, fail) {
  const number = element("input", { id: "call-to", name: "to", type: "tel", required: true, pattern: "\\+[0-9]{5,15}", placeholder: "+70000000001", autocomplete: "off", title: "With its + and country, digits only" });
  const agent = select({ id: "call-agent" }, agents.map(({ name }) => name), usual);
  const variables = element("div", { class: "variables" });
  const wrong = element("p", { class: "wrong", role: "alert" });
  const showVariables = async () => variables.replaceChildren(...fieldsOf((await ask(`agents/${encodeURIComponent(agent.value)}`)).variables));
  agent.addEventListener("change", () => showVariables().catch(fail));
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-"); // pressing twice places one call
  const place = async (event) => {
    event.preventDefault();
    try {
      const body = { to: number.value.trim(), agent: agent.value, variables: valuesOf(new FormData(event.target)) };
      const call = await ask("calls", { method: "POST", body, headers: { "Idempotency-Key": key } });
      dialog.close();
      location.hash = `#/calls/${encodeURIComponent(call.call_id)}`;
    } catch (error) {
      wrong.textContent = error.message;
    }
  };
  const dialog = element(
    "dialog",
    { "aria-label": "Place a call", onclose: () => dialog.remove() },
    element("h2", {}, "Place a call"),
    element(
      "form",
      { onsubmit: place, class: "stack" },
      field("Number to call", number),
      field("Agent", agent),
      variables,
      wrong,
      element("div", { class: "actions" }, element("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel"), element("button", { type: "submit" }, "Call")),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  await showVariables().catch(fail);
}
