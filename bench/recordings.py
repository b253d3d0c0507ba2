"""How large recordings become, and what that costs: ``python -m bench.recordings [--minutes 10] [--rates 8000]``.

Two people talk in turns with the sandbox's voice, at every sample rate; ``noise`` adds that of a line to the caller's
side. ``size`` is relative to the WAV. ``crosstalk`` is how much of a side is heard in the other: dB, by correlation.
``late`` is by the best match. CPU times are of a program of its own at the lowest priority, for an hour of the call;
``range`` is how long a range of 64 kB at the end takes, and ``memory`` the most that the program uses.

``--call`` measures what live calls notice: the delay of an event loop that wakes every 5 ms, while the program works.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import quantiles

import numpy as np
import numpy.typing as npt

from app.calls.after.compression import run_program
from media.compressed import COMPRESSED_NAME
from media.formats import SAMPLE_RATES, AudioFormat
from media.recording import Recorder
from media.whole_recording import WholeRecording
from sandbox.vendors.voice import default_voice

Samples = npt.NDArray[np.int16]

_TURNS = Path(__file__).parent / "turns_english.txt"
_PAUSES_SECONDS = (0.5, 0.8, 1.2)
_NOISE = 30
"""Standard deviation of 16-bit samples: -61 dBFS."""
_RANGE_BYTES = 65536
_WAKES_SECONDS = 0.005


def conversation(rate: int, seconds: float, *, noise: int) -> Samples:
    """Caller and agent, in turns."""
    lines = [line.split("|") for line in _TURNS.read_text("utf-8").splitlines() if "|" in line and "{" not in line]
    sound = np.zeros((round(rate * seconds), 2), "<i2")
    at, turn = rate // 2, 0
    while True:
        for side, text in ((1, lines[turn % len(lines)][0]), (0, lines[turn % len(lines)][1].replace("/", " "))):
            said = np.frombuffer(default_voice().synthesize(text.strip(), "en", rate).pcm, "<i2")
            if at + len(said) > len(sound):
                hiss = np.random.default_rng(1).normal(0, noise, len(sound))
                return np.clip(sound + np.stack((hiss, np.zeros_like(hiss)), axis=1), -32768, 32767).astype("<i2")
            sound[at : at + len(said), side] = said // (2 - side)
            at += len(said) + round(rate * _PAUSES_SECONDS[turn % len(_PAUSES_SECONDS)])
        turn += 1


def record(folder: Path, rate: int, sound: Samples) -> None:
    """As a call of one owner."""
    recorder = Recorder(folder, "bench", AudioFormat("pcm_s16le", rate))
    for first in range(0, len(sound), rate):
        caller, agent = np.ascontiguousarray(sound[first : first + rate].T)
        recorder.caller(caller.tobytes(), first / rate)
        recorder.agent(agent.tobytes(), first)
        recorder.wait_written()
    recorder.close()
    recorder.join()


def heard(folder: Path) -> Samples:
    """All of the recording."""
    with closing(WholeRecording(folder)) as whole:
        return np.concatenate(list(whole.blocks(range(whole.samples))))


def crosstalk(was: Samples, now: Samples) -> float:
    """The larger of the two directions, where only one speaks."""
    sides = was.astype(float), now.astype(float)
    loud = np.abs(sides[0]) > 10 * _NOISE
    near = [np.convolve(loud[:, side], np.ones(2000), "same") > 0.5 for side in (0, 1)]
    found = []
    for side, other in ((0, 1), (1, 0)):
        alone = near[side] & ~near[other]
        voice, strange = sides[0][alone, side], (sides[1] - sides[0])[alone, other]
        found.append(20 * np.log10(abs(voice @ strange) / (voice @ voice) + 1e-9))
    return max(found)


def late_milliseconds(was: Samples, now: Samples, rate: int) -> float:
    """The larger of the two sides, by the best match within 5 ms, over half a minute."""
    most, length = rate // 200, 30 * rate
    found = []
    for side in (0, 1):
        middle = was[most : length - most, side].astype(float)
        fits = {
            by: middle @ now[most + by : most + by + len(middle), side].astype(float) for by in range(-most, most + 1)
        }
        found.append(abs(max(fits, key=fits.__getitem__)) / rate * 1000)
    return max(found)


def range_milliseconds(folder: Path) -> float:
    """From opening the recording to the last 64 kB of it."""
    began = time.perf_counter()  # noqa: TID251 - no event loop runs
    with closing(WholeRecording(folder)) as whole:
        assert sum(map(len, whole.read(whole.size - _RANGE_BYTES, whole.size))) == _RANGE_BYTES  # noqa: S101
    return (time.perf_counter() - began) * 1000  # noqa: TID251


def memory_kilobytes(pid: int) -> int:
    """The most that a process has used so far; 0 when it has ended."""
    try:
        found = [line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in line]
    except OSError:
        return 0
    return int(found[0][1]) if found else 0


def measure(rate: int, minutes: float, noise: int, folder: Path) -> str:
    """One line of the table."""
    sound = conversation(rate, minutes * 60, noise=noise)
    record(folder, rate, sound)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "media.compress_program", str(folder.absolute())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as program:  # noqa: S603 - ours
        memory = 0
        while program.poll() is None:
            memory = max(memory, memory_kilobytes(program.pid))
            time.sleep(0.01)  # another program: the kernel tells the most it has used only while it lives
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 60 / minutes
    size = (folder / COMPRESSED_NAME).stat().st_size / sound.nbytes
    back = heard(folder)
    return (
        f"| {rate} | {'yes' if noise else 'no'} | {size:.3f} | {size * rate * 32 / 1000:.0f} | "
        f"{crosstalk(sound, back):.0f} | {late_milliseconds(sound, back, rate):.2f} | {cpu:.0f} | "
        f"{memory / 1024:.0f} | {range_milliseconds(folder):.0f} |"
    )


async def delays(folder: Path | None, seconds: float) -> list[float]:
    """How late the loop wakes, in milliseconds, while the program compresses the recording, or for so long."""
    loop = asyncio.get_running_loop()
    work = loop.create_task(run_program(folder) if folder else asyncio.sleep(seconds), name="work")
    found = []
    while not work.done():
        began = loop.time()
        await asyncio.sleep(_WAKES_SECONDS)
        found.append((loop.time() - began - _WAKES_SECONDS) * 1000)
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rates", type=int, nargs="+", default=SAMPLE_RATES)
    parser.add_argument("--call", action="store_true")
    options = parser.parse_args()
    if options.call:
        with tempfile.TemporaryDirectory() as folder:
            record(Path(folder), 16000, conversation(16000, options.minutes * 60, noise=_NOISE))
            for name, lasting in (("nothing else", None), ("compression", Path(folder).absolute())):
                late = asyncio.run(delays(lasting, 10.0))
                percents = quantiles(late, n=100)
                print(f"{name}: p50 {percents[49]:.2f} ms, p99 {percents[98]:.2f} ms, longest {max(late):.2f} ms")
        return
    print("| rate | noise | size | kbit/s | crosstalk dB | late ms | CPU s an hour | memory MB | range ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for rate in options.rates:
        for noise in (0, _NOISE):
            with tempfile.TemporaryDirectory() as folder:
                print(measure(rate, options.minutes, noise, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
