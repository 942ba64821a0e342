"""Images in tables: a struct of bytes and path, as the `datasets` library stores them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vlmkit.core.errors import InputError
from vlmkit.core.io.tables import iter_rows

ImageStruct = dict[str, object]


@dataclass(frozen=True)
class LabelledImage:
    """A row of a table of images: pixels (Y, X) or (Y, X, C) uint8, and the label if there is one."""

    id: str
    pixels: np.ndarray
    label: int | None


def encode(pixels: np.ndarray, name: str) -> ImageStruct:
    """Pixels (Y, X) or (Y, X, 3) uint8 as a PNG struct; `name` is the file name without its ending."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": f"{name}.png"}


def decode(image: ImageStruct, *, where: str = "") -> np.ndarray:
    """The pixels of a struct, uint8.

    Raises:
        InputError: the struct holds no image; `where` names the row.
    """
    data = image.get("bytes")
    if not isinstance(data, bytes) or not data:
        raise InputError("an image without bytes", where=where, fix="store the images in the table, not their paths")
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.mode[0] in "IF":
                fix = "store 8 bits a channel"
                raise InputError(f"an image of more than 8 bits (mode {opened.mode})", where=where, fix=fix)
            grey = opened.mode in {"1", "L", "LA", "La"}
            return np.asarray(opened.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(
            "not an image, or a damaged one", where=where, fix="PNG, JPEG and what else Pillow reads"
        ) from error


def read_images(path: Path) -> Iterator[LabelledImage]:
    """The images of a table or of a folder of them, in order."""
    for number, row in enumerate(iter_rows(path)):
        image, label = row["image"], row.get("label")
        assert isinstance(image, dict)
        pixels = decode(image, where=f"{path}, row {number + 1}")
        yield LabelledImage(str(row["id"]), pixels, label if isinstance(label, int) else None)
