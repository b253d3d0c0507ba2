// Runs in the browser's audio thread: what the microphone hears goes out in frames, and the agent's sound is played.

const FRAME_SECONDS = 0.02;
const LEVEL_SECONDS = 0.05;

/** Loudness of some samples between 0 and 1: the root of their mean square. */
function loudness(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length ? Math.sqrt(sum / samples.length) : 0;
}

/** Sends 20 ms of the microphone at a time, as 16-bit samples at the line's rate; silence while it is muted or absent. */
class Microphone extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.step = sampleRate / processorOptions.rate; // input samples for each one that is sent
    this.frame = new Int16Array(processorOptions.rate * FRAME_SECONDS);
    this.filled = 0;
    this.sum = 0; // of the input samples that the next one is the mean of
    this.count = 0;
    this.due = this.step;
    this.muted = false;
    this.port.onmessage = ({ data }) => { this.muted = data.muted; };
  }

  process([[input]]) {
    const samples = input && !this.muted ? input : new Float32Array(128);
    for (const sample of samples) {
      this.sum += sample;
      this.count += 1;
      if (this.count < this.due) continue;
      this.due += this.step - this.count;
      this.put(this.sum / this.count);
      this.sum = this.count = 0;
    }
    return true;
  }

  put(sample) {
    this.frame[this.filled] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
    this.filled += 1;
    if (this.filled < this.frame.length) return;
    const level = loudness(this.frame) / 32768;
    const audio = this.frame.buffer;
    this.frame = new Int16Array(this.frame.length);
    this.filled = 0;
    this.port.postMessage({ audio, level }, [audio]);
  }
}

/** Plays what it is given, reports the marks between, and throws away the rest when it is told to clear. */
class Speaker extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.step = processorOptions.rate / sampleRate; // samples of the line for each one that is played
    this.queue = []; // pieces of sound, and the names of marks
    this.at = 0; // the position in the first piece; a fraction where the rates differ
    this.played = 0;
    this.due = 0;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  take({ audio, mark, clear }) {
    if (audio) this.queue.push(new Int16Array(audio));
    else if (mark !== undefined) this.queue.push(mark);
    else if (clear) {
      const played = Math.floor(this.played + this.at);
      this.queue = [];
      this.played = played;
      this.at = 0;
      this.port.postMessage({ cleared: played });
    }
    this.reportMarks();
  }

  /** Marks at the head of the queue have nothing left before them. */
  reportMarks() {
    while (typeof this.queue[0] === "string") this.port.postMessage({ mark: this.queue.shift() });
  }

  process(_inputs, [[output]]) {
    for (let index = 0; index < output.length && this.queue.length; index += 1) {
      output[index] = this.queue[0][Math.floor(this.at)] / 32768;
      this.at += this.step;
      if (this.at >= this.queue[0].length) {
        this.at -= this.queue[0].length;
        this.played += this.queue.shift().length;
        this.reportMarks();
      }
    }
    this.due -= output.length / sampleRate;
    if (this.due <= 0) {
      this.due = LEVEL_SECONDS;
      this.port.postMessage({ level: loudness(output) });
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
registerProcessor("speaker", Speaker);
