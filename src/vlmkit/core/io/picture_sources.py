"""The four forms of labelled images: a table, class folders, idx files, npz; each is opened with no image decoded."""

import gzip
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa

from vlmkit.core.errors import InputError, nearest
from vlmkit.core.io.artifacts import missing, unfinished
from vlmkit.core.io.class_names import class_order, match
from vlmkit.core.io.images import decode
from vlmkit.core.io.progress import log
from vlmkit.core.io.tables import damaged, open_part, parts

LAYOUTS = "N,C,H,W or N,H,W,C or N,H,W"
SOURCES = "a table with image and label, a folder of class folders, idx files, or npz with images and labels"
ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
SPLITS = {"train", "test", "val", "valid", "validation", "dev"}
BATCH = 64  # rows of a table in memory
UINT8 = 0x08  # idx: the type in the third byte
BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, ValueError)


@dataclass(frozen=True)
class Source:
    """What is known before an image is decoded.

    Attributes:
        labels: one an image, as stored.
        decode: from ascending places to arrays (C, Y, X), uint8 or float.
        where: from a place to words that lead a person there.
        names: the names of the classes by label.
    """

    ids: Sequence[str]
    labels: Sequence[object]
    decode: Callable[[Sequence[int]], Iterator[np.ndarray]]
    where: Callable[[int], str]
    names: list[str] | None = None


def open_source(path: Path, labels: Sequence[str] | None) -> Source:
    """The source that a path is."""
    if not path.exists():
        raise missing(path)
    unfinished(path)
    if path.is_file():
        if path.suffix == ".parquet":
            return table(path, labels)
        if path.suffix == ".npz":
            return npz(path, labels)
        if is_idx(path):
            return idx(path)
        raise InputError(f"a file '{path.suffix}' holds no labelled images", where=str(path), fix=SOURCES)
    for folder in (path / "images", path):
        if next(folder.glob("*.parquet"), None) is not None:
            return table(folder, labels)
    if any(is_idx(child) for child in path.iterdir()):
        return idx(path)
    packed = sorted(path.glob("*.npz"))
    if packed:
        if len(packed) > 1:
            raise InputError(f"there are {len(packed)} npz files", where=str(path), fix=f"name one: {packed[0]}")
        return npz(packed[0], labels)
    return class_folders(path, labels)


def table(path: Path, labels: Sequence[str] | None) -> Source:
    """Parquet with `image` and `label`, and `id` if it has one; a label may be a number or a name."""
    files = parts(path)
    ids: list[str] = []
    stored: list[object] = []
    counts, named = [], None
    for file in files:
        handle = open_part(file, ("image", "label"))
        counts.append(handle.metadata.num_rows)
        columns = ["label", *(["id"] if "id" in handle.schema_arrow.names else [])]
        try:
            found = handle.read(columns)
        except (pa.ArrowInvalid, OSError) as error:
            raise damaged(file, error) from error
        names = found["id"].to_pylist() if "id" in columns else range(len(ids), len(ids) + counts[-1])
        ids += [str(name) for name in names]
        stored += found["label"].to_pylist()
        named = named or class_names(handle.schema_arrow)
    starts = np.cumsum([0, *counts])

    def where(place: int) -> str:
        part = int(np.searchsorted(starts, place, side="right")) - 1
        return f"{files[part]}, row {place - int(starts[part]) + 1}"

    def rows(places: Sequence[int]) -> Iterator[np.ndarray]:
        wanted = np.asarray(places)
        for file, start, stop in zip(files, starts[:-1], starts[1:], strict=True):
            inside = wanted[(wanted >= start) & (wanted < stop)]
            for place, image in zip(inside, images_at(file, inside - start), strict=True):
                value = image if isinstance(image, Mapping) else {"bytes": image}
                yield channels_first(decode(dict(value), where=where(int(place))))

    numbers, names_ = as_numbers(stored, named, labels, str(path))
    return Source(ids, numbers, rows, where, names_)


def images_at(file: Path, places: np.ndarray) -> Iterator[object]:
    """The stored images at ascending rows of a file; row groups without any are not read."""
    handle, start = open_part(file, ("image",)), 0
    for group in range(handle.num_row_groups):
        stop = start + handle.metadata.row_group(group).num_rows
        inside = places[(places >= start) & (places < stop)]
        begin, start = start, stop
        if not len(inside):
            continue
        try:
            for batch in handle.iter_batches(BATCH, row_groups=[group], columns=["image"]):
                here = inside[(inside >= begin) & (inside < begin + len(batch))] - begin
                yield from (batch.column(0)[int(row)].as_py() for row in here)
                begin += len(batch)
        except (pa.ArrowInvalid, OSError) as error:
            raise damaged(file, error) from error


def class_names(schema: pa.Schema) -> list[str] | None:
    """The names of a ClassLabel column, as the `datasets` library stores them in a schema."""
    try:
        feature = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]["label"]
        names = feature["names"] if "names" in feature else feature["_names"]
        return [str(name) for name in (names.values() if isinstance(names, dict) else names)]
    except (KeyError, TypeError, ValueError):
        return None


def as_numbers(
    stored: list[object], named: list[str] | None, labels: Sequence[str] | None, where: str
) -> tuple[list[object], list[str] | None]:
    """Labels as numbers where they are names, in the model's order where the table's own differs; names by number."""
    if any(isinstance(label, str) for label in stored):
        words = sorted({str(label) for label in stored if label is not None})
        numbers, names = class_order(words, labels, where)
        number_of = dict(zip(words, numbers, strict=True))
        return [None if label is None else number_of[str(label)] for label in stored], names
    order = match(named, labels) if named is not None else None
    if order is None or order == list(range(len(order))):
        return stored, named
    log.warning("%s: its classes are the model's in another order; they are matched by name", where)
    known = range(len(order))
    moved: list[object] = [order[label] if isinstance(label, int) and label in known else label for label in stored]
    return moved, list(labels or ())


def class_folders(path: Path, labels: Sequence[str] | None) -> Source:
    """A folder for each class with its images, in sorted order."""
    folders = sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))
    held = {folder: pictures_below(folder) for folder in folders}
    if not any(held.values()):
        bare = pictures_below(path)
        what = "the images have no classes" if bare else "there are no labelled images"
        raise InputError(what, where=str(path), fix=f"{path}/CLASS/image.png" if bare else SOURCES)
    names = [folder.name for folder in folders]
    if {name.lower() for name in names} <= SPLITS:
        raise InputError(f"these are parts ({', '.join(names)}), not classes", where=str(path), fix=str(folders[0]))
    numbers, by_number = class_order(names, labels, str(path))
    files = [file for folder in folders for file in held[folder]]
    values = [number for folder, number in zip(folders, numbers, strict=True) for _ in held[folder]]

    def read(places: Sequence[int]) -> Iterator[np.ndarray]:
        for place in places:
            yield channels_first(decode({"bytes": files[place].read_bytes()}, where=str(files[place])))

    ids = [file.relative_to(path).as_posix() for file in files]
    return Source(ids, values, read, lambda place: str(files[place]), by_number)


def pictures_below(folder: Path) -> list[Path]:
    """All images below a folder, sorted."""
    found = (file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS and not file.name.startswith("."))
    return sorted(file for file in found if file.is_file())


def is_idx(path: Path) -> bool:
    """Whether a file's name is that of an idx file of images or labels."""
    return path.is_file() and any(mark in path.name for mark in ("idx1", "idx3", "idx4"))


def idx(path: Path) -> Source:
    """Idx files (the format of MNIST), packed with gzip or not: the images, with the labels beside them."""
    if path.is_dir():
        found = sorted(child for child in path.iterdir() if is_idx(child) and "images" in child.name)
        if len(found) != 1:
            what = f"there are {len(found)} idx files of images"
            raise InputError(what, where=str(path), fix=f"name one: {found[0]}" if found else "NAME-images-idx3-ubyte")
        path = found[0]
    shape, begin = idx_header(path)
    beside = labels_beside(path)
    count, first = idx_header(beside)
    if len(shape) not in (3, 4) or len(count) != 1 or count[0] != shape[0]:
        raise InputError(
            f"images {shape} and labels {count}", where=str(path), fix=f"as many labels as images: {beside}"
        )
    with unpacked(beside) as handle:
        stored = [int(row[0]) for row in stream(handle, beside, first, range(count[0]), (1,), np.dtype(np.uint8))]

    def rows(places: Sequence[int]) -> Iterator[np.ndarray]:
        with unpacked(path) as handle:
            for row in stream(handle, path, begin, places, shape[1:], np.dtype(np.uint8)):
                yield channels_first(row)

    ids = [f"{place:06d}" for place in range(shape[0])]
    return Source(ids, stored, rows, lambda place: f"{path}, image {place + 1}")


def labels_beside(path: Path) -> Path:
    """The idx file of labels that belongs to one of images."""
    bare = path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    for name in (bare, f"{bare}.gz"):
        if path.with_name(name).is_file() and path.name != name:
            return path.with_name(name)
    raise InputError("the labels are missing", where=str(path), fix=f"put {bare} beside it")


def idx_header(path: Path) -> tuple[tuple[int, ...], int]:
    """The shape of the array in an idx file, and where it begins."""
    try:
        with unpacked(path) as handle:
            magic = handle.read(4)
            axes = magic[3] if len(magic) == 4 else 0
            sizes = handle.read(4 * axes)
    except BROKEN as error:
        raise InputError(f"not a readable idx file: {error}", where=str(path), fix="copy it again") from error
    if magic[:3] != bytes([0, 0, UINT8]) or not axes or len(sizes) != 4 * axes:
        raise InputError("not an idx file of bytes", where=str(path), fix="begin with 00 00 08, as MNIST's files do")
    return tuple(int(size) for size in np.frombuffer(sizes, ">u4")), 4 + 4 * axes


def unpacked(path: Path) -> IO[bytes]:
    """A file, unpacked if it begins as gzip does."""
    with path.open("rb") as handle:
        packed = handle.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path, "rb")) if packed else path.open("rb")


def npz(path: Path, labels: Sequence[str] | None) -> Source:
    """Arrays `images` and `labels` as numpy packs them; labels may be names."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            for wanted in ("images", "labels"):
                if wanted not in names:
                    raise InputError(
                        f"'{wanted}' is missing",
                        where=f"{path} (it has: {', '.join(names)})",
                        fix=nearest(wanted, names),
                    )
            shape, dtype, begin = npy_header(archive, "images", path)
            npy_header(archive, "labels", path)
        stored = np.load(path, allow_pickle=False)["labels"]
    except BROKEN as error:
        raise InputError(f"not a readable npz file: {error}", where=str(path), fix="make it again") from error
    if stored.shape not in {(shape[0],), (shape[0], 1)}:
        fix = "labels.argmax(1)" if stored.shape[:1] == shape[:1] else "one label an image"
        raise InputError(f"labels {stored.shape} for images {shape}", where=str(path), fix=fix)
    last = len(shape) == 4 and shape[1] not in (1, 3) and (shape[3] in (1, 3) or shape[3] < shape[1])

    def rows(places: Sequence[int]) -> Iterator[np.ndarray]:
        with zipfile.ZipFile(path) as archive, archive.open("images.npy") as handle:
            for row in stream(handle, path, begin, places, shape[1:], dtype):
                yield row[None] if row.ndim == 2 else np.moveaxis(row, -1, 0) if last else row

    ids = [f"{place:06d}" for place in range(shape[0])]
    numbers, names_ = as_numbers(stored.reshape(-1).tolist(), None, labels, str(path))
    return Source(ids, numbers, rows, lambda place: f"{path}, images[{place}]", names_)


def npy_header(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, type and begin of an array in an archive; images that we do not read are refused."""
    with archive.open(f"{name}.npy") as handle:
        version = np.lib.format.read_magic(handle)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, columns_first, dtype = read(handle)
        begin = handle.tell()
    if dtype.hasobject:
        raise InputError(f"'{name}' holds Python objects", where=str(path), fix="store plain arrays")
    if name == "images":
        if len(shape) not in (3, 4):
            raise InputError(f"images {shape}", where=str(path), fix=LAYOUTS)
        if dtype != np.uint8 and dtype.kind != "f":
            raise InputError(f"images of {dtype}", where=str(path), fix="uint8, or floats in [0, 1]")
        if columns_first:
            raise InputError("images in Fortran order", where=str(path), fix="store numpy.ascontiguousarray(images)")
    return shape, dtype, begin


def stream(
    handle: IO[bytes], path: Path, begin: int, places: Sequence[int], shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[np.ndarray]:
    """The rows of an array in a file at ascending places, one in memory at a time."""
    size = int(np.prod(shape)) * dtype.itemsize
    try:
        for place in places:
            handle.seek(begin + place * size)
            data = handle.read(size)
            if len(data) != size:
                raise EOFError("it ends too early")
            yield np.frombuffer(data, dtype).reshape(shape)
    except BROKEN as error:
        raise InputError(f"damaged file: {error}", where=str(path), fix="copy it again") from error


def channels_first(pixels: np.ndarray) -> np.ndarray:
    """An image (Y, X) or (Y, X, C) as (C, Y, X)."""
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
