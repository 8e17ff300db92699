"""The element in a pipeline of PyGObject, from an installed wheel."""

import unittest

import faststyle

try:
    import gi
except ImportError:
    gi = None


class Element(unittest.TestCase):
    @unittest.skipIf(gi is None, "PyGObject is not installed")
    def test_it_paints_in_a_pipeline(self):
        faststyle.init()
        faststyle.init()
        from gi.repository import Gst

        pipeline = Gst.parse_launch(
            "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 ! faststyle model=scream ! fakesink"
        )
        pipeline.set_state(Gst.State.PLAYING)
        kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
        message = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, kinds)
        pipeline.set_state(Gst.State.NULL)
        self.assertIsNotNone(message)
        self.assertEqual(message.type, Gst.MessageType.EOS)
        plugin = Gst.ElementFactory.find("faststyle").get_plugin()
        self.assertIn("site-packages", plugin.get_filename())

    @unittest.skipIf(gi is not None, "PyGObject is installed")
    def test_what_is_missing_is_named(self):
        with self.assertRaisesRegex(RuntimeError, "python3-gi"):
            faststyle.init()


if __name__ == "__main__":
    unittest.main()
