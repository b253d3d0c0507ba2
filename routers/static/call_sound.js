// The recording of a call as a picture: the caller above, the agent below, and everything that happened at its moment.

import { ask, callPath } from "./api.js";
import { momentsOf } from "./call_turns.js";
import { element, notify } from "./elements.js";
import { coloursOf, onThemeChange } from "./theme.js";
import { clock } from "./words.js";

const POINTS = 1200;
const STEP_SECONDS = 1;
const LEAP_SECONDS = 10;
const MARK_PIXELS = 9;
const NEAR_PIXELS = 6;

/** `element` is the section, `hear` plays from a second on. */
export function sound(call, left) {
  const audio = element("audio", { controls: true, preload: "metadata", src: callPath(call.call_id, "/recording"), "aria-label": "Recording: caller left, agent right" });
  const canvas = element("canvas", { "aria-hidden": "true" });
  const duration = call.duration_seconds || 1;
  const picture = element("div", { class: "waveform", role: "slider", tabindex: 0, "aria-label": "Place in the recording", "aria-description": "Arrows move by a second, page keys by ten, Enter plays and pauses.", "aria-valuemin": 0, "aria-valuemax": Math.ceil(duration), "aria-valuenow": 0, "aria-valuetext": "0:00" }, canvas);
  const note = element("p", { class: "hint mark-note" }, "Press anywhere to hear it from there.");
  const moments = momentsOf(call);
  let shape = { seconds: duration, caller: [], agent: [] };

  const seek = (at) => { audio.currentTime = Math.min(Math.max(0, at), duration); };
  const hear = (at) => {
    seek(at);
    audio.play().catch(() => notify("The recording cannot be played."));
  };
  let colour = null;
  const draw = () => {
    colour ??= coloursOf(picture);
    paint(canvas, { shape, moments, duration, gaps: call.recording.gaps, at: audio.currentTime, colour });
  };
  const tell = () => {
    picture.setAttribute("aria-valuenow", Math.floor(audio.currentTime));
    const now = moments.filter((moment) => moment.at <= audio.currentTime).at(-1);
    picture.setAttribute("aria-valuetext", [clock(audio.currentTime), now ? titleOf(now) : null].filter(Boolean).join(", "));
    draw();
  };
  const secondAt = (event) => {
    const box = canvas.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * duration;
  };

  picture.addEventListener("click", (event) => hear(secondAt(event)));
  picture.addEventListener("pointermove", (event) => {
    const at = secondAt(event);
    const reach = (NEAR_PIXELS / canvas.clientWidth) * duration;
    const marked = moments.filter(({ turn, at: begin }) => (turn ? begin <= at && at <= (turn.ended_at ?? begin) : Math.abs(begin - at) <= reach));
    note.textContent = `${clock(at)}${marked.length ? ` · ${marked.map(titleOf).join(" · ")}` : ""}`;
  });
  picture.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -STEP_SECONDS, ArrowRight: STEP_SECONDS, ArrowDown: -STEP_SECONDS, ArrowUp: STEP_SECONDS, PageDown: -LEAP_SECONDS, PageUp: LEAP_SECONDS, Home: -duration, End: duration };
    if (event.key in moves) seek(audio.currentTime + moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") audio.paused ? hear(audio.currentTime) : audio.pause();
    else return;
    event.preventDefault();
  });
  for (const type of ["timeupdate", "seeked", "seeking"]) audio.addEventListener(type, tell);
  new ResizeObserver(draw).observe(picture);
  onThemeChange(() => {
    colour = coloursOf(picture);
    draw();
  }, left);
  left.addEventListener("abort", () => audio.pause());
  ask(callPath(call.call_id, `/waveform?points=${POINTS}`)).then((found) => { shape = found; draw(); }, () => { note.textContent = "The shape of the recording cannot be shown. It can still be played."; });

  const keys = [["caller", "Caller"], ["agent", "Agent"], ["filler", "Filler"], ["tool", "Tool"], ["failure", "Failure"]];
  return {
    element: element(
      "section",
      { class: "card", "aria-label": "Recording" },
      element("h2", {}, "Recording"),
      picture,
      note,
      audio,
      element("p", { class: "keys" }, keys.map(([kind, name]) => element("span", { class: "key" }, element("span", { class: `swatch mark-${kind}`, "aria-hidden": "true" }), name))),
    ),
    hear,
  };
}

function titleOf({ turn, who, what, text }) {
  const words = turn ? turn.text : text;
  const short = words.length > 80 ? `${words.slice(0, 80)}…` : words;
  return `${turn ? who : what}: ${short}${turn?.interrupted ? " (interrupted)" : ""}`;
}

/** Draw it at the screen's own resolution, in the colours of the theme. */
function paint(canvas, { shape, moments, duration, gaps, at, colour }) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  const scale = devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  const x = (second) => (second / duration) * width;
  const lane = (height - 2 * MARK_PIXELS) / 2;
  pen.scale(scale, scale);
  for (const { turn, at: begin, kind } of moments) {
    if (!turn && kind !== "filler") continue;
    const top = turn?.role === "user" ? MARK_PIXELS : MARK_PIXELS + lane;
    pen.fillStyle = colour(turn ? (turn.role === "user" ? "caller-wash" : "accent-wash") : "filler-wash");
    pen.fillRect(x(begin), top, Math.max(2, x((turn?.ended_at ?? begin + 0.6) - begin)), lane);
  }
  pen.fillStyle = colour("line");
  for (const [from, to] of gaps) pen.fillRect(x(from), MARK_PIXELS, x(to - from), 2 * lane);
  pen.fillRect(0, MARK_PIXELS + lane - 0.5, width, 1);
  wave(pen, shape.caller, shape.seconds, { x, middle: MARK_PIXELS + lane / 2, reach: lane / 2 - 1, fill: colour("caller") });
  wave(pen, shape.agent, shape.seconds, { x, middle: MARK_PIXELS + 1.5 * lane, reach: lane / 2 - 1, fill: colour("accent") });
  for (const { at: begin, kind } of moments) if (kind === "tool" || kind === "failure" || kind === "filler") mark(pen, x(begin), height, kind, colour(kind));
  pen.fillStyle = colour("ink");
  pen.fillRect(x(at) - 1, 0, 2, height);
}

/** One side's loudness; the root makes quiet speech visible. */
function wave(pen, values, seconds, { x, middle, reach, fill }) {
  pen.fillStyle = fill;
  const step = x(seconds) / values.length;
  values.forEach((value, index) => {
    const tall = Math.max(0.5, Math.sqrt(value) * reach);
    pen.fillRect(index * step, middle - tall, Math.max(0.6, step - 0.2), 2 * tall);
  });
}

/** A failure is a line through both lanes; a tool and a filler are marks at the edge, of different shapes. */
function mark(pen, at, height, kind, fill) {
  pen.fillStyle = fill;
  if (kind === "failure") {
    pen.fillRect(at - 1, 0, 2, height);
    pen.fillRect(at - 4, 0, 8, 4);
    return;
  }
  const tall = MARK_PIXELS - 2;
  pen.beginPath();
  if (kind === "tool") {
    pen.moveTo(at, 0);
    pen.lineTo(at + tall / 2, tall / 2);
    pen.lineTo(at, tall);
    pen.lineTo(at - tall / 2, tall / 2);
  } else pen.arc(at, height - tall / 2, tall / 2, 0, 2 * Math.PI);
  pen.fill();
}
