#!/usr/bin/env python3
"""Paints a clip on a cluster of three nodes on this machine, one of which is killed half way:
the result is that of one machine. Then checks and runs the OpenJD template.

    farm/test_farm.py PROGRAM       the built program, such as target/release/faststyle
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

sys.path.insert(0, str(Path(__file__).parent))
import faststyle_farm

HERE = Path(__file__).resolve().parent
SEGMENTS = 9


def make_clip(path):
    frames = SEGMENTS * 25
    line = (
        f"gst-launch-1.0 -q videotestsrc num-buffers={frames} pattern=ball ! "
        "video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! x264enc key-int-max=15 ! mux. "
        f"audiotestsrc num-buffers={SEGMENTS * 43} ! audio/x-raw,rate=44100,channels=2 ! avenc_aac ! mux. "
        f"matroskamux name=mux ! filesink location={path}"
    )
    subprocess.run(line.split(), check=True)


def frames(path):
    """A fingerprint of all decoded frames, and how many bytes they have."""
    with tempfile.NamedTemporaryFile() as raw:
        line = f"gst-launch-1.0 -q filesrc location={path} ! decodebin ! video/x-raw ! filesink location={raw.name}"
        subprocess.run(line.split(), check=True)
        data = raw.read()
    return hashlib.sha256(data).hexdigest(), len(data)


def kill_a_node(cluster, node, folder):
    """Kills `node` as soon as some segments are there, without a warning."""
    job = folder / ".farm.mkv.faststyle"
    while len(list(job.glob("*.packets"))) < SEGMENTS // 3:
        time.sleep(0.05)
    print("killing a node", flush=True)
    cluster.remove_node(node, allow_graceful=False)


def test_film(program, folder):
    clip, model = folder / "clip.mkv", HERE.parent / "models/scream.safetensors"
    make_clip(clip)
    options = ["--segment", "1"]
    whole = folder / "whole.mkv"
    look = ["--model", str(model), "--threads", "1"]
    subprocess.run(faststyle_farm.command(program, clip, whole, [*look, *options]), check=True)

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    killer = threading.Thread(target=kill_a_node, args=(cluster, nodes[1], folder))
    killer.start()
    output = folder / "farm.mkv"
    words = [str(clip), "--output", str(output), "--model", str(model), "--program", program, "--", *options]
    code = faststyle_farm.main(words)
    killer.join()
    ray.shutdown()
    cluster.shutdown()
    assert code == 0, f"exit status {code}"
    assert not (folder / ".farm.mkv.faststyle").exists(), "unfinished work is left"
    expected = frames(whole)
    assert expected[1] == SEGMENTS * 25 * 160 * 120 * 3 // 2, expected
    assert frames(output) == expected, "the films differ"
    print("three nodes, one killed: the same film")


def test_template(program, folder):
    """The same by a render manager's template."""
    template, output = HERE / "film.openjd.yaml", folder / "rendered.mkv"
    openjd = Path(sys.executable).parent / "openjd"
    subprocess.run([openjd, "check", template], check=True)
    model = HERE.parent / "models/scream.safetensors"
    parameters = {
        "Input": folder / "clip.mkv",
        "Output": output,
        "Model": model,
        "Program": program,
        "SegmentSeconds": 1,
        "LastSegment": SEGMENTS - 1,
    }
    words = [openjd, "run", template]
    for name, value in parameters.items():
        words += ["-p", f"{name}={value}"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert frames(output) == frames(folder / "whole.mkv"), "the films differ"
    print("OpenJD: the same film")


def main():
    program = str(Path(sys.argv[1]).resolve())
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with tempfile.TemporaryDirectory() as folder:
        test_film(program, Path(folder))
        test_template(program, Path(folder))


if __name__ == "__main__":
    main()
