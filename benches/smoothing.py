#!/usr/bin/env python3
"""How calm `smoothing` and `network-every` make a film, and what they cost in detail.

    benches/smoothing.py film.mp4 --model models/scream.safetensors --frames 90

Plays the film through the element twice, each frame by itself and as asked, and compares
paintings with the ones before, carried along the film's motion. That motion is OpenCV's
(dense inverse search, preset medium, at full size), not the element's own. Needs
PyGObject, numpy and opencv-python-headless; GST_PLUGIN_PATH must lead to the plugin.
"""

import argparse

import cv2
import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402, F401

# Places where the film itself differs more from the frame before are left out, of 255.
AGREEMENT = 20


def frames(arguments, effect):
    """The film's frames after an element, as arrays of floats."""
    scale = f"videoscale ! video/x-raw,width={arguments.width},pixel-aspect-ratio=1/1 ! " if arguments.width else ""
    pipeline = Gst.parse_launch(
        f"filesrc name=film ! decodebin ! videoconvert ! {scale}{effect} ! videoconvert "
        "! video/x-raw,format=BGR ! appsink name=sink sync=false max-buffers=4"
    )
    pipeline.get_by_name("film").set_property("location", arguments.film)
    pipeline.set_state(Gst.State.PLAYING)
    sink = pipeline.get_by_name("sink")
    found = []
    for number in range(arguments.start + arguments.frames):
        sample = sink.pull_sample()
        if sample is None:
            break
        if number < arguments.start:
            continue
        caps = sample.get_caps().get_structure(0)
        width, height = caps.get_value("width"), caps.get_value("height")
        buffer = sample.get_buffer()
        rows = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8)
        rows = rows.reshape(height, -1)[:, : 3 * width]
        found.append(rows.reshape(height, width, 3).astype(np.float32))
    style = pipeline.get_by_name("style")
    if style:
        stats = style.get_property("stats")
        names = ["carried-frames", "repaired-share", "network-mean-ms", "motion-mean-ms", "total-mean-ms"]
        print(", ".join(f"{name} {stats.get_value(name):.3g}" for name in names))
    pipeline.set_state(Gst.State.NULL)
    return found


def gray(picture):
    return cv2.cvtColor(picture.clip(0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY)


def carried(picture, motion, interpolation):
    height, width = picture.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    to = (x + motion[..., 0], y + motion[..., 1])
    return cv2.remap(picture, *to, interpolation, borderMode=cv2.BORDER_REPLICATE)


def warp_error(pictures, film, motions):
    """Mean difference from the picture before, where the film agrees with its own."""
    errors = []
    for i in range(2, len(pictures)):
        before = carried(film[i - 1], motions[i], cv2.INTER_LINEAR)
        agree = np.abs(film[i] - before).max(2) < AGREEMENT
        before = carried(pictures[i - 1], motions[i], cv2.INTER_CUBIC)
        errors.append(np.abs(pictures[i] - before).mean(2)[agree].mean())
    return np.mean(errors)


def detail(pictures):
    """Mean gradient of luma."""
    grays = [gray(picture).astype(np.float32) for picture in pictures[2:]]
    return np.mean([np.hypot(np.diff(g, axis=1)[:-1], np.diff(g, axis=0)[:, :-1]).mean() for g in grays])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film")
    parser.add_argument("--model", required=True)
    parser.add_argument("--smoothing", type=float, default=0.8)
    parser.add_argument("--network-every", type=int, nargs="+", default=[1], help="one or several")
    parser.add_argument("--save", metavar="FOLDER", help="write frames, paintings by themselves and as asked, side by side")
    parser.add_argument("--start", type=int, default=0, help="first frame that counts")
    parser.add_argument("--frames", type=int, default=90, help="frames that count")
    parser.add_argument("--width", type=int, help="scale the film to so many columns")
    arguments = parser.parse_args()
    Gst.init(None)
    element = f"faststyle name=style scale=1 model=\"{arguments.model}\""
    film = frames(arguments, "identity")
    alone = frames(arguments, f"{element} smoothing=0")
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grays = [gray(frame) for frame in film]
    motions = [None] + [search.calc(now, before, None) for before, now in zip(grays, grays[1:])]
    by_itself = warp_error(alone, film, motions)
    print(f"{len(film)} frames; warp error: film {warp_error(film, film, motions):.2f}, by itself {by_itself:.2f}")
    for every in arguments.network_every:
        settings = f"smoothing={arguments.smoothing} network-every={every}"
        calm = frames(arguments, f"{element} {settings}")
        print(f"{settings}: {warp_error(calm, film, motions) / by_itself:.3f}x, detail kept {detail(calm) / detail(alone):.1%}")
        if arguments.save:
            for i, three in enumerate(zip(film, alone, calm)):
                cv2.imwrite(f"{arguments.save}/{every}-{i:04}.png", np.concatenate(three, axis=1))


if __name__ == "__main__":
    main()
