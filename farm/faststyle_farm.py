#!/usr/bin/env python3
"""Paints a film on the machines of a Ray cluster.

    faststyle_farm.py IN --output OUT [--address ADDRESS] [options] [-- options of faststyle film]

The film is cut into the segments that `faststyle film` has on one machine, too. Ray's
workers paint them with the program `faststyle`, which has to be installed on each machine;
this machine joins them. The film, the model and the painted segments travel through Ray's
object store, so no shared file system is needed. What a worker or a machine that dies had
in hand is painted again by another one. Interrupted, the same command goes on where it was.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ray

# So much of a file is in the memory of a machine at a time.
CHUNK = 64 << 20
# How often a segment is painted again after its worker or machine has died.
RETRIES = 8


class PaintingFailed(Exception):
    """The program has failed: it would again."""


def command(program, film, output, options):
    return [program, "film", str(film), "--output", str(output), *options]


def run(words):
    """What the program prints, as JSON."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise PaintingFailed(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{words[0]} failed")
    return json.loads(done.stdout)


def put(path):
    """A file in the object store: its name, a fingerprint, and its chunks."""
    chunks, fingerprint = [], hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            fingerprint.update(chunk)
            chunks.append(ray.put(chunk))
    return {"name": path.name, "fingerprint": fingerprint.hexdigest(), "chunks": chunks}


def get(stored):
    """The file on this machine; fetched once for all of the machine's workers."""
    folder = Path(tempfile.gettempdir()) / f"faststyle-farm-{os.getuid()}" / stored["fingerprint"]
    path = folder / stored["name"]
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
            for chunk in stored["chunks"]:
                part.write(ray.get(chunk))
        # Whole, or not there: others may be fetching it, too.
        os.replace(part.name, path)
    return path


def paint(program, film, model, output, options, index):
    """Paints a segment; what the program tells of it, and its file."""
    words = [*options, "--model", str(get(model))] if model else options
    with tempfile.TemporaryDirectory(prefix="faststyle-") as folder:
        file = Path(folder) / "segment.packets"
        words = [*words, "--paint-segment", f"{index}:{file}"]
        # The name alone says which container and codec are meant.
        about = run(command(program, get(film), Path(folder) / output, words))
        return about, file.read_bytes()


class Bar:
    """One line that shows how far it is."""

    def __init__(self, count, done):
        self.count, self.done, self.first = count, done, done
        self.started = time.monotonic()
        self.show()

    def step(self):
        self.done += 1
        self.show()

    def show(self):
        text = f"{self.done} of {self.count} segments"
        if self.done > self.first:
            left = (time.monotonic() - self.started) / (self.done - self.first) * (self.count - self.done)
            text += f", {left / 60:.0f} min left" if left > 90 else f", {left:.0f} s left"
        terminal = sys.stderr.isatty()
        print(f"\r{text}\033[K" if terminal else text, end="" if terminal else "\n", file=sys.stderr, flush=True)

    def end(self):
        if sys.stderr.isatty():
            print(file=sys.stderr)


def write(path, data):
    """The file is whole, or not there."""
    part = path.with_suffix(".fetched")
    part.write_bytes(data)
    os.replace(part, path)


def check_neighbours(abouts):
    """Whether each segment begins where the one before ends."""
    for index, about in abouts.items():
        before = abouts.get(index - 1)
        if before and before["end"] and about["before"] and before["end"] != about["before"]:
            raise PaintingFailed(
                f"segments {index - 1} and {index} do not fit: this film's times differ after a seek; "
                "paint it on one machine, or put it into another container first"
            )


def paint_segments(args, options, segments):
    missing = [segment for segment in segments if not segment["done"]]
    bar = Bar(len(segments), len(segments) - len(missing))
    if not missing:
        bar.end()
        return
    film = put(args.input)
    model = put(Path(args.model)) if args.model and Path(args.model).is_file() else None
    if args.model and not model:
        options = [*options, "--model", args.model]
    task = ray.remote(num_cpus=args.cores, num_gpus=args.gpus, max_retries=RETRIES)(paint)
    options = [*options, "--threads", str(max(1, round(args.cores)))]
    program, name = args.worker_program or args.program, args.output.name
    waiting, running, abouts = list(missing), {}, {}
    try:
        while waiting or running:
            # Two for each place to paint at: one waits while one is painted. Painted
            # segments are in the object store no longer than it takes to fetch them.
            places = max(1, int(ray.cluster_resources().get("CPU", 1) // max(args.cores, 0.01)))
            while waiting and len(running) < 2 * places:
                segment = waiting.pop(0)
                running[task.remote(program, film, model, name, options, segment["index"])] = segment
            ready, _ = ray.wait(list(running), timeout=5)
            for reference in ready:
                segment = running.pop(reference)
                about, data = ray.get(reference)
                write(Path(segment["file"]), data)
                abouts[segment["index"]] = about
                del data, reference
                bar.step()
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        bar.end()
    check_neighbours(abouts)


def parse(words):
    own, film = words, []
    if "--" in words:
        place = words.index("--")
        own, film = words[:place], words[place + 1 :]
    parser = argparse.ArgumentParser(
        description="Paints a film on the machines of a Ray cluster.",
        epilog="Options after -- are those of faststyle film, such as --codec h265 --segment 5.",
    )
    parser.add_argument("input", type=Path, help="the film")
    parser.add_argument("--output", "-o", type=Path, required=True, help="the film to write")
    parser.add_argument("--model", "-m", help="model file, which is sent to the machines, or the name of an installed one")
    parser.add_argument("--address", help="the cluster's; default: RAY_ADDRESS, or this machine alone")
    parser.add_argument("--cores", type=float, default=1, help="cores for a segment (default: 1, which paints most)")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs for a segment")
    parser.add_argument("--program", default="faststyle", help="the program on this machine")
    parser.add_argument("--worker-program", help="the program on the others (default: the same)")
    return parser.parse_args(own), film


def main(words=None):
    args, options = parse(sys.argv[1:] if words is None else words)
    args.input, args.output = args.input.resolve(), args.output.absolute()
    named = [*options, "--model", args.model] if args.model else options
    listed = run(command(args.program, args.input, args.output, [*named, "--list-segments"]))
    if not ray.is_initialized():
        ray.init(address=args.address, log_to_driver=False, logging_level="warning")
    paint_segments(args, options, listed["segments"])
    # Nothing is left but to join them.
    return subprocess.run(command(args.program, args.input, args.output, named)).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PaintingFailed as error:
        sys.exit(f"faststyle_farm: {error}")
    except ray.exceptions.RayTaskError as error:
        sys.exit(f"faststyle_farm: {error.cause}")
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on where it was.", file=sys.stderr)
        sys.exit(130)
