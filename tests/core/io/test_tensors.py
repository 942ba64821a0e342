import subprocess
import sys

import pytest
import torch
from safetensors import safe_open

from vlmkit.core.errors import InputError
from vlmkit.core.io.header import restamp
from vlmkit.core.io.tensors import DTYPES, load_tensors, save_tensors, tensor_metadata

METADATA = {"b": "2", "a": "1", "vlmkit": "{}", "c": "ü"}


def some_tensors():
    shapes = [(), (0,), (3,), (2, 3), (1, 2, 5)]
    return {f"t{i}": torch.ones(shapes[i % 5]).to(dtype) for i, dtype in enumerate(DTYPES)}


def test_every_type_and_shape_comes_back(tmp_path):
    tensors = some_tensors() | {"strided": torch.arange(12).reshape(3, 4).T}
    save_tensors(tmp_path / "x.safetensors", tensors, metadata=METADATA)
    back = load_tensors(tmp_path / "x.safetensors")
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert back[name].shape == tensor.shape
        assert torch.equal(back[name].reshape(-1).view(torch.uint8), tensor.contiguous().reshape(-1).view(torch.uint8))
    assert tensor_metadata(tmp_path / "x.safetensors") == {"format": "pt"} | METADATA


def test_the_official_reader_agrees(tmp_path):
    save_tensors(tmp_path / "x.safetensors", {"w": torch.arange(6.0).reshape(2, 3)}, metadata=METADATA)
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"} | METADATA
        assert torch.equal(file.get_tensor("w"), torch.arange(6.0).reshape(2, 3))


def test_bytes_do_not_depend_on_the_order_of_names(tmp_path):
    tensors = some_tensors()
    save_tensors(tmp_path / "a.safetensors", tensors, metadata=METADATA)
    save_tensors(tmp_path / "b.safetensors", dict(reversed(tensors.items())), metadata=dict(reversed(METADATA.items())))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_new_words_in_the_header_leave_the_tensors_alone(tmp_path):
    path = tmp_path / "x.safetensors"
    tensors = some_tensors()
    save_tensors(path, tensors)
    restamp(path, {"format": "pt", "parent": "abc"})
    assert tensor_metadata(path) == {"format": "pt", "parent": "abc"}
    assert all(
        torch.equal(load_tensors(path)[n].view(-1), t.view(-1)) for n, t in tensors.items() if t.dtype == torch.float32
    )


@pytest.mark.parametrize("keep", [0, 4, 30, -1])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"w": torch.ones(10)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError) as caught:
        load_tensors(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    "content", [b"x" * 64, (2).to_bytes(8, "little") + b"[]", b"\x10" + b"\0" * 7 + b'{"w":{"shape":1}']
)
def test_a_file_of_another_format_is_named(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_tensors(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        tensor_metadata(tmp_path / "none.safetensors")


def test_tokens_are_read_without_torch():
    code = "import sys; import vlmkit.core.io.tokens; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
