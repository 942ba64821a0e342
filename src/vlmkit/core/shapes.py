"""The letters of tensor axes, and a check of shapes at public doors.

B batch   S queries (sequence)   T keys   H heads   K key/value heads   D head width
E model width   V vocabulary   P patches   L layers   C channels   Y image height   X image width   N documents or items
"""

from typing import Protocol


class Shaped(Protocol):
    """Anything with a shape: a tensor or an array."""

    @property
    def shape(self) -> tuple[int, ...]: ...


def dims(spec: str, **tensors: Shaped) -> dict[str, int]:
    """Check tensors against axis letters and return the size of each letter.

    `dims("B H S D, B K T D", q=q, k=k)` asks that q and k have four axes each and agree on B and D. A number in the
    place of a letter asks for that size.

    Raises:
        ValueError: a tensor has another number of axes, or one letter stands for two sizes.
    """
    sizes: dict[str, int] = {}
    for axes, (name, tensor) in zip(spec.split(","), tensors.items(), strict=True):
        letters, shape = axes.split(), tuple(tensor.shape)
        if len(letters) != len(shape):
            raise ValueError(f"{name} has shape {shape}, but ({', '.join(letters)}) was asked for")
        for letter, size in zip(letters, shape, strict=True):
            expected = int(letter) if letter.isdigit() else sizes.setdefault(letter, size)
            if expected != size:
                raise ValueError(f"{name} has shape {shape}: axis {letter} is {size}, but it was {expected} before")
    return sizes
