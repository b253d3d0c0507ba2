// A call from the browser: the microphone and the loudspeaker at one end, the service's websocket at the other.

const LINE_RATE = 24000;
const MICROPHONE = { audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true } };
const ENDED = 1000;
const AHEAD_SECONDS = 1;
const LOST = 1006;
const RESUME_MS = 10000; // how long the service waits for a client that has lost its socket
const AGAIN_MS = 200;

/**
 * Open the line. Call it from a click: browsers play nothing before one.
 *
 * `on` has functions for what happens: `ready(hasMicrophone)`, `event(row)`, `heard(level)` and `spoke(level)` (of the
 * agent and the microphone, 0 to 1), and `ended(reason, message)` once.
 */
export async function openLine(session, on) {
  const { audio, microphone, problem } = await openAudio();
  await audio.audioWorklet.addModule("static/talk_audio.js");
  const options = { processorOptions: { rate: LINE_RATE } };
  const capture = new AudioWorkletNode(audio, "microphone", { ...options, numberOfOutputs: 1, channelCount: 1, channelCountMode: "explicit" });
  const speaker = new AudioWorkletNode(audio, "speaker", { ...options, numberOfInputs: 0, outputChannelCount: [1] });
  let socket = null;
  let token = null; // what opens the next socket, if this one is lost
  let lostAt = null;
  const send = (message) => { if (socket?.readyState === WebSocket.OPEN) socket.send(message instanceof ArrayBuffer ? message : JSON.stringify(message)); };
  let reason = null;
  let complaint = problem;
  let isOver = false;
  let begun = 0;
  let sent = 0; // seconds of sound

  /** Browsers that have stood still hurry: sound that is ahead of real time would end the call. */
  function isDue(audio) {
    const seconds = audio.byteLength / 2 / LINE_RATE;
    if (sent + seconds > (performance.now() - begun) / 1000 + AHEAD_SECONDS) return false;
    sent += seconds;
    return true;
  }

  function over() {
    if (isOver) return;
    isOver = true;
    socket?.close();
    microphone?.getTracks().forEach((track) => track.stop());
    audio.close();
    on.ended(reason, complaint);
  }

  capture.port.onmessage = ({ data }) => {
    if (isDue(data.audio)) send(data.audio);
    on.spoke(data.level);
  };
  speaker.port.onmessage = ({ data }) => {
    if (data.mark !== undefined) send({ type: "mark", name: data.mark });
    else if (data.cleared !== undefined) send({ type: "cleared", played_samples: data.cleared });
    else on.heard(data.level);
  };

  function connect(address) {
    socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = start;
    socket.onmessage = take;
    socket.onclose = closed;
  }

  /** A socket that breaks is replaced: the call goes on, whichever process of the service has it then. */
  function closed({ code }) {
    lostAt ??= performance.now();
    if (code === ENDED || isOver) over();
    else if (code === LOST && token !== null && performance.now() - lostAt < RESUME_MS) setTimeout(() => isOver || connect(socketUrl(session, token)), AGAIN_MS);
    else {
      complaint ??= "The connection to the service was lost.";
      over();
    }
  }

  function start() {
    begun = performance.now();
    sent = 0;
    send({ type: "start", format: { encoding: "pcm_s16le", sample_rate: LINE_RATE }, events: true });
    if (token !== null) {
      speaker.port.postMessage({ clear: true });
      return;
    }
    if (microphone) audio.createMediaStreamSource(microphone).connect(capture);
    capture.connect(audio.destination); // it gives no sound, and runs only when it is connected
    speaker.connect(audio.destination);
  }

  const messages = {
    ready: ({ resume_token: next = null, resumed = false }) => {
      token = next;
      lostAt = null;
      if (!resumed) on.ready(microphone !== null, problem);
    },
    mark: ({ name }) => speaker.port.postMessage({ mark: name }),
    clear: () => speaker.port.postMessage({ clear: true }),
    event: ({ event }) => on.event(event),
    end: (message) => { reason = message.reason; },
    error: ({ message }) => { complaint = message; },
  };

  function take({ data }) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      messages[message.type]?.(message);
    } else speaker.port.postMessage({ audio: data }, [data]);
  }

  connect(socketUrl(session));

  return {
    mute: (muted) => capture.port.postMessage({ muted }),
    press: (digit) => send({ type: "dtmf", digit }),
    type: (text) => send({ type: "text", text }),
    hangUp: () => send({ type: "stop" }),
    abandon: over,
  };
}

/** The service's address as this page reaches it; `url` may name another host. `token` goes on with a call. */
function socketUrl({ call_id: callId, url }, token = null) {
  const search = token === null ? new URL(url).search : `?token=${encodeURIComponent(token)}`;
  const here = new URL(`media/${encodeURIComponent(callId)}${search}`, document.baseURI);
  here.protocol = here.protocol.replace("http", "ws");
  return here;
}

/** The browser's audio and the microphone, which may be missing: then `problem` says why. */
async function openAudio() {
  let microphone = null;
  let problem = null;
  try {
    if (!navigator.mediaDevices) throw new Error("browsers allow it on https and on localhost only");
    microphone = await navigator.mediaDevices.getUserMedia(MICROPHONE);
  } catch (error) {
    problem = `No microphone: ${error.message || error.name}. You can type.`;
  }
  const audio = await contextFor(microphone);
  await audio.resume();
  return { audio, microphone, problem };
}

/** At the line's rate where the browser can bring the microphone to it, else at the device's. */
async function contextFor(microphone) {
  const audio = new AudioContext({ sampleRate: LINE_RATE, latencyHint: "interactive" });
  try {
    if (microphone) audio.createMediaStreamSource(microphone).disconnect();
    return audio;
  } catch {
    await audio.close();
    return new AudioContext({ latencyHint: "interactive" });
  }
}
