#!/usr/bin/env python3
"""What `faststyle film` takes over a bare pipeline of the same elements.

Both repaint a film in turn, so that a busy machine is as busy for both. Prints the medians of
wall-clock and processor time, and their ratios. Needs the built workspace.
"""

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def measure(command):
    """Seconds of wall clock and of the processor."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", nargs="?", type=Path, default=ROOT / "examples/media/big_buck_bunny.mp4")
    parser.add_argument("--model", default="scream")
    parser.add_argument("--smoothing", type=float, default=0.8)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    built = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    os.environ.update(GST_PLUGIN_PATH=str(built), GST_FASTSTYLE_MODEL_PATH=str(ROOT / "models"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GST_REGISTRY"] = f"{folder}/registry.bin"
        subprocess.run(["gst-inspect-1.0", "faststyle"], check=True, stdout=subprocess.DEVNULL)
        painted = [f"--model={args.model}", f"--smoothing={args.smoothing}"]
        film = [built / "faststyle", "film", args.film, "--overwrite", "--output", f"{folder}/film.mp4", *painted]
        bare = ["gst-launch-1.0", "-q", "filesrc", f"location={args.film}", "!", "decodebin", "!", "faststyle"]
        bare += [f"model={args.model}", f"smoothing={args.smoothing}", "!", "x264enc", "pass=qual", "quantizer=21"]
        bare += ["speed-preset=veryfast", "!", "mp4mux", "!", "filesink", f"location={folder}/bare.mp4"]
        times = {"film": [], "bare": []}
        for _ in range(args.runs):
            for name, command in (("film", film), ("bare", bare)):
                times[name].append(measure(command))
    medians = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in times.items()}
    for place, kind in enumerate(("wall clock", "processor")):
        film, bare = medians["film"][place], medians["bare"][place]
        print(f"{kind}: film {film:.2f} s, bare pipeline {bare:.2f} s, ratio {film / bare:.3f}")


if __name__ == "__main__":
    main()
