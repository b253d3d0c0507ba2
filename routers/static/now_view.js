// The calls that live now. A call keeps its place until the reader clears those that are over, so nothing moves.

import { ask } from "./api.js";
import { element } from "./elements.js";
import { placeCallButton } from "./place_call.js";
import { simulatedCallButton } from "./simulated_call.js";
import { clock, counted, money, parties, seconds, stageName, stateOf, whatCameOfIt } from "./words.js";

const LOOK_MILLISECONDS = 1000;

export async function nowView(_query, place, left, fail) {
  const [live, { calls: last }, { calls: pretended }, agents] = await Promise.all([ask("calls/live"), ask("calls?limit=1"), ask("calls?limit=1&synthetic=true"), ask("agents")]);
  if (left.aborted) return;
  const shown = new Map(); // by id, in the order in which they are on the page
  const list = element("ul", { class: "now" });
  const count = element("p", { class: "lead", role: "status" });
  const nobody = last.length || pretended.length
    ? element("p", { class: "hint" }, "Nobody is on the line. A call appears here when it begins; those before are in ", element("a", { href: "#/calls" }, "Calls"), ".")
    : firstSteps();
  const clear = element("button", { type: "button", class: "quiet", disabled: true, onclick: () => {
    for (const [id, card] of shown) if (card.isOver) { card.item.remove(); shown.delete(id); }
    settle();
  } }, "Clear ended calls");

  let places = live.places;
  function settle() {
    const alive = [...shown.values()].filter((card) => !card.isOver).length;
    count.classList.remove("fault");
    count.textContent = `${counted(alive, "call")} on the line, of ${places} possible`;
    clear.disabled = alive === shown.size;
    nobody.hidden = shown.size > 0;
  }

  function draw({ calls, places: possible }) {
    places = possible;
    const alive = new Set(calls.map((call) => call.call_id));
    for (const call of calls) {
      if (!shown.has(call.call_id)) {
        shown.set(call.call_id, liveCard(call));
        list.append(shown.get(call.call_id).item);
      }
      shown.get(call.call_id).draw(call);
    }
    for (const [id, card] of shown) if (!alive.has(id)) card.end();
    settle();
  }

  draw(live);
  place.replaceChildren(
    element("div", { class: "head" }, element("h1", {}, "Now"), element("div", { class: "actions" }, clear, placeCallButton(agents, fail), simulatedCallButton(agents, fail), element("a", { class: "button", href: "#/talk" }, "Talk to an agent"))),
    count,
    list,
    nobody,
  );
  let looking = false;
  const timer = setInterval(async () => {
    if (document.hidden || looking) return undefined;
    looking = true;
    try {
      const found = await ask("calls/live");
      if (!left.aborted) draw(found);
    } catch (error) {
      if (error.status !== 0) return fail(error);
      count.textContent = "The service is out of reach. What you see is old.";
      count.classList.add("fault");
    } finally {
      looking = false;
    }
    return undefined;
  }, LOOK_MILLISECONDS);
  left.addEventListener("abort", () => clearInterval(timer));
}

/** A live call's card: everything has its place from the beginning, whether it is known yet or not. */
function liveCard(call) {
  const part = (name, attributes = {}) => element("span", { class: name, ...attributes });
  const [state, time, words, figures, trouble] = [part("floor"), part("time"), part("words", { dir: "auto" }), part("figures"), part("trouble fault")];
  const link = element(
    "a",
    { class: "card live-call", href: `#/calls/${encodeURIComponent(call.call_id)}` },
    element("span", { class: "who" }, parties(call)),
    time,
    element("span", { class: "hint" }, [call.agent, call.synthetic ? "simulated" : call.direction].filter(Boolean).join(" · ")),
    state,
    words,
    trouble,
    figures,
  );
  const made = { item: element("li", {}, link), isOver: false };
  made.draw = (now) => {
    time.textContent = clock(now.seconds);
    state.textContent = now.transfer_to ? `transfer to ${now.transfer_to}` : now.status === "ringing" ? "ringing" : `agent is ${stateOf(now.floor)}`;
    words.textContent = now.words ? `${now.speaker === "agent" ? "Agent" : "Caller"}: ${now.words}` : "Nothing said yet";
    trouble.textContent = now.trouble.map(({ stage, what }) => `${stageName(stage)}: ${what}`).join(" · ");
    figures.textContent = [
      `${money(now.cost)}${now.cost_is_complete ? "" : " known"} so far`,
      now.answer_seconds === null ? null : `last answer in ${seconds(now.answer_seconds)}`,
      now.late_answers ? `${now.late_answers} late` : null,
    ].filter(Boolean).join(" · ");
  };
  made.end = () => {
    if (made.isOver) return;
    made.isOver = true;
    link.classList.add("over");
    state.textContent = "over";
    trouble.textContent = "";
    ask(`calls/${encodeURIComponent(call.call_id)}`).then((ended) => {
      figures.textContent = whatCameOfIt(ended);
    }, () => {});
  };
  return made;
}

/** What somebody does first whose service has had no call yet. */
function firstSteps() {
  return element(
    "section",
    { class: "card", "aria-label": "First steps" },
    element("h2", {}, "No call yet. Four ways to the first one:"),
    element(
      "ol",
      { class: "steps" },
      element("li", {}, element("a", { href: "#/talk" }, "Talk to the agent"), " from this page, through your microphone or by typing."),
      element("li", {}, "Press ", element("strong", {}, "Simulated call…"), " above: a simulated caller calls the agent, and you listen in."),
      element("li", {}, "Run ", element("code", {}, "make demo"), ": a simulated caller books a visit at a clinic, and the call appears here."),
      element("li", {}, "Connect a telephone number, as ", element("code", {}, "docs/telephony.md"), " describes, and call it."),
    ),
  );
}
