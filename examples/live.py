#!/usr/bin/env python3
"""Plays live video, controlled by keys in the terminal.

    cargo build --release --workspace
    export GST_PLUGIN_PATH=target/release          # unless the plugin is installed
    examples/live.py --mirror                      # the first camera
    examples/live.py --input test scream atelier my.safetensors

`faststyle live` has more keys, a page to click, and outputs; this is how to change the
element while it plays. Needs PyGObject: Debian's packages python3-gi and
gir1.2-gstreamer-1.0.
"""

import argparse
import os
import signal
import sys
import termios
import tty
from pathlib import Path

try:
    import gi

    gi.require_version("Gst", "1.0")
    from gi.repository import GLib, Gst
except (ImportError, ValueError) as error:
    sys.exit(
        f"{error}\nInstall PyGObject and GStreamer's description (Debian: sudo apt install python3-gi "
        "gir1.2-gstreamer-1.0), and start this with the Python that has them, such as /usr/bin/python3."
    )

CLIP = Path(__file__).parent / "media/big_buck_bunny.mp4"
HELP = "n next style, + - more or less of it, o original, s statistics, q quit"


class Player:
    def __init__(self, pipeline, models, repeat):
        self.pipeline = pipeline
        self.style = pipeline.get_by_name("style")
        self.models = models
        self.repeat = repeat  # at the end
        self.strength = 1.0
        self.original = False
        self.error = None
        self.loop = GLib.MainLoop()
        self.keys = {
            "n": self.next,
            "+": lambda: self.set_strength(self.strength + 0.1),
            "-": lambda: self.set_strength(self.strength - 0.1),
            "o": self.show_original,
            "s": lambda: say(self.style.get_property("stats").to_string()),
            "q": self.quit,
        }
        self.choose(0)

    def run(self):
        """Plays until someone ends it; returns the error, if any."""
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.on_message)
        for number in (signal.SIGINT, signal.SIGTERM):
            GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, self.quit)
        GLib.io_add_watch(0, GLib.IO_IN | GLib.IO_HUP, self.on_keys)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)
        return self.error

    def on_keys(self, file, _condition):
        typed = os.read(file, 64).decode(errors="ignore")
        for key in typed:
            self.keys.get(key, lambda: None)()
        return bool(typed)  # no more keys come from a pipe that is closed

    def on_message(self, _bus, message):
        if message.type == Gst.MessageType.EOS and self.repeat:
            self.pipeline.seek_simple(Gst.Format.TIME, Gst.SeekFlags.FLUSH, 0)
        elif message.type == Gst.MessageType.EOS:
            self.loop.quit()
        elif message.type == Gst.MessageType.ERROR:
            self.error = message.parse_error().gerror.message
            self.loop.quit()
        elif message.type == Gst.MessageType.WARNING:
            print(message.parse_warning().gerror.message, file=sys.stderr)
        elif message.type == Gst.MessageType.LATENCY:
            self.pipeline.recalculate_latency()

    def next(self):
        """Goes to the next style: of this model, into which it fades, else of
        the next model."""
        styles = self.style.get_property("styles")
        current = self.style.get_property("style") or (styles or [None])[0]
        place = styles.index(current) + 1 if current in styles else len(styles)
        if place < len(styles):
            self.style.set_property("style", styles[place])
            say(f"style: {styles[place]}")
        else:
            self.choose(self.model + 1)

    def choose(self, number):
        """Changes the model while the video plays. If it cannot be read, the
        element warns and keeps the previous one."""
        self.model = number % len(self.models)
        self.style.set_property("style", None)
        self.style.set_property("model", self.models[self.model])
        say(f"model: {self.models[self.model]}")

    def set_strength(self, strength):
        self.strength = min(max(strength, 0.0), 1.0)
        shown = 0.0 if self.original else self.strength
        self.style.set_property("strength", shown)
        say(f"strength: {shown:.1f}")

    def show_original(self):
        self.original = not self.original
        self.set_strength(self.strength)

    def quit(self):
        self.repeat = False
        self.pipeline.send_event(Gst.Event.new_eos())
        return GLib.SOURCE_REMOVE


def say(text):
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description="Repaints live video, controlled by keys", epilog=HELP)
    parser.add_argument("models", nargs="*", default=["scream", "udnie", "atelier"], help="model files, or names of installed models")
    parser.add_argument("--input", default="/dev/video0", help="camera, a video file that is repeated, or `test` for the shipped clip")
    parser.add_argument("--mirror", action="store_true", help="mirror the picture, as cameras are used to")
    parser.add_argument("--headless", action="store_true", help="do not open a window")
    args = parser.parse_args()
    path = str(CLIP) if args.input == "test" else args.input
    if not os.path.exists(path):
        sys.exit(f"Not found: {path}. Give a camera (/dev/video…), a video file, or `test`")

    Gst.init(None)
    camera = path.startswith("/dev/")
    source = "v4l2src name=input ! decodebin ! queue leaky=downstream max-size-buffers=1" if camera else "filesrc name=input ! decodebin"
    flip = "horizontal-flip" if args.mirror else "none"
    sink = "fakesink sync=true" if args.headless else "autovideosink"
    try:
        pipeline = Gst.parse_launch(
            f"{source} ! videoconvert ! videoflip method={flip} "
            f"! faststyle name=style style-fade=1000 ! queue ! videoconvert ! {sink}"
        )
    except GLib.Error as error:
        sys.exit(f"{error.message} (is GST_PLUGIN_PATH set?)")
    pipeline.get_by_name("input").set_property("device" if camera else "location", path)

    player = Player(pipeline, args.models, repeat=not camera)
    say(HELP)
    terminal = termios.tcgetattr(0) if sys.stdin.isatty() else None
    try:
        if terminal:
            tty.setcbreak(0)
        error = player.run()
    finally:
        if terminal:
            termios.tcsetattr(0, termios.TCSADRAIN, terminal)
    if error:
        sys.exit(error)


if __name__ == "__main__":
    main()
