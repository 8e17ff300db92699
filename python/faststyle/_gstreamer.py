"""The element ``faststyle`` for GStreamer with PyGObject."""

from pathlib import Path

_PLUGIN = Path(__file__).parent / "plugin" / "libgstfaststyle.so"


def init() -> None:
    """Makes the element ``faststyle`` known to GStreamer in this process.

    Starts GStreamer if the program has not. It finds the wheel's models by their names.

    Raises:
        RuntimeError: PyGObject or GStreamer is not installed, or does not take the plugin.
    """
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import GLib, Gst
    except (ImportError, ValueError) as error:
        raise RuntimeError(
            "faststyle.init() needs GStreamer with PyGObject. On Debian and Ubuntu install "
            f"python3-gi and gir1.2-gstreamer-1.0 ({error})"
        ) from error
    if not Gst.is_initialized():
        Gst.init(None)
    try:
        Gst.Plugin.load_file(str(_PLUGIN))
    except GLib.Error as error:
        raise RuntimeError(f"{_PLUGIN}: GStreamer does not take the plugin: {error.message}") from error
