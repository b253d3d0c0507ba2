// Shows one view at a time, by the part of the address after #, and asks for the key when the service wants it.

import { agentsView } from "./agents_view.js";
import { ask, Refused } from "./api.js";
import { callList } from "./call_list.js";
import { callView } from "./call_view.js";
import { element, notify } from "./elements.js";
import { figuresView } from "./figures_view.js";
import { healthView } from "./health_view.js";
import { nowView } from "./now_view.js";
import { talkView } from "./talk_view.js";
import { webhooksView } from "./webhooks_view.js";

const VIEWS = {
  "/": ["Now", nowView],
  "/calls": ["Calls", callList],
  "/figures": ["Figures", figuresView],
  "/health": ["Health", healthView],
  "/agents": ["Agents", agentsView],
  "/webhooks": ["Webhooks", webhooksView],
  "/talk": ["Talk", talkView],
};
const main = document.getElementById("main");
const logOut = document.getElementById("log-out");
let leave = () => {};

/** Put a view in place of the last one; it gives what ends it. */
async function show(view) {
  leave();
  const left = new AbortController();
  leave = () => left.abort();
  main.replaceChildren(element("p", { class: "hint" }, "Loading…"));
  try {
    await view(main, left.signal, (error) => left.signal.aborted || fail(error));
  } catch (error) {
    if (!left.signal.aborted) fail(error);
  }
}

/** Where every failure ends. */
function fail(error) {
  if (!(error instanceof Refused)) throw error;
  if (error.status === 401 || error.status === 429) return show(login);
  if (error.status === 404) {
    leave();
    main.replaceChildren(element("h1", {}, "Nothing here"), element("p", {}, error.message), element("p", {}, element("a", { href: "#/calls" }, "All calls")));
    return undefined;
  }
  if (main.querySelector("h1") === null) main.replaceChildren(element("h1", {}, "This cannot be shown"), element("p", {}, error.message));
  return notify(error.message);
}

async function login(place) {
  logOut.hidden = true;
  const key = element("input", { id: "key", type: "password", autocomplete: "current-password", required: true });
  const wrong = element("p", { class: "wrong", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await ask("session", { method: "POST", body: { api_key: key.value } });
      route();
    } catch (error) {
      wrong.textContent = { 401: "Wrong key.", 429: "Too many wrong keys. Wait a minute." }[error.status] ?? error.message;
      key.select();
    }
  };
  const form = element(
    "form",
    { class: "login card", onsubmit: submit },
    element("h1", {}, "Log in"),
    element("input", { autocomplete: "username", value: "operator", hidden: true, "aria-label": "User" }),
    element("label", { for: "key" }, "API key"),
    key,
    element("p", { class: "hint" }, "The API_KEY of the service's settings."),
    wrong,
    element("button", { type: "submit" }, "Log in"),
  );
  place.replaceChildren(form);
  key.focus();
}

function route() {
  const [path, query] = (location.hash.slice(1) || "/").split("?");
  const callId = path.match(/^\/calls\/([^/]+)$/)?.[1];
  if (location.hash && !location.hash.startsWith("#/")) return; // a place on the page
  logOut.hidden = "open" in document.body.dataset; // without an API key nobody is logged in
  const [name, view] = callId ? ["Call", (asked, ...others) => callView(decodeURIComponent(callId), asked, ...others)] : VIEWS[path] ?? VIEWS["/"];
  document.title = `${name} · Voice agent`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${callId ? "/calls" : path}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  show((...others) => view(new URLSearchParams(query), ...others));
}

logOut.addEventListener("click", async () => {
  try {
    await ask("session", { method: "DELETE" });
    show(login);
  } catch (error) {
    fail(error);
  }
});
addEventListener("hashchange", () => {
  route();
  if (location.hash.startsWith("#/")) {
    main.focus();
    scrollTo(0, 0);
  }
});
route();
