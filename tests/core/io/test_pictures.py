import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vlmkit.core.errors import InputError
from vlmkit.core.io.images import encode
from vlmkit.core.io.pictures import read_pictures
from vlmkit.core.io.tables import TableWriter

GREY = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)  # N, Y, X
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = [2, 0, 1, 1, 0, 2]


def as_table(folder):
    with TableWriter(folder, kind="images", rows_per_part=4) as table:
        for number, (image, label) in enumerate(zip(COLOUR, LABELS, strict=True)):
            table.add([{"id": f"i{number}", "image": encode(image, "x"), "label": label}])
    return folder


def as_folders(folder, names=("ant", "bee", "cat")):
    for number, (image, label) in enumerate(zip(COLOUR, LABELS, strict=True)):
        (folder / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / names[label] / f"{number}.png")
    return folder


def as_idx(folder, pack=gzip.compress, count=6):
    folder.mkdir()
    ending = ".gz" if pack is gzip.compress else ""
    sizes = np.array([6, 5, 4], ">u4").tobytes()
    (folder / f"t-images-idx3-ubyte{ending}").write_bytes(pack(b"\0\0\x08\x03" + sizes + GREY[:count].tobytes()))
    (folder / f"t-labels-idx1-ubyte{ending}").write_bytes(pack(b"\0\0\x08\x01" + sizes[:4] + bytes(LABELS)))
    return folder


def as_npz(path, images=GREY, labels=LABELS):
    np.savez_compressed(path, images=images, labels=labels)
    return path


def as_numbers(images):
    """(N, C, Y, X) in [0, 1] from uint8."""
    images = np.moveaxis(images, -1, 1) if images.ndim == 4 else images[:, None]
    return images.astype(np.float32) / 255


@pytest.mark.parametrize("form", ["table", "file", "idx", "packed idx", "npz", "NHWC", "NCHW", "float", "folders"])
def test_every_form_gives_the_same_pixels_and_labels(tmp_path, form):
    path, wanted = tmp_path / "it", as_numbers(COLOUR)
    order = np.arange(6)
    if form == "table":
        as_table(path)
    elif form == "file":
        path = as_table(path) / "part-00001.parquet"
        order = order[4:]
    elif form in ("idx", "packed idx"):
        as_idx(path, gzip.compress if form == "packed idx" else bytes)
        wanted = as_numbers(GREY)
    elif form == "folders":
        as_folders(path)
        order = np.argsort(LABELS, kind="stable")
    else:
        made = {"npz": GREY, "NHWC": COLOUR, "NCHW": np.moveaxis(COLOUR, -1, 1), "float": COLOUR / 255}[form]
        path = as_npz(tmp_path / "it.npz", made)
        wanted = as_numbers(GREY) if form == "npz" else wanted
    found = read_pictures(path)
    np.testing.assert_array_equal(np.stack(found.pixels), wanted[order])
    assert found.pixels[0].dtype == np.float32
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == np.array(LABELS)[order].tolist()
    assert len(set(found.ids)) == len(order)
    assert found.names == (["ant", "bee", "cat"] if form == "folders" else None)


@pytest.mark.parametrize("make", [as_table, as_idx, as_folders])
def test_a_seed_shuffles_before_the_count(tmp_path, make, caplog):
    path = make(tmp_path / "it")
    whole = read_pictures(path)
    some = read_pictures(path, count=4, seed=310)
    places = [whole.ids.index(name) for name in some.ids]
    assert places != sorted(places)
    assert read_pictures(path, count=4, seed=310).ids == some.ids
    for place, pixels, label in zip(places, some.pixels, some.labels, strict=True):
        np.testing.assert_array_equal(pixels, whole.pixels[place])
        assert label == whole.labels[place]
    assert read_pictures(path, count=2).ids == whole.ids[:2]
    assert len(read_pictures(path, count=9).ids) == 6
    assert "holds 6 images, not 9" in caplog.text


def test_images_that_were_not_chosen_are_not_decoded(tmp_path):
    as_folders(tmp_path)
    (tmp_path / "cat" / "5.png").write_bytes(b"no image")
    assert len(read_pictures(tmp_path, count=5).ids) == 5
    with pytest.raises(InputError, match="not an image") as caught:
        read_pictures(tmp_path)
    assert caught.value.where.endswith("cat/5.png")


def test_class_folders_follow_the_models_own_names(tmp_path, caplog):
    as_folders(tmp_path / "a")
    found = read_pictures(tmp_path / "a", labels=["Cat", "dog", "ant, formicid", "bee"])
    assert found.labels.tolist() == [2, 2, 3, 3, 0, 0]
    assert found.names == ["Cat", "dog", "ant, formicid", "bee"]
    with pytest.raises(InputError, match="3 classes for a model of 2, and 'bee' is none"):
        read_pictures(tmp_path / "a", labels=["ant", "cat"])
    assert not caplog.text
    assert read_pictures(tmp_path / "a", labels=["x", "y", "z"]).labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert "not named as the model's" in caplog.text
    numbers = as_folders(tmp_path / "b", ("10", "9", "0"))  # sorted as words: 0, 10, 9
    assert read_pictures(numbers, labels=[f"digit {n}" for n in range(11)]).labels.tolist() == [0, 0, 10, 10, 9, 9]
    as_folders(tmp_path / "c" / "train")
    with pytest.raises(InputError, match=r"parts \(train\), not classes"):
        read_pictures(tmp_path / "c")
    with pytest.raises(InputError, match="have no classes"):
        read_pictures(tmp_path / "a" / "cat")


def test_a_table_of_the_datasets_library_is_matched_by_the_names_of_its_classes(tmp_path, caplog):
    path = tmp_path / "train.parquet"
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["ant", "bee", "cat"]}}
    rows = pa.table({"image": [encode(image, "x") for image in GREY], "label": LABELS})
    stamp = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(rows.replace_schema_metadata(stamp), path, row_group_size=2)
    assert read_pictures(path).names == ["ant", "bee", "cat"]
    found = read_pictures(path, labels=["cat", "ant", "bee"])
    assert found.labels.tolist() == [(label + 1) % 3 for label in LABELS]
    assert "matched by name" in caplog.text
    np.testing.assert_array_equal(np.stack(found.pixels), as_numbers(GREY))
    words = rows.set_column(1, "label", pa.array([["ant", "bee", "cat"][label] for label in LABELS]))
    pq.write_table(words, path)
    assert read_pictures(path, labels=["cat", "ant", "bee"]).labels.tolist() == found.labels.tolist()
    assert read_pictures(path).labels.tolist() == LABELS


@pytest.mark.parametrize(
    ("images", "what", "fix"),
    [
        (COLOUR.astype(float), "0 to 255 stored as float", "divide by 255"),
        (COLOUR / 127.5 - 1, "normalised images", "before they are normalised"),
        (COLOUR * 3.0, "pixels go from", "floats in"),
        (np.where(COLOUR[3, 0, 0, 0] == COLOUR, np.nan, COLOUR / 255), "not finite", "again"),
        (COLOUR.astype(int), "images of int64", "uint8"),
        (COLOUR.reshape(6, -1), r"images \(6, 60\)", "N,C,H,W"),
    ],
)
def test_pixels_that_mean_something_else_are_refused_with_the_reason(tmp_path, images, what, fix):
    with pytest.raises(InputError, match=what) as caught:
        read_pictures(as_npz(tmp_path / "x.npz", images))
    assert fix in caught.value.fix
    assert str(tmp_path / "x.npz") in caught.value.where


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ([0, 1, -1, 2, 0, 1], "the label is -1"),
        ([0, 1, 2.5, 2, 0, 1], "the label 2.5 is no class number"),
        ([0, 1, np.nan, 2, 0, 1], "a label is missing"),
        ([0, 1, 3, 2, 0, 1], "the label is 3, but the model has 3 classes"),
        (np.eye(6), r"labels \(6, 6\) for images"),
        ([0, 1], r"labels \(2,\) for images"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, labels, what):
    with pytest.raises(InputError, match=what):
        read_pictures(as_npz(tmp_path / "x.npz", labels=labels), labels=["a", "b", "c"])


def test_labels_of_an_npz_file_may_be_names(tmp_path):
    path = as_npz(tmp_path / "x.npz", labels=np.array(["c", "a", "b", "c", "a", "b"]))
    assert read_pictures(path, labels=["b", "c", "a"]).labels.tolist() == [1, 2, 0, 1, 2, 0]


def test_what_holds_no_labelled_images_says_so(tmp_path):
    idx = as_idx(tmp_path / "short", bytes, count=5)
    with pytest.raises(InputError, match="ends too early"):
        read_pictures(idx)
    (idx / "t-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="the labels are missing"):
        read_pictures(idx)
    np.savez(tmp_path / "x.npz", image=GREY, labels=LABELS)
    with pytest.raises(InputError, match="'images' is missing"):
        read_pictures(tmp_path / "x.npz")
    (tmp_path / "x.npz").write_bytes(b"PK no")
    with pytest.raises(InputError, match="not a readable npz"):
        read_pictures(tmp_path / "x.npz")
    pq.write_table(pa.table({"image": [encode(GREY[0], "x")]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="column 'label' is missing"):
        read_pictures(tmp_path / "x.parquet")
    pq.write_table(pa.table({"image": [encode(GREY[0], "x")], "label": [None]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="a label is missing"):
        read_pictures(tmp_path / "x.parquet")
    deep = as_folders(tmp_path / "deep")
    Image.fromarray(GREY[0].astype(np.uint16) * 200).save(deep / "ant" / "1.png")
    with pytest.raises(InputError, match="more than 8 bits"):
        read_pictures(deep)


def test_mnist_is_read_as_it_is_stored(shared):
    found = read_pictures(shared("mnist-t10k"), count=100)
    raw = gzip.decompress((shared("mnist-t10k") / "t10k-images-idx3-ubyte.gz").read_bytes())
    np.testing.assert_array_equal(
        np.stack(found.pixels), np.frombuffer(raw, np.uint8, 78400, 16).reshape(100, 1, 28, 28) / np.float32(255)
    )
    assert found.labels[:5].tolist() == [7, 2, 1, 0, 4]
