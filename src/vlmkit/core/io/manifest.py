"""The manifest: what an artifact is, what made it from what, and the digests of its files.

`manifest.json` is written last, so that its existence means that the artifact is complete. It chains to its inputs by
their content digests; `content_digest` covers the data files alone (no logs, no clock), so that equal inputs, settings
and seed give an equal digest.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from vlmkit.core.errors import InputError
from vlmkit.core.io.files import combine, digest, write_json

NAME = "manifest.json"
VERSION = "vlmkit.manifest/1"
STATE = ".vlmkit"


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of a run: what it was, where it lay, and the digest of its content."""

    path: str
    kind: str
    content_digest: str


@dataclass(frozen=True, kw_only=True)
class Output:
    """One file of an artifact, by its path relative to the artifact's folder; rows for tables."""

    path: str
    rows: int | None
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that is known about a complete artifact."""

    kind: str
    version: str = VERSION
    command: str
    action: str
    argv: list[str]
    config: dict[str, object]
    config_digest: str
    content_digest: str
    seed: int
    versions: dict[str, str]
    inputs: list[Input]
    outputs: list[Output]
    logs: list[str]
    metrics: dict[str, object]
    next: str = ""
    started: str
    finished: str
    log_digests: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the manifest into an artifact's folder."""
        write_json(folder / NAME, asdict(self))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an artifact.

    Raises:
        InputError: there is none, or it is not a manifest.
    """
    path = folder / NAME
    if not path.is_file():
        state = " (its command has not finished: run it again)" if (folder / STATE).is_dir() else ""
        raise InputError(
            f"no manifest in this folder{state}", where=str(folder), fix="give the folder that a vlmkit command wrote"
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Manifest)}
        raw = {key: value for key, value in raw.items() if key in known}
        raw["inputs"] = [Input(**item) for item in raw["inputs"]]
        raw["outputs"] = [Output(**item) for item in raw["outputs"]]
        return Manifest(**raw)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"not a manifest of vlmkit: {error}", where=str(path), fix="make the artifact again"
        ) from error


def content_digest(outputs: list[Output]) -> str:
    """One digest for the data files of an artifact."""
    return combine({output.path: output.sha256 for output in outputs})


def faults(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every file of an artifact that is not as the manifest says: (path, what is wrong)."""
    for output in manifest.outputs:
        path = folder / output.path
        if not path.is_file():
            yield output.path, "is missing"
        elif path.stat().st_size != output.bytes:
            yield output.path, f"has {path.stat().st_size:,} bytes, not {output.bytes:,}"
        elif digest(path) != output.sha256:
            yield output.path, "differs from what was written (its digest has changed)"
    for log in manifest.logs:
        if not (folder / log).is_file():
            yield log, "is missing"
        elif manifest.log_digests.get(log, digest(folder / log)) != digest(folder / log):
            yield log, "differs from what was written (its digest has changed)"
    if content_digest(manifest.outputs) != manifest.content_digest:
        yield NAME, "lists other digests than its content digest says"
