"""Files that appear whole or not at all, and their digests.

A file is written beside its place, flushed to the disk and renamed; a crash leaves at most a `*.tmp-*` file, which the
next run sweeps away.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlmkit.core.errors import CapabilityError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path; when the block ends well it becomes `path`, otherwise it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(path, error.errno) from error
        raise
    finally:
        remove(temporary)


def sync(path: Path) -> None:
    """Ask the disk to hold what was written to a file or folder (and, for a folder, its direct files, but for those
    that others are writing)."""
    inside = (p for p in path.iterdir() if ".tmp-" not in p.name and p.is_file()) if path.is_dir() else ()
    targets = [path, *inside]
    for target in targets:
        handle = os.open(target, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a killed run left half-written below `folder`."""
    for path in sorted(folder.rglob("*.tmp-*"), reverse=True):
        remove(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole or not at all."""
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"
    write_bytes(path, text.encode("utf-8", "backslashreplace"))  # a name that is no Unicode, as JSON escapes it


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_tree(path: Path) -> str:
    """SHA-256 over the names and contents of all files below a folder, or of one file."""
    if path.is_file():
        return digest(path)
    return combine({p.relative_to(path).as_posix(): digest(p) for p in files_below(path)})


def combine(digests: dict[str, str]) -> str:
    """One digest for many named ones, independent of their order."""
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()


def files_below(folder: Path) -> list[Path]:
    """All regular files below a folder, sorted; hidden files and half-written ones left out."""
    found = (p for p in folder.rglob("*") if p.is_file() and ".tmp-" not in p.name)
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def disk_full(path: Path, number: int = errno.ENOSPC) -> CapabilityError:
    """The error for a full disk or a limit, naming what could not be written and how much room is left."""
    folder = next(parent for parent in (path, *path.parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    what = {errno.EDQUOT: "your share of the disk is used up", errno.EFBIG: "a file may not grow as large as this one"}
    return CapabilityError(
        f"{what.get(number, 'the disk is full')} ({free:,} bytes are free)",
        where=str(path),
        fix="free some space, then run the same command again",
    )
