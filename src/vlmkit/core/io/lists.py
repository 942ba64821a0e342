"""Lists of archives, as Common Crawl publishes them (`warc.paths.gz`, `wet.paths.gz`): one path a line, below a root.

The root is a folder, such as a local mirror, or an http(s) address; without one it is the folder of the list. Files
behind an address are loaded one by one when they are read, and forgotten when their part of the work is done.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmkit.core.errors import InputError
from vlmkit.core.io.encodings import clean
from vlmkit.core.io.files import combine, digest
from vlmkit.core.io.inflate import Damage, pieces
from vlmkit.core.io.manifest import Input
from vlmkit.core.io.progress import log
from vlmkit.core.io.remote import sizes
from vlmkit.core.io.sources import FORMATS, Source, shown, suffix_of

ENDINGS = (".paths", ".paths.gz")


@dataclass(frozen=True)
class Listed:
    """A list: its file, its root (a folder or an address) and the paths that it names, in order, each once."""

    path: Path
    root: str
    names: tuple[str, ...]

    @property
    def remote(self) -> bool:
        """Whether the root is an address."""
        return self.root.startswith(("http://", "https://"))

    def place(self, name: str) -> str:
        """Where a file of the list lies."""
        return f"{self.root.rstrip('/')}/{name}" if self.remote else str(Path(self.root) / name)

    def identity(self) -> Input:
        """What the list adds to the inputs of a run: its address, or the content of its files.

        Raises:
            InputError: files are missing.
        """
        if self.remote:
            return Input(path=self.root, kind="address", content_digest=hashlib.sha256(self.root.encode()).hexdigest())
        self.refuse_missing([name for name in self.names if not Path(self.place(name)).is_file()])
        content = combine({name: digest(Path(self.place(name))) for name in self.names})
        return Input(path=str(Path(self.root).absolute()), kind="archives", content_digest=content)

    def sources(self, cache: Path) -> list[Source]:
        """The files of the list; those behind an address will be loaded into `cache`.

        Raises:
            InputError: files are missing.
        """
        if not self.remote:
            return [
                Source(Path(self.place(name)), name, FORMATS[suffix_of(name)], Path(self.place(name)).stat().st_size)
                for name in self.names
            ]
        addresses = [self.place(name) for name in self.names]
        found = sizes(addresses)
        self.refuse_missing([name for name, size in zip(self.names, found, strict=True) if size is None])
        return [
            Source(cache / hashlib.sha256(address.encode()).hexdigest()[:32], name, FORMATS[suffix_of(name)], size or 0,
                   address)
            for name, address, size in zip(self.names, addresses, found, strict=True)
        ]  # fmt: skip

    def refuse_missing(self, names: Sequence[str]) -> None:
        """Refuse a list whose files are not all there."""
        if names:
            raise InputError(
                f"{len(names)} of {len(self.names)} files of this list are missing: {shown(names)}",
                where=f"{self.path}, below {self.root}",
                fix="--cc-root DIR or --cc-root https://… names what the paths are relative to",
            )


def is_list(path: Path) -> bool:
    """Whether a path is named as a list of archives."""
    return path.name.lower().endswith(ENDINGS) and not path.is_dir()


def read_lists(paths: Sequence[Path], root: str | None) -> list[Listed]:
    """The lists among paths.

    Raises:
        InputError: a list that names nothing, or something else than pages of archives; a root without a list.
    """
    lists = [path for path in paths if is_list(path)]
    if root is not None:
        if not lists:
            raise InputError(
                "no input is a list of archives", where="--cc-root", fix="give a file such as warc.paths.gz"
            )
        if "://" in root and not root.startswith(("http://", "https://")):
            raise InputError(
                f"'{root.partition('://')[0]}' is no kind of address that can be read", where="--cc-root",
                fix="an http:// or https:// address, or a folder",
            )  # fmt: skip
        if "://" not in root and not Path(root).is_dir():
            raise InputError(f"there is no folder '{root}'", where="--cc-root", fix="a folder, or an https:// address")
    return [read_list(path, root or str(path.parent)) for path in lists]


def read_list(path: Path, root: str) -> Listed:
    """One list: see `read_lists`."""
    data = []
    for piece in pieces(path, path.name):
        if isinstance(piece, Damage):
            raise InputError(f"this list cannot be read: {piece.reason}", where=str(path), fix="fetch it again")
        data.append(piece.data)
    lines = [line.strip() for line in clean(b"".join(data).decode("utf-8", "replace")).splitlines()]
    names = list(dict.fromkeys(line.lstrip("/") if "://" in root else line for line in lines if line))
    if not names:
        raise InputError("this list names no file", where=str(path), fix="one path of an archive a line")
    if twice := sum(map(bool, lines)) - len(names):
        log.warning("%s names %d files twice; each is read once", path.name, twice)
    wrong = [name for name in names if FORMATS.get(suffix_of(name)) != "archive" or "://" in name]
    if wrong:
        raise InputError(
            f"{len(wrong)} lines are no path of an archive with pages: {shown(wrong)}", where=str(path),
            fix="paths of .warc, .wet or .arc files (also .gz, .zst) relative to --cc-root",
        )  # fmt: skip
    return Listed(path, root, tuple(names))
