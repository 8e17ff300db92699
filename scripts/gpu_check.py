#!/usr/bin/env python3
"""Checks and measures faststyle on a machine with an NVIDIA GPU, in the folder that scripts/gpu-folder creates.

    python3 gpu_check.py                 # everything: about ten minutes
    python3 gpu_check.py --quick         # without torch.compile and the longer training

The machine needs the driver, Python and PyTorch, whose CUDA libraries it uses; no Rust, no GStreamer, no network. It tests
correctness, then speed relative to PyTorch, then a short training, and prints a summary. The exit status is 1 if a test
fails or misses its target.
"""
import argparse
import json
import os
import re
import site
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZES = ("1280x720", "1920x1080", "3840x2160")
# Upper and lower bounds.
MOST_OF_PYTORCH, MOST_OF_PYTORCH_STEP, LEAST_FRAMES, MOST_DIFFERENCE = 0.67, 1.5, 60, 0.5


def unpack():
    """Unpacks the programs and their libraries next to this file."""
    packed = HERE / "programs.tar.xz"
    if packed.exists() and not (HERE / "bin").exists():
        with tarfile.open(packed) as archive:
            archive.extractall(HERE)


def cuda_libraries():
    """Folders with CUDA's libraries under the names that the programs are linked with: the system's, else PyTorch's."""
    packages = [Path(path) / "nvidia" for path in site.getsitepackages() + sys.path]
    folders = sorted({path for package in packages if package.is_dir() for path in package.glob("*/lib")})
    known = subprocess.run(["ldconfig", "-p"], text=True, stdout=subprocess.PIPE).stdout
    links = Path(tempfile.mkdtemp(prefix="faststyle-cuda-"))
    for name in ("cuda", "cudart", "cublas", "cublasLt", "curand", "nvrtc"):
        found = [Path(path) for path in re.findall(rf"lib{name}\.so\S* .*=> (\S+)", known)]
        found += [path for folder in folders for path in folder.glob(f"lib{name}.so*")]
        if found:
            (links / f"lib{name}.so").symlink_to(found[0].resolve())
        else:
            print(f"lib{name}.so not found on this machine.")
    return [links, *folders]


def environment():
    """The environment, extended by CUDA's libraries and the folder's."""
    own = HERE / "lib"
    folders = [str(folder) for folder in [own, *cuda_libraries()]]
    old = os.environ.get("LD_LIBRARY_PATH", "")
    return os.environ | {
        "LD_LIBRARY_PATH": ":".join([*folders, old]),
        "GST_PLUGIN_SYSTEM_PATH": str(own / "gstreamer-1.0"),
        "GST_PLUGIN_SCANNER": str(HERE / "bin/gst-plugin-scanner"),
        "GST_REGISTRY": "/tmp/faststyle-gpu-check-registry.bin",
    }


class Check:
    """Runs programs, and collects the summary and failures."""

    def __init__(self):
        self.environment = environment()
        self.lines, self.failed = [], False

    def run(self, *command, timeout=600):
        started = time.monotonic()
        command = [str(part) for part in command]
        try:
            done = subprocess.run(command, env=self.environment, cwd=HERE, timeout=timeout, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            status, out, error = done.returncode, done.stdout, done.stderr
        except (OSError, subprocess.TimeoutExpired) as failure:
            status, out, error = -1, "", str(failure)
        print(f"[{time.monotonic() - started:6.1f} s] {' '.join(command)}", flush=True)
        if status != 0:
            print(out[-3000:], error[-3000:], sep="\n", flush=True)
        return status, out, error

    def say(self, what, figure, good):
        """Adds a line to the summary; `good` is None for information alone."""
        mark = {True: "ok", False: "BAD", None: ""}[good]
        self.failed |= good is False
        self.lines.append(f"{what:<64} {figure:>26}  {mark}")
        print(self.lines[-1], flush=True)

    def json(self, *command, **options):
        """The last line of a program's output, as JSON."""
        status, out, _ = self.run(*command, **options)
        try:
            return json.loads(out.strip().splitlines()[-1]) if status == 0 else None
        except (IndexError, ValueError):
            return None


def device(check):
    status, out, _ = check.run("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    check.say("device", out.strip()[:60] if status == 0 else "none", status == 0)


def correctness(check):
    status, out, _ = check.run(HERE / "bin/cuda_device", "--test-threads=1")
    found = re.findall(r"\d+ passed; \d+ failed", out)
    check.say("tests on the device", found[-1] if found else "failed", status == 0)
    for model in sorted((HERE / "models").glob("*.safetensors")):
        for size in ("256x256", "641x479"):
            report = check.json(HERE / "bin/throughput", "--device", "cuda", "--model", model, "--size", size, "--json")
            mean = report and report["mean_abs_diff"]
            check.say(f"difference from f32, {model.stem} at {size}, of 255", f"{mean}", bool(report) and mean <= MOST_DIFFERENCE)


def pipeline(check):
    """The element in a pipeline."""
    launch = HERE / "bin/gst-launch-1.0"
    model = next((HERE / "models").glob("*.safetensors"))
    for frames in ("video/x-raw,format=I420,width=1280,height=720", "video/x-raw,format=RGBA,width=641,height=479"):
        status, _, _ = check.run(launch, "-q", "videotestsrc", "num-buffers=60", "!", frames, "!", "faststyle", "device=cuda",
                                 f"model={model}", "!", "fakesink")
        check.say(f"pipeline of {frames}", "plays" if status == 0 else "fails", status == 0)


def frames(check, quick):
    for width in (16, 32):
        for size in SIZES:
            ours = check.json(HERE / "bin/throughput", "--device", "cuda", "--width", width, "--size", size,
                              "--format", "I420", "--frames", 100, "--json")
            options = ["--no-compile"] if quick else []
            theirs = check.json(sys.executable, HERE / "benches/pytorch_frame.py", "--width", width, "--size", size,
                                *options)
            if not ours or not theirs:
                check.say(f"C = {width}, {size}", "failed", False)
                continue
            kernels, best = ours["network_ms_median"], theirs["best_ms"]
            good = kernels <= MOST_OF_PYTORCH * best if width == 32 else None
            check.say(f"C = {width}, {size}: kernels, relative to PyTorch's best",
                      f"{kernels:.3f} / {best:.3f} ms = {kernels / best:.2f}", good)
            rate = 1000 / ours["ms_median"]
            wanted = rate >= LEAST_FRAMES if (width, size) == (32, "3840x2160") else None
            check.say(f"C = {width}, {size}: frames from and to this side's memory", f"{rate:.0f} a second", wanted)


def training(check, quick):
    steps = 100 if quick else 400
    output = "/tmp/faststyle-gpu-check/style.safetensors"
    Path(output).parent.mkdir(exist_ok=True)
    status, _, _ = check.run(HERE / "bin/faststyle-train", "train", "--device", "cuda", "--style", HERE / "media/painting.jpg",
                             "--photos", HERE / "media/photos", "--width", 32, "--batch", 4, "--size", 256, "--steps", steps,
                             "--overwrite", "--output", output)
    check.say(f"training, {steps} steps of C = 32, batch 4, 256x256", "ends" if status == 0 else "fails", status == 0)
    metrics = Path(output).with_suffix(".metrics.csv")
    rows = [line.split(",") for line in metrics.read_text().splitlines()] if metrics.exists() else []
    if len(rows) > 3:
        head = rows[0]
        at = lambda row, name: float(row[head.index(name)])
        first, last = rows[len(rows) // 2], rows[-1]
        ours = (at(last, "seconds") - at(first, "seconds")) / (at(last, "step") - at(first, "step"))
        check.say("loss, first and last", f"{at(rows[1], 'total'):.3e} {at(last, 'total'):.3e}",
                  at(last, "total") < at(rows[1], "total"))
        options = [] if quick else ["--compile"]
        theirs = check.json(sys.executable, HERE / "benches/pytorch_step.py", "--width", 32, "--batch", 4, "--steps", 30,
                            "--device", "cuda", "--channels-last", "--half", *options)
        if theirs:
            best = theirs["s_min"]
            check.say("a step, relative to PyTorch's", f"{ours * 1e3:.1f} / {best * 1e3:.1f} ms = {ours / best:.2f}",
                      ours <= MOST_OF_PYTORCH_STEP * best)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["correctness", "frames", "training"], help="one part alone")
    args = parser.parse_args()
    unpack()
    check = Check()
    device(check)
    if args.only in (None, "correctness"):
        correctness(check)
        pipeline(check)
    if args.only in (None, "frames"):
        frames(check, args.quick)
    if args.only in (None, "training"):
        training(check, args.quick)
    print("\n== Summary", *check.lines, sep="\n")
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
