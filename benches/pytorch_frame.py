#!/usr/bin/env python3
"""Times the style network on one frame in PyTorch on a CUDA device, the fastest ways that PyTorch has, for comparison with
`throughput --device cuda`.

    pip install torch
    python benches/pytorch_frame.py --width 32 --size 1920x1080

The network of Johnson et al. 2016 with random weights: 16-bit floats, channels_last, cudnn.benchmark; as it is, in a CUDA
graph, and compiled (torch.compile, max-autotune). Prints a JSON object: the median milliseconds of each, by CUDA events.
"""
import argparse
import json
import statistics

import torch
from pytorch_step import style_network


def time_of(run, frames):
    """The median time of a frame, warm."""
    for _ in range(5):
        run()
    times = []
    for _ in range(frames):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def in_graph(network, picture):
    """The network recorded once, to be started as a whole."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            network(picture)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(picture)
    return graph.replay


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=32, help="channels of the first layer")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes minutes")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))

    torch.backends.cudnn.benchmark = True
    network = style_network(args.width).cuda().half().to(memory_format=torch.channels_last).eval()
    picture = torch.rand(1, 3, height, width, device="cuda").half().to(memory_format=torch.channels_last)
    times = {}
    with torch.inference_mode():
        times["eager"] = time_of(lambda: network(picture), args.frames)
        times["graph"] = time_of(in_graph(network, picture), args.frames)
        if not args.no_compile:
            compiled = torch.compile(network, mode="max-autotune")
            times["compiled"] = time_of(lambda: compiled(picture), args.frames)
    print(json.dumps({
        "width": args.width, "size": args.size, "ms": times, "best_ms": min(times.values()),
        "device": torch.cuda.get_device_name(), "torch": torch.__version__,
    }))


if __name__ == "__main__":
    main()
