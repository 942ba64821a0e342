"""Finding artifacts: by their own folder or the folder around it, and what kind a path is.

A path need not come from vlmkit: a folder of parquet files with a `text` column is documents, a transformers folder
is a model.
"""

from collections.abc import Sequence
from pathlib import Path

from vlmkit.core.errors import InputError, nearest
from vlmkit.core.io.files import combine, digest_tree
from vlmkit.core.io.manifest import NAME, STATE, Manifest, read_manifest

SIGNS = {  # kind -> file patterns that show it, any of them
    "tokens": ("tokens-*.safetensors",),
    "model": ("config.json",),
    "documents": ("part-*.parquet",),
    "runs": ("run.parquet", "runs.parquet"),
    "scores": ("part-*.parquet",),
    "images": ("part-*.parquet",),
    "law": ("law.json",),
}
FOLDERS = {"curated": ("tokens", "documents"), "run": ("model",), "model": (), "tokens": (), "documents": ()}
TABLES = (".parquet", ".csv", ".json", ".jsonl")


def around(path: Path) -> tuple[Path, Manifest] | None:
    """The complete artifact that a path belongs to: the path itself or one of the two folders above it."""
    for folder in (path, *path.absolute().parents[:2]):
        if (folder / NAME).is_file():
            return folder, read_manifest(folder)
    return None


def find(path: Path, kind: str) -> Path:
    """The artifact of a kind given by its own folder or the folder around it.

    Raises:
        InputError: nothing of that kind is there, or the command that makes it has not finished.
    """
    if not path.exists():
        raise missing(path)
    unfinished(path)
    if path.is_file() and path.suffix in TABLES and kind in ("documents", "runs", "scores", "images"):
        return path
    for folder in (path / kind, path):
        if folder.is_dir() and any(next(folder.glob(sign), None) for sign in SIGNS.get(kind, (NAME,))):
            return folder
    found = around(path)
    what = f"this is an artifact of kind '{found[1].kind}'" if found else "this folder holds no such thing"
    raise InputError(
        f"no {kind} here: {what}", where=str(path), fix=f"give a folder with {' or '.join(SIGNS.get(kind, (NAME,)))}"
    )


def check_kind(path: Path, kinds: Sequence[str]) -> None:
    """Refuse a path that is an artifact of another kind than the ones a command eats; foreign files pass."""
    if not path.exists():
        raise missing(path)
    unfinished(path)
    if not path.is_dir() or not (path / NAME).is_file():
        return
    kind = read_manifest(path).kind
    within = {kind, *FOLDERS.get(kind, ()), *(child.name for child in path.iterdir() if child.is_dir())}
    if not within & set(kinds):
        raise InputError(
            f"this is an artifact of kind '{kind}', but {' or '.join(kinds)} is needed",
            where=str(path),
            fix=f"give a folder of kind {' or '.join(kinds)}; `vlmkit inspect {path}` shows what this one is",
        )


def lineage(path: Path) -> str | None:
    """The content digest of the artifact around a path, or None for files that no vlmkit command made."""
    found = around(path)
    return found[1].content_digest if found else None


def identify(path: Path) -> tuple[str, str]:
    """(kind, content digest) of an input: from the manifest around it, else from the bytes themselves."""
    found = around(path)
    if found is None:
        return "file" if path.is_file() else "folder", digest_tree(path)
    folder, manifest = found
    inside = path.absolute().relative_to(folder.absolute()).as_posix()
    if inside == ".":
        return manifest.kind, manifest.content_digest
    part = {o.path: o.sha256 for o in manifest.outputs if o.path == inside or o.path.startswith(f"{inside}/")}
    if not part:
        return "file" if path.is_file() else "folder", digest_tree(path)
    return inside.partition("/")[0], combine(part)


def missing(path: Path) -> InputError:
    """The error for a path that does not exist, with the nearest name beside it."""
    folder = path.parent
    if path.is_symlink():
        what = f"{path} is a link that leads nowhere"
        return InputError(what, where=str(path), fix=f"it leads to {path.readlink()}")
    if folder.is_dir():
        names = sorted(child.name for child in folder.iterdir())
        hint = nearest(path.name, names) if names else f"{folder} is empty"
    else:
        hint = f"the folder {folder} does not exist either"
    return InputError(f"{path} does not exist", where=str(path), fix=hint)


def unfinished(path: Path) -> None:
    """Refuse an artifact whose command has not finished."""
    if (path / STATE).is_dir() and not (path / NAME).is_file():
        raise InputError(
            "the command that makes this artifact has not finished",
            where=str(path),
            fix="run it again with the same words: it resumes",
        )
