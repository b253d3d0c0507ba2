// One call. While it lives, its turns are added as they come and nothing moves; then its record, with sound.

import { ask, callPath } from "./api.js";
import { aside, cameOfIt, costs, details, eraser, latencies } from "./call_facts.js";
import { livePanel } from "./call_live.js";
import { sound } from "./call_sound.js";
import { trail } from "./call_trail.js";
import { conversation } from "./call_turns.js";
import { waterfall } from "./call_waterfall.js";
import { wentWrong } from "./call_wrong.js";
import { element } from "./elements.js";
import { parties, whatCameOfIt } from "./words.js";

const CHANGES = [
  "call.answered", "call.ended", "turn.taken", "agent.reply_started", "agent.clause_started", "agent.reply_generated",
  "agent.finished", "agent.interrupted", "agent.tool_called", "agent.tool_finished", "provider.failed", "provider.used",
  "transfer.started", "transfer.failed", "transfer.completed",
];
const SETTLE_MILLISECONDS = 250;

export async function callView(callId, query, place, left, fail) {
  const [call, agents] = await Promise.all([ask(callPath(callId)), ask("agents")]);
  if (left.aborted) return;
  if (call.status === "ended") draw(call);
  else follow(call);

  function draw(ended) {
    const player = ended.recording_available ? sound(ended, left) : null;
    const hear = player?.hear ?? null;
    const said = conversation(hear);
    said.draw(ended);
    place.replaceChildren(
      ...head(ended),
      element(
        "div",
        { class: "columns" },
        element("div", {}, wentWrong(ended, hear), player?.element ?? noSound(ended), said.element, waterfall(ended), trail(ended, left, fail)),
        element("div", {}, ...[cameOfIt(ended), aside(ended), latencies(ended), costs(ended), details(ended), eraser(ended, fail)].filter(Boolean)),
      ),
    );
  }

  function follow(first) {
    const said = conversation(null, { isLive: true });
    // On a narrow screen this is above what is said, closed, so that a new turn moves nothing.
    const facts = element("div", {});
    const about = element("details", { class: "about", open: matchMedia("(min-width: 64rem)").matches }, element("summary", {}, "The call and its costs"), facts);
    const panel = livePanel(first, agents, left, fail);
    const redraw = (now) => {
      said.draw(now);
      facts.replaceChildren(aside(now), costs(now));
    };
    redraw(first);
    if (query.has("listen")) panel.listen();
    place.replaceChildren(...head(first), panel.element, element("div", { class: "columns live-columns" }, element("div", {}, said.element), about));
    const events = new EventSource(callPath(callId, "/events"));
    left.addEventListener("abort", () => events.close());
    let settling = 0;
    const again = async () => {
      settling = 0;
      try {
        const now = await ask(callPath(callId));
        if (left.aborted) return;
        redraw(now);
        if (now.status !== "ended") return;
        events.close();
        panel.end(() => draw(now));
      } catch (error) {
        events.close();
        fail(error);
      }
    };
    for (const type of CHANGES) events.addEventListener(type, () => { settling ||= setTimeout(again, SETTLE_MILLISECONDS); });
    events.addEventListener("state.changed", (event) => panel.state(JSON.parse(event.data).data.after));
    events.addEventListener("caller.words", (event) => panel.words(JSON.parse(event.data).data.text));
    for (const type of ["turn.taken", "caller.turn_ended"]) events.addEventListener(type, () => panel.words(""));
    events.addEventListener("error", () => panel.connection(events.readyState === EventSource.OPEN));
    events.addEventListener("open", () => panel.connection(true));
  }
}

function head(call) {
  return [
    element("p", {}, element("a", { href: "#/calls" }, "← All calls")),
    element("h1", {}, parties(call), " ", element("span", { class: `badge ${call.status}` }, call.status === "ended" ? call.direction : `${call.direction}, ${call.status}`)),
    ...(call.status === "ended" ? [element("p", { class: "lead came", dir: "auto" }, whatCameOfIt(call))] : []),
  ];
}

function noSound(call) {
  const why = {
    failed: "The recording is lost: the service could not write it to the disk.",
    erased: "The recording was erased.",
    none: "This call was not recorded.",
  }[call.recording.status];
  return why ? element("p", { class: call.recording.status === "failed" ? "fault" : "hint" }, why) : null;
}
