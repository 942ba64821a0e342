"""Tensors on disk: safetensors files that appear whole, with the same bytes for the same content."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vlmkit.core.io.files import atomic
from vlmkit.core.io.header import damaged, encode_header, read_header

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.complex64: "C64",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.bool: "BOOL",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip


def save_tensors(path: Path, tensors: dict[str, Tensor], *, metadata: dict[str, str] | None = None) -> None:
    """Write named tensors (any shapes, any device) to one safetensors file; wide types first, then by name."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    arrays = [(n, DTYPES[tensors[n].dtype], tuple(tensors[n].shape), tensors[n].nbytes) for n in order]
    with atomic(path) as temporary, temporary.open("wb") as handle:
        handle.write(encode_header(arrays, {"format": "pt"} | (metadata or {})))
        for name in order:
            flat = tensors[name].detach().cpu().contiguous().reshape(-1)
            handle.write(flat.view(torch.uint8).numpy().data)


def load_tensors(path: Path, *, device: str = "cpu") -> dict[str, Tensor]:
    """Read all tensors of a safetensors file onto a device.

    Raises:
        InputError: the file is missing, truncated or not safetensors.
    """
    read_header(path)
    try:
        return load_file(path, device=device)
    except SafetensorError as error:
        raise damaged(path, str(error)) from error


def tensor_metadata(path: Path) -> dict[str, str]:
    """The words that a safetensors file says of itself, without reading its tensors."""
    return read_header(path).metadata
