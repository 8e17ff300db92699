"""Repaints pictures, films and live video in the style of a painting.

:class:`Painter` paints NumPy arrays, without GStreamer::

    import faststyle

    painter = faststyle.Painter("scream")
    painted = painter.paint(photo)  # uint8, (height, width, 3), RGB

:func:`init` makes the element ``faststyle`` known to GStreamer in this process, for
pipelines with PyGObject.
"""

from faststyle._engine import Painter, __version__, styles
from faststyle._gstreamer import init

__all__ = ["Painter", "__version__", "init", "styles"]
