#!/usr/bin/env python3
"""Plays live video, controlled by keys in the terminal.

    cargo build --release --workspace
    export GST_PLUGIN_PATH=target/release          # unless the plugin is installed
    examples/live.py models/                       # the first camera
    examples/live.py --input test scream my-styles/ other.safetensors

Needs PyGObject: Debian's packages python3-gi and gir1.2-gstreamer-1.0.
"""

import argparse
import os
import signal
import sys
import termios
import tty
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

HELP = """\
n, Right   next style           + , Up     more of the style
p, Left    previous style       - , Down   less of it
k          the video's colours  o          the original
f          time of a fade       s          statistics
q, Ctrl-C  quit"""

# Times of a fade from style to style, in milliseconds.
FADES = [1000, 4000, 0]

# What a terminal sends for the arrow keys.
ARROWS = {"\x1b[C": "n", "\x1b[D": "p", "\x1b[A": "+", "\x1b[B": "-"}


class Player:
    def __init__(self, pipeline, models):
        self.pipeline = pipeline
        self.style = pipeline.get_by_name("style")
        self.text = pipeline.get_by_name("text")
        self.models = models
        self.chosen = 0
        self.fade = 0
        self.strength = 1.0
        self.original = False
        self.error = None
        self.loop = GLib.MainLoop()
        self.style.connect("notify::styles", self.on_styles)
        self.keys = {
            "n": lambda: self.step(1),
            "p": lambda: self.step(-1),
            "+": lambda: self.set_strength(self.strength + 0.1),
            "-": lambda: self.set_strength(self.strength - 0.1),
            "k": lambda: say(f"own colours: {toggle(self.style, 'keep-color')}"),
            "o": self.show_original,
            "f": self.change_fade,
            "s": lambda: say(f"statistics: {not toggle(self.text, 'silent')}"),
            "q": self.quit,
        }

    def run(self):
        """Plays until the end; returns the error, if any."""
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
        for sequence, key in ARROWS.items():
            typed = typed.replace(sequence, key)
        for key in typed:
            if key in self.keys:
                self.keys[key]()
        return bool(typed)  # no more keys come from a pipe that is closed

    def on_message(self, _bus, message):
        if message.type == Gst.MessageType.EOS:
            self.loop.quit()
        elif message.type == Gst.MessageType.ERROR:
            self.error = message.parse_error().gerror.message
            self.loop.quit()
        elif message.type == Gst.MessageType.WARNING:
            print(message.parse_warning().gerror.message, file=sys.stderr)
        elif message.has_name("faststyle-stats"):
            self.text.set_property("text", summary(message.get_structure()))
        elif message.type == Gst.MessageType.LATENCY:
            self.pipeline.recalculate_latency()

    def on_styles(self, style, _property):
        if len(styles := style.get_property("styles")) > 1:
            say(f"styles: {', '.join(styles)}")

    def step(self, by):
        """Goes to the next style or the previous: one of this model,
        else another model's."""
        if style := self.neighbour(by):
            self.style.set_property("style", style)
            say(f"style: {style}")
        else:
            self.choose(self.chosen + by)

    def neighbour(self, by):
        """The style beside that in use, in the same model."""
        stats = self.style.get_property("stats")
        styles = self.style.get_property("styles")
        current = self.style.get_property("style") or stats.get_value("style")
        # Not while another model is being loaded.
        if stats.get_value("model") != self.models[self.chosen] or current not in styles:
            return None
        place = styles.index(current) + by
        return styles[place] if 0 <= place < len(styles) else None

    def change_fade(self):
        self.fade = (self.fade + 1) % len(FADES)
        self.style.set_property("style-fade", FADES[self.fade])
        say(f"fade: {FADES[self.fade]} ms")

    def choose(self, number):
        """Changes the model while the video plays. If it cannot be
        read, the element warns and keeps the previous one."""
        self.chosen = number % len(self.models)
        self.style.set_property("style", None)
        self.style.set_property("model", self.models[self.chosen])
        say(f"style: {self.models[self.chosen]}")

    def set_strength(self, strength):
        self.strength = min(max(strength, 0.0), 1.0)
        self.style.set_property("strength", 0.0 if self.original else self.strength)
        say("original" if self.original else f"strength: {self.strength:.1f}")

    def show_original(self):
        self.original = not self.original
        self.set_strength(self.strength)

    def quit(self):
        self.pipeline.send_event(Gst.Event.new_eos())
        return GLib.SOURCE_REMOVE


def say(text):
    print(text, flush=True)


def summary(stats):
    """The element's statistics as text."""
    value = stats.get_value
    return (
        f"{value('model')} {value('style')}\n"
        f"network {value('network-width')}x{value('network-height')}, "
        f"{value('network-mean-ms'):.1f} ms (95 %: {value('network-p95-ms'):.1f})\n"
        f"{value('styled')} painted, {value('dropped')} dropped, {value('passed-through')} as they were"
    )


def toggle(element, name):
    """Toggles a property; returns its new value."""
    element.set_property(name, not element.get_property(name))
    return element.get_property(name)


def size(text):
    width, height = map(int, text.split("x"))
    return width, height


def source(name, size):
    """The start of a pipeline description. Only files keep their size."""
    width, height = size
    # The queue drops old frames, so that the window shows the present.
    live = (
        f"videoconvert ! videoscale ! video/x-raw,width={width},height={height} "
        "! queue leaky=downstream max-size-buffers=1"
    )
    if name == "test":
        return f"videotestsrc is-live=true pattern=ball ! {live}"
    path = "/dev/video0" if name == "camera" else name
    if not os.path.exists(path):
        sys.exit(f"There is no {path}: give a camera (/dev/video…), a video file, or `test`")
    if path.startswith("/dev/"):
        return f"v4l2src name=input ! decodebin ! {live}"
    return "filesrc name=input ! decodebin ! videoconvert"


def models(given):
    """The given model files, with folders replaced by the models in them."""
    found = []
    for name in given:
        path = Path(name)
        found += map(str, sorted(path.glob("*.safetensors"))) if path.is_dir() else [name]
    return found or sys.exit(f"No model files (*.safetensors) in {', '.join(given)}")


def main():
    parser = argparse.ArgumentParser(
        description="Repaints live video, with keys to change how",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="*", default=["scream"], help="model files, names of installed models, or folders")
    parser.add_argument("--input", default="camera", help="camera (`camera` or /dev/video…), video file, or `test`")
    parser.add_argument("--size", type=size, default="640x480", help="of the pictures of a camera or test")
    parser.add_argument("--headless", action="store_true", help="do not open a window")
    args = parser.parse_args()

    Gst.init(None)
    sink = "fakesink sync=true" if args.headless else "autovideosink"
    try:
        pipeline = Gst.parse_launch(
            f"{source(args.input, args.size)} ! faststyle name=style stats-interval=500000000 "
            "! textoverlay name=text silent=true valignment=top halignment=left font-desc=Monospace,10 "
            f"! queue ! videoconvert ! {sink}"
        )
    except GLib.Error as error:
        sys.exit(f"{error.message} (is GST_PLUGIN_PATH set?)")
    if (file := pipeline.get_by_name("input")) is not None:
        name = "device" if args.input == "camera" or args.input.startswith("/dev/") else "location"
        file.set_property(name, "/dev/video0" if args.input == "camera" else args.input)

    player = Player(pipeline, models(args.models))
    player.choose(0)
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
    say(summary(player.style.get_property("stats")))


if __name__ == "__main__":
    main()
