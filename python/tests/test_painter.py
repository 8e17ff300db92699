"""The painter of NumPy arrays, from an installed wheel."""

import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest

import faststyle
import numpy as np


def photo(height=48, width=64):
    """A picture of flowing colours."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 4, y * 5, x * y // 12], axis=-1).astype(np.uint8)


class Paints(unittest.TestCase):
    def test_a_frame_becomes_another_of_its_shape(self):
        frame = photo(50, 61)
        before = frame.copy()
        painted = faststyle.Painter("scream").paint(frame)
        self.assertEqual((painted.shape, painted.dtype), (frame.shape, np.uint8))
        self.assertGreater(np.abs(painted.astype(int) - frame).mean(), 5)
        np.testing.assert_array_equal(frame, before)

    def test_strides_do_not_matter(self):
        painter = faststyle.Painter("scream")
        frame = photo()
        expected = painter.paint(frame)
        others = (np.asfortranarray(frame), frame[..., ::-1].copy()[..., ::-1], np.repeat(frame, 2, axis=1)[:, ::2])
        for other in others:
            np.testing.assert_array_equal(painter.paint(other), expected)
        read_only = frame.copy()
        read_only.flags.writeable = False
        np.testing.assert_array_equal(painter.paint(read_only), expected)

    def test_strength_and_color(self):
        painter = faststyle.Painter("scream", strength=0.0)
        frame = photo()
        np.testing.assert_array_equal(painter.paint(frame), frame)
        painter.strength = 1.0
        painted = painter.paint(frame)
        painter.keep_color = True
        self.assertTrue((painter.paint(frame) != painted).any())

    def test_each_style_of_a_model_differs(self):
        painter = faststyle.Painter("atelier")
        self.assertGreater(len(painter.styles), 1)
        first = painter.paint(photo())
        painter.style = painter.styles[1]
        self.assertEqual(painter.style, painter.styles[1])
        self.assertTrue((painter.paint(photo()) != first).any())
        painter.style = None
        np.testing.assert_array_equal(painter.paint(photo()), first)

    def test_installed_styles_can_be_painted(self):
        names = faststyle.styles()
        self.assertIn("scream", names)
        for name in names:
            faststyle.Painter(name)

    def test_smoothing_remembers_until_reset(self):
        painter = faststyle.Painter("scream", smoothing=0.9)
        first, other = photo(), photo()
        other[10:20, 10:20] += 9
        alone = painter.paint(other)
        painter.reset()
        painter.paint(first)
        after = painter.paint(other)
        self.assertTrue((after != alone).any())
        painter.reset()
        np.testing.assert_array_equal(painter.paint(other), alone)

    def test_fewer_rows_for_the_network(self):
        frame = photo(96, 128)
        full = faststyle.Painter("scream").paint(frame)
        coarse = faststyle.Painter("scream", max_height=48).paint(frame)
        self.assertEqual(coarse.shape, frame.shape)
        self.assertTrue((coarse != full).any())

    def test_others_run_while_it_paints(self):
        painter, frame = faststyle.Painter("scream", threads=1), photo(720, 1280)
        began, ended = threading.Event(), threading.Event()

        def paint():
            began.set()
            painter.paint(frame)
            ended.set()

        thread = threading.Thread(target=paint)
        # By itself, Python switches threads after so many seconds: only who lets others run does.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1000)
        try:
            thread.start()
            began.wait()
            turns_meanwhile = not ended.is_set()
        finally:
            sys.setswitchinterval(interval)
        thread.join()
        self.assertTrue(turns_meanwhile)


class Refuses(unittest.TestCase):
    def test_models_that_are_not_there(self):
        for model in ("no-such-style", "no/such/file.safetensors", pathlib.Path("none.safetensors")):
            with self.assertRaisesRegex(FileNotFoundError, "no"):
                faststyle.Painter(model)

    def test_files_that_are_no_models(self):
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            file.write(b"nothing of the kind")
            file.flush()
            with self.assertRaisesRegex(ValueError, pathlib.Path(file.name).stem):
                faststyle.Painter(file.name)

    def test_values_out_of_range(self):
        for values, text in (
            ({"strength": 1.5}, "strength=1.5"),
            ({"smoothing": -1}, "smoothing=-1"),
            ({"smoothing": float("nan")}, "smoothing=NaN"),
            ({"device": "abacus"}, "abacus"),
            ({"precision": "f8"}, "f8"),
            ({"style": "no style"}, "no style"),
        ):
            with self.assertRaisesRegex(ValueError, text):
                faststyle.Painter("scream", **values)
        painter = faststyle.Painter("scream")
        with self.assertRaisesRegex(ValueError, "strength=2"):
            painter.strength = 2
        with self.assertRaises(TypeError):
            faststyle.Painter("scream", threads="many")
        with self.assertRaises(TypeError):
            faststyle.Painter("scream", "style by its place")

    def test_arrays_that_are_no_frames(self):
        painter = faststyle.Painter("scream")
        for frame, error, text in (
            (photo().astype(np.float32), TypeError, "float32"),
            (photo().tolist(), TypeError, "list"),
            (None, TypeError, "NoneType"),
            (photo()[..., 0], ValueError, r"\(48, 64\)"),
            (np.zeros((4, 4, 4), np.uint8), ValueError, r"\(4, 4, 4\)"),
            (np.zeros((0, 4, 3), np.uint8), ValueError, r"\(0, 4, 3\)"),
        ):
            with self.assertRaisesRegex(error, text):
                painter.paint(frame)


class Programs(unittest.TestCase):
    def test_they_find_the_models(self):
        folder = pathlib.Path(sys.executable).parent
        styles = subprocess.run([folder / "faststyle", "styles"], check=True, capture_output=True, text=True).stdout
        self.assertIn("\nscream ", "\n" + styles)
        model = pathlib.Path(sys.prefix) / "share/faststyle/models/scream.safetensors"
        subprocess.run([folder / "faststyle-train", "info", model], check=True, capture_output=True)


if __name__ == "__main__":
    unittest.main()
