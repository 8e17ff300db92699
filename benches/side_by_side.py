#!/usr/bin/env python3
"""Compares the speed of faststyle with ONNX Runtime and OpenVINO, with the same weights on the same machine.

    make bench-peers                     # sets up Python's packages, then runs this
    make bench-peers ARGS="--width 32 --size 640x480 --size 1280x720"
    python3 benches/side_by_side.py --model models/scream.safetensors --json result.json

The engines take turns, each in a process of its own, so that other load on the machine affects all alike. Every result
is compared with ONNX Runtime's in f32. Needs numpy, onnxruntime, openvino, and `cargo build --release --workspace` together with
`cargo build --release --examples`.
"""
import argparse
import datetime
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")
OURS = {"faststyle f32": "f32", "faststyle fast": "fast"}
PEERS = ["ONNX Runtime f32", "OpenVINO f32", "OpenVINO default"]


def run_peer(engine, onnx, pictures, threads, frames):
    """Runs in a process of its own; prints one JSON object."""
    import numpy as np
    picture = np.load(pictures)
    if engine.startswith("ONNX"):
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        version, run = ort.__version__, lambda: session.run(None, {"input": picture})[0]
    else:
        import openvino as ov
        core = ov.Core()
        model = core.read_model(onnx)
        model.reshape({"input": list(picture.shape)})
        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        if engine.endswith("f32"):
            config["INFERENCE_PRECISION_HINT"] = "f32"
        request = core.compile_model(model, "CPU", config).create_infer_request()
        version, run = ov.__version__.split("-")[0], lambda: request.infer({"input": picture})[0]
    result = run()
    times = []
    for _ in range(frames):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    np.save(pictures + "." + engine.replace(" ", "_") + ".npy", result)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"ms_median": statistics.median(times), "peak_rss_mib": peak, "version": version}))


def last_json(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(a, size, folder):
    import numpy as np
    model = a.model or os.path.join(folder, f"random-{a.width}.safetensors")
    pictures = os.path.join(folder, f"{size}.npy")
    raw, onnx = os.path.join(folder, "pictures.raw"), os.path.join(folder, "model.onnx")
    throughput = [os.path.join(BIN, "examples", "throughput"), "--size", size, "--no-check", "--json"]
    source = ["--model", a.model] if a.model else ["--width", str(a.width), "--save-model", model]
    ours = last_json([*throughput, *source, "--frames", "1", "--save-pictures", raw])
    cpu = {key: ours[key] for key in ("cpu", "cpu_features", "isa")}
    width, height = map(int, size.split("x"))
    whole = ["--size", size] if width % 4 or height % 4 else []
    subprocess.run([os.path.join(BIN, "faststyle-train"), "export-onnx", model, "--output", onnx, *whole], check=True,
                   stderr=subprocess.DEVNULL)
    np.save(pictures, np.fromfile(raw, np.float32).reshape(2, 3, height, width)[:1])

    runs = {engine: [] for engine in [*OURS, *PEERS]}
    results = {}
    for _ in range(a.rounds):
        for engine, precision in OURS.items():
            runs[engine].append(last_json([*throughput, "--model", model, "--threads", str(a.threads), "--frames", str(a.frames),
                                           "--precision", precision, "--save-pictures", raw]))
            results[engine] = np.fromfile(raw, np.float32).reshape(2, 3, height, width)[1:]
        for engine in PEERS:
            runs[engine].append(last_json([sys.executable, __file__, "--peer", engine, "--onnx", onnx, "--pictures", pictures,
                                           "--threads", str(a.threads), "--frames", str(a.frames)]))
            results[engine] = np.load(pictures + "." + engine.replace(" ", "_") + ".npy")
    rows = []
    for engine, of_engine in runs.items():
        difference = np.abs(results[engine] - results["ONNX Runtime f32"])
        rows.append({
            "engine": engine, "version": of_engine[0].get("version", of_engine[0].get("isa")), "size": size,
            "ms": statistics.median(run["ms_median"] for run in of_engine),
            "peak_rss_mib": max(run["peak_rss_mib"] for run in of_engine),
            "max_difference": float(difference.max()), "mean_difference": float(difference.mean())})
    return rows, cpu


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", help="a model file; else random weights")
    p.add_argument("--width", type=int, default=16, help="base width of random weights (16)")
    p.add_argument("--size", action="append", help="picture size, can be repeated (640x480)")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--frames", type=int, default=10, help="pictures a round (10)")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--json", help="write all figures to this file")
    for hidden in ("--peer", "--onnx", "--pictures"):
        p.add_argument(hidden, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.peer:
        return run_peer(a.peer, a.onnx, a.pictures, a.threads, a.frames)

    rows, cpu = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for size in a.size or ["640x480"]:
            print(f"\n{a.model or f'random weights, width {a.width}'}, {size}, {a.threads} threads")
            of_size, cpu = measure(a, size, folder)
            print(f"{cpu['cpu']} ({' '.join(cpu['cpu_features'])}), kernels for {cpu['isa']}")
            print(f"{'engine':<18} {'version':<10} {'ms':>8} {'ours f32 /':>10} {'ours fast /':>11} {'MiB':>6}   difference from ONNX Runtime (max, mean of 255)")
            ms = {row["engine"]: row["ms"] for row in of_size}
            for row in of_size:
                print(f"{row['engine']:<18} {row['version']:<10} {row['ms']:8.1f} {ms['faststyle f32'] / row['ms']:10.2f} "
                      f"{ms['faststyle fast'] / row['ms']:11.2f} {row['peak_rss_mib']:6.0f}   {row['max_difference']:.3f}, {row['mean_difference']:.4f}")
            rows += of_size
    if a.json:
        with open(a.json, "w") as f:
            json.dump({"date": datetime.date.today().isoformat(), **cpu, "threads": a.threads, "frames": a.frames,
                       "rounds": a.rounds, "model": a.model, "width": a.width, "rows": rows}, f, indent=1)


if __name__ == "__main__":
    main()
