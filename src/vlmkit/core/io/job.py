"""One run of one action: what it eats, where it writes, whether it is already done.

The rule of reuse: a complete artifact made by the same settings from the same inputs is handed back; an incomplete one
is resumed; anything else in the folder is refused, unless the user says --overwrite. Nothing is created before `begin`.
"""

import dataclasses
import fcntl
import hashlib
import json
import os
import platform
import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Protocol, TextIO

from vlmkit.core.errors import CapabilityError, InputError
from vlmkit.core.io import artifacts
from vlmkit.core.io.files import digest, files_below, remove, sweep, write_json
from vlmkit.core.io.manifest import NAME, STATE, Input, Manifest, Output, content_digest, read_manifest

PACKAGES = (
    "vlmkit",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "pyarrow",
    "safetensors",
    "resiliparse",
    "statsmodels",
)


class Action(Protocol):
    """What a job asks of a config: its name, its kind, its folder (configs.fields.Action has them all)."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]
    command: ClassVar[str]
    action: ClassVar[str]
    makes: ClassVar[str | None]

    @property
    def out(self) -> Path | None: ...
    @property
    def seed(self) -> int: ...
    @property
    def overwrite(self) -> bool: ...


class Place(Protocol):
    """Where work writes: the folder of the artifact, and that of scratch, which goes when the work is done."""

    @property
    def folder(self) -> Path: ...
    @property
    def state(self) -> Path: ...


@dataclass(frozen=True)
class Result:
    """What an action reports: the keys of --json, the artifact if one was made, and a likely next command."""

    values: dict[str, object]
    artifact: Path | None = None
    reused: bool = False
    next: str = ""
    ok: bool = True  # False for a check that says no (exit 1)
    shown: dict[str, object] | None = None  # what people see, where it is not the values as they are


@dataclass
class Job:
    """An action about to run (or already done): see `open_job`."""

    config: Action
    settings: dict[str, object]
    inputs: list[Input]
    config_digest: str
    stored: Result | None = None
    resuming: bool = False
    started: str = field(default_factory=lambda: now())
    _lock: TextIO | None = None

    @property
    def folder(self) -> Path:
        """The artifact's folder."""
        assert self.config.out is not None, "an action that only reports has no folder"
        return self.config.out

    @property
    def state(self) -> Path:
        """Scratch of an unfinished run, there to resume from; it goes when the artifact is complete."""
        return self.folder / STATE

    def begin(self) -> None:
        """Create the folder, take its lock, sweep away what a killed run left half-written."""
        if (self.folder / NAME).is_file() or (self.config.overwrite and not self.resuming):
            clear(self.folder)
        try:
            self.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"this folder cannot be made: {error.strerror}"
            raise CapabilityError(what, where=str(self.folder), fix="name a folder that you may use") from error
        BEGUN.append(weakref.ref(self))
        self._lock = lock(self.state / "lock")
        sweep(self.folder)
        sheet = self.state / "job.json"
        if sheet.is_file():
            self.started = json.loads(sheet.read_text(encoding="utf-8"))["started"]
        else:
            write_json(sheet, {"config_digest": self.config_digest, "config": self.settings, "started": self.started})

    def abandon(self) -> None:
        """Undo `begin` for a run whose input turns out to be wrong: a refused command leaves nothing behind."""
        if self._lock:
            self._lock.close()
        if not self.resuming:
            remove(self.state)
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    def finish(self, values: dict[str, object], *, logs: Sequence[str] = (), next: str = "") -> Result:
        """Digest the outputs, write the manifest last, drop the scratch, and give the result to report."""
        outputs = [describe(self.folder, path) for path in files_below(self.folder)]
        outputs = [output for output in outputs if output.path not in {*logs, NAME}]
        config = self.config
        Manifest(
            kind=config.makes or "report",
            command=config.command,
            action=config.action,
            argv=sys.argv[1:],
            config=self.settings,
            config_digest=self.config_digest,
            content_digest=content_digest(outputs),
            seed=config.seed,
            versions=versions(),
            inputs=self.inputs,
            outputs=outputs,
            logs=[log for log in logs if (self.folder / log).is_file()],
            log_digests={log: digest(self.folder / log) for log in logs if (self.folder / log).is_file()},
            metrics=values,
            next=next,
            started=self.started,
            finished=now(),
        ).write(self.folder)
        remove(self.state)
        if self._lock:
            self._lock.close()
        BEGUN.clear()
        return Result(values, artifact=self.folder, next=next)


BEGUN: list[weakref.ref[Job]] = []  # what this process has begun; a job that is forgotten frees its folder


def refuse() -> None:
    """Undo what was begun for a run whose input turned out to be wrong."""
    while BEGUN:
        job = BEGUN.pop()()
        if job is not None:
            job.abandon()


def open_job(config: Action, *, code: Mapping[str, str] | None = None, also: Sequence[Input] = ()) -> Job:
    """Digest the inputs of an action, take further ones as they are, and decide whether it is done, to be resumed, or
    refused.

    Args:
        code: digests of code that the user brings, by name: another code makes another artifact.

    Raises:
        InputError: an input is missing or of the wrong kind, or the folder holds something else.
    """
    inputs = []
    for path, kinds in input_paths(config):
        if kinds:
            artifacts.check_kind(path, kinds)
        elif not path.exists():
            raise artifacts.missing(path)
        kind, content = artifacts.identify(path)
        inputs.append(Input(path=str(path.absolute()), kind=kind, content_digest=content))
    inputs += also
    settings = settings_of(config)
    identity = {
        **settings,
        "inputs": [item.content_digest for item in inputs],
        "command": [config.command, config.action],
    } | ({"code": dict(code)} if code else {})
    job = Job(config, settings, inputs, hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest())
    if config.out is not None and config.makes:
        decide(job, config.out)
    return job


def decide(job: Job, out: Path) -> None:
    """Fill in `stored` or `resuming` from what lies in the folder, or refuse."""
    if out.exists() and not out.is_dir():
        raise InputError("--out names a file", where=str(out), fix="name a folder")
    sheet = out / STATE / "job.json"
    if (out / NAME).is_file():
        manifest = read_manifest(out)
        if job.config.overwrite:
            return
        if manifest.config_digest != job.config_digest:
            raise InputError(
                f"this folder holds a finished artifact of another run ({difference(job, manifest)})",
                where=str(out),
                fix="--overwrite to replace it, or another --out",
            )
        for output in manifest.outputs:
            lies = out / output.path
            if not lies.is_file() or lies.stat().st_size != output.bytes:
                raise InputError(
                    f"this artifact is damaged: {output.path} is missing or of another size",
                    where=str(out),
                    fix="--overwrite to make it again; `vlmkit verify` shows more",
                )
        remove(out / STATE)  # of a run that was killed when only this was left to do
        job.stored = Result(dict(manifest.metrics), artifact=out, reused=True, next=manifest.next)
    elif sheet.is_file():
        same = json.loads(sheet.read_text(encoding="utf-8"))["config_digest"] == job.config_digest
        if not same and not job.config.overwrite:
            raise InputError(
                "this folder holds an unfinished run of other settings or inputs",
                where=str(out),
                fix="repeat its words to finish it, --overwrite to replace it, or another --out",
            )
        job.resuming = same
    elif out.is_dir() and any(path.name != STATE for path in out.iterdir()):
        raise InputError(
            "this folder is not empty, and no vlmkit command made it",
            where=str(out),
            fix="name a new folder with --out",
        )


def input_paths(config: Action) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Every path that a config reads, with the kinds of artifact that it may be."""
    for item in dataclasses.fields(config):
        if item.name == "out" or item.metadata.get("must_exist") is False:
            continue
        value = getattr(config, item.name)
        values = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,)
        for one in values:
            if isinstance(one, Path) or names_file(item, one):
                yield Path(one), tuple(item.metadata.get("eats", ()))


def settings_of(config: Action) -> dict[str, object]:
    """The settings that decide what is made: no paths (their content counts, of code too), no device, no verbosity."""

    def plain(value: object, item: dataclasses.Field) -> object:
        if isinstance(value, Path) or names_file(item, value):
            return "path"
        if isinstance(value, str) and item.metadata.get("maybe_path") and ".py:" in value:
            return f"code:{value.rpartition(':')[2]}"
        if isinstance(value, dict):
            return {key: plain(one, item) for key, one in value.items()}
        return [plain(one, item) for one in value] if isinstance(value, tuple) else value

    found = {}
    for item in dataclasses.fields(config):
        if item.metadata.get("digest", True):
            value = getattr(config, item.name)
            found[item.name] = plain(value, item)
    return found


def names_file(item: dataclasses.Field, value: object) -> bool:
    """Whether a word that may name something known or a file names a file."""
    may = isinstance(value, str) and item.metadata.get("maybe_path") and value not in item.metadata.get("known", ())
    return bool(may) and Path(str(value)).exists()


def difference(job: Job, manifest: Manifest) -> str:
    """What differs between this run and the one that made an artifact, in a few words."""
    if (manifest.command, manifest.action) != (job.config.command, job.config.action):
        return f"made by vlmkit {manifest.command} {manifest.action}"
    now_, then = json.loads(json.dumps(job.settings)), manifest.config
    changed = [f"{name}: {then.get(name)} there, {now_[name]} now" for name in now_ if then.get(name) != now_[name]]
    return "; ".join(changed[:3]) if changed else "its inputs have changed since"


def describe(folder: Path, path: Path) -> Output:
    """The manifest's line on one file."""
    rows = None
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows = pq.read_metadata(path).num_rows
    return Output(path=path.relative_to(folder).as_posix(), rows=rows, bytes=path.stat().st_size, sha256=digest(path))


def clear(folder: Path) -> None:
    """Remove the files of an earlier artifact or run; files that no manifest lists are left alone."""
    if (folder / NAME).is_file():
        manifest = read_manifest(folder)
        remove(folder / STATE)  # there when the run was killed right after its manifest
        (folder / NAME).unlink()  # first, so that a crash in the middle leaves no complete-looking artifact
        for name in (*(output.path for output in manifest.outputs), *manifest.logs):
            (folder / name).unlink(missing_ok=True)
        for child in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
            if not any(child.iterdir()):
                child.rmdir()
    elif (folder / STATE / "job.json").is_file():
        for child in folder.iterdir():
            remove(child)


def lock(path: Path) -> TextIO:
    """Hold a folder for one process at a time."""
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        raise InputError(
            "another vlmkit process is writing here",
            where=str(path.parent.parent),
            fix="wait for it, or name another --out",
        ) from error
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that may decide the result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "checkout" if name == "vlmkit" else "absent"
    return found


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
