// Listens in to a live call: the caller on the left, the agent on the right, at most a second late.

import { callPath } from "./api.js";
import { element } from "./elements.js";

const AHEAD_SECONDS = 0.12; // of sound that is kept, because messages do not come evenly
const BEHIND_SECONDS = 0.4; // more than that is left out, or every hitch of the network would make the listener later for good
const FULL = 32768;
const SIDES = ["caller", "agent"];
const REFUSED = "You cannot listen in: this call is not recorded, or too many listen already.";

/** A button, and a meter for each side. Ends with the call, or when the view is left. */
export function listening(callId, left, fail) {
  const meters = SIDES.map((side) => element("meter", { min: 0, max: 1, value: 0, "aria-label": `Loudness of the ${side}` }));
  const levels = element("div", { class: "levels", hidden: true }, ...meters.flatMap((meter, side) => [element("span", {}, SIDES[side]), meter]));
  const button = element("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => (line ? stop() : start()) }, "Listen in");
  let line = null;
  left.addEventListener("abort", stop);
  return { button, levels, start, stop };

  function start() {
    if (line) return;
    const address = new URL(callPath(callId, "/listen"), location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const speaker = new AudioContext();
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    line = { socket, speaker, rate: 0, plays_at: 0 };
    socket.addEventListener("message", ({ data }) => (typeof data === "string" ? told(JSON.parse(data)) : play(data)));
    socket.addEventListener("close", () => {
      if (line?.socket !== socket) return;
      if (!line.rate) fail(new Error(REFUSED));
      stop();
    });
    button.textContent = "Stop listening";
    button.setAttribute("aria-pressed", "true");
    levels.hidden = false;
  }

  function told(message) {
    if (message.type === "start") line.rate = message.sample_rate;
    if (message.type === "end") stop();
  }

  function play(data) {
    const { speaker, rate } = line;
    if (line.plays_at - speaker.currentTime > BEHIND_SECONDS) return;
    const samples = new Int16Array(data);
    const piece = speaker.createBuffer(SIDES.length, samples.length / SIDES.length, rate);
    meters.forEach((meter, side) => {
      const channel = piece.getChannelData(side);
      for (let at = 0; at < channel.length; at += 1) channel[at] = samples[at * SIDES.length + side] / FULL;
      meter.value = Math.max(...channel.map(Math.abs));
    });
    const source = speaker.createBufferSource();
    source.buffer = piece;
    source.connect(speaker.destination);
    if (line.plays_at < speaker.currentTime) line.plays_at = speaker.currentTime + AHEAD_SECONDS;
    source.start(line.plays_at);
    line.plays_at += piece.duration;
  }

  function stop() {
    if (!line) return;
    const { socket, speaker } = line;
    line = null;
    socket.close();
    speaker.close();
    for (const meter of meters) meter.value = 0;
    button.textContent = "Listen in";
    button.setAttribute("aria-pressed", "false");
    levels.hidden = true;
  }
}
