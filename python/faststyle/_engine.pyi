from os import PathLike
from typing import Optional, Union, final

import numpy as np
import numpy.typing as npt

__version__: str

def styles() -> list[str]:
    """Names of the installed styles, each of which `Painter` takes for a model."""

@final
class Painter:
    """Paints pictures, or a film's frames one after the other, in the style of a painting.

    Args:
        model: A model file, or the name of an installed style; see `styles`.
        style: Style of a model of several, or a mix such as ``"scream:0.7,udnie:0.3"``.
            None is the model's first, or the one that `model` names.
        strength: How much of the painting shows, from 0 to 1.
        smoothing: How calm a film's paintings are, from 0, each by itself, to 1. The frames
            are then to be painted in their order.
        keep_color: Whether the picture keeps its own colours.
        max_height: Rows that the network sees at most: fewer are faster and coarser. 0 for
            all.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``f32``, ``f16``, ``bf16`` or ``fast``.
        threads: Threads of the CPU; 0 for one a core.

    Raises:
        FileNotFoundError: There is no such model.
        OSError: It cannot be read.
        ValueError: The file is no model, or a value is out of range.
        RuntimeError: The device is not there.
    """

    def __new__(
        cls,
        model: Union[str, PathLike[str]] = "scream",
        *,
        style: Optional[str] = None,
        strength: float = 1.0,
        smoothing: float = 0.0,
        keep_color: bool = False,
        max_height: int = 0,
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
    ) -> "Painter": ...
    def paint(self, frame: npt.NDArray[np.uint8], /) -> npt.NDArray[np.uint8]:
        """Returns the frame, painted, as a new array of its shape.

        Other threads of Python run meanwhile. A painter paints one frame at a time.

        Args:
            frame: Red, green and blue from 0 to 255: ``uint8`` of shape (height, width, 3),
                with any strides. OpenCV's frames are ``frame[..., ::-1]``.

        Raises:
            TypeError: It is no array of ``uint8``.
            ValueError: It has another shape.
            MemoryError: It is too large for this machine.
        """

    def reset(self) -> None:
        """Forgets the frames before: the next is the first of another film."""

    @property
    def model(self) -> PathLike[str]:
        """The model's file."""

    @property
    def styles(self) -> list[str]:
        """The names of the model's styles."""

    @property
    def style(self) -> Optional[str]:
        """The style, or a mix such as ``"scream:0.7,udnie:0.3"``; None is the first."""

    @style.setter
    def style(self, style: Optional[str], /) -> None: ...
    @property
    def strength(self) -> float:
        """How much of the painting shows, from 0 to 1."""

    @strength.setter
    def strength(self, strength: float, /) -> None: ...
    @property
    def smoothing(self) -> float:
        """How calm a film's paintings are, from 0, each by itself, to 1."""

    @smoothing.setter
    def smoothing(self, smoothing: float, /) -> None: ...
    @property
    def keep_color(self) -> bool:
        """Whether the picture keeps its own colours."""

    @keep_color.setter
    def keep_color(self, keep_color: bool, /) -> None: ...
