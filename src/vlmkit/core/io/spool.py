"""Arrays on the disk, read back without holding them in memory."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from vlmkit.core.io.files import atomic


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array whole or not at all."""
    array = np.ascontiguousarray(array)
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)  # np.save itself hides why a write fails


def read_array(path: Path) -> np.ndarray:
    """An array of `write_array`, mapped into memory."""
    return np.load(path, mmap_mode="r")


class Spool:
    """Arrays of uint64 of any length under integer keys, in one file, written once and then read at will."""

    def __init__(self, path: Path, entries: Iterable[tuple[int, np.ndarray]]) -> None:
        self._ends: dict[int, tuple[int, int]] = {}
        place = 0
        with atomic(path) as temporary, temporary.open("wb") as file:
            for key, array in entries:
                file.write(np.ascontiguousarray(array, dtype=np.uint64).data)
                self._ends[key] = (place, place + len(array))
                place += len(array)
        self._values = np.memmap(path, dtype=np.uint64, mode="r", shape=(place,)) if place else np.empty(0, np.uint64)

    def get(self, key: int) -> np.ndarray:
        """The array under a key, uint64 (n,)."""
        start, end = self._ends[key]
        return self._values[start:end]
