"""The rule of reuse: a finished run is handed back, an unfinished one resumed, anything else refused."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from vlmkit.core.configs.fields import Action, argument, option
from vlmkit.core.errors import InputError
from vlmkit.core.io import artifacts, files
from vlmkit.core.io.job import open_job
from vlmkit.core.io.manifest import faults, read_manifest


@dataclass(frozen=True, kw_only=True)
class CopyConfig(Action):
    """Copy a text."""

    command: ClassVar[str] = "copy"
    makes: ClassVar[str | None] = "documents"
    source: Path = argument(help="What to copy.")
    times: int = option(1, help="How often.")


def copy(config, *, die=False):
    job = open_job(config)
    if job.stored:
        return job.stored
    job.begin()
    files.write_text(job.state / "half", "progress")
    if die:
        job._lock.close()
        return None
    files.write_text(job.folder / "data" / "text.txt", config.source.read_text() * config.times)
    files.write_text(job.folder / "log.jsonl", "a clock: 12:00")
    return job.finish({"copies": config.times}, logs=["log.jsonl"], next="vlmkit inspect x")


@pytest.fixture
def config(tmp_path):
    (tmp_path / "source.txt").write_text("hello ")
    return CopyConfig(source=tmp_path / "source.txt", out=tmp_path / "out", times=2)


def test_a_finished_run_is_handed_back(config):
    first = copy(config)
    written = (config.out / "data/text.txt").stat().st_mtime_ns
    again = copy(dataclasses.replace(config, device="cpu", workers=7))  # neither changes what is made
    assert not first.reused
    assert again.reused
    assert again.values == {"copies": 2}
    assert again.next == "vlmkit inspect x"
    assert (config.out / "data/text.txt").stat().st_mtime_ns == written


def test_other_settings_are_refused_and_named(config):
    copy(config)
    with pytest.raises(InputError, match="times: 2 there, 3 now"):
        copy(dataclasses.replace(config, times=3))
    config.source.write_text("other")
    with pytest.raises(InputError, match="inputs have changed"):
        copy(config)
    assert (config.out / "data/text.txt").read_text() == "hello hello "


def test_overwrite_replaces_and_leaves_strangers_alone(config):
    copy(config)
    (config.out / "notes.md").write_text("mine")
    copy(dataclasses.replace(config, times=1, overwrite=True))
    assert (config.out / "data/text.txt").read_text() == "hello "
    assert (config.out / "notes.md").read_text() == "mine"


def test_an_unfinished_run_is_resumed_by_the_same_words_only(config):
    copy(config, die=True)
    assert open_job(config).resuming
    with pytest.raises(InputError, match="unfinished run of other settings"):
        copy(dataclasses.replace(config, times=3))
    with pytest.raises(InputError, match="has not finished"):
        artifacts.find(config.out, "documents")
    assert not copy(config).reused
    assert not (config.out / ".vlmkit").exists()


def test_a_folder_of_somebody_else_is_never_touched(config):
    config.out.mkdir()
    (config.out / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="not empty"):
            copy(dataclasses.replace(config, overwrite=overwrite))
    assert [path.name for path in config.out.iterdir()] == ["thesis.tex"]


def test_two_runs_in_one_folder_at_once_are_refused(config):
    job = open_job(config)
    job.begin()
    with pytest.raises(InputError, match="another vlmkit process"):
        open_job(config).begin()
    job._lock.close()


@pytest.mark.parametrize("again", [{}, {"overwrite": True, "times": 2}])
def test_what_a_kill_after_the_manifest_leaves_goes_and_is_not_taken_up(config, again):
    copy(config)
    state = config.out / ".vlmkit"
    state.mkdir()
    (state / "job.json").write_text(json.dumps({"config_digest": "of another run", "started": "then"}))
    (state / "half").write_text("progress of another run")
    job = open_job(dataclasses.replace(config, **again))
    if again:
        job.begin()
        assert not (state / "half").exists()
        job._lock.close()
    else:
        assert job.stored
        assert not state.exists()


def test_the_content_digest_ignores_logs_time_and_place(config, tmp_path):
    copy(config)
    elsewhere = dataclasses.replace(config, out=tmp_path / "deep" / "other")
    copy(elsewhere)
    first, second = read_manifest(config.out), read_manifest(elsewhere.out)
    assert first.content_digest == second.content_digest
    assert [output.path for output in first.outputs] == ["data/text.txt"]
    assert first.logs == ["log.jsonl"]
    text = json.dumps([dataclasses.asdict(output) for output in first.outputs])
    assert str(tmp_path) not in text


@pytest.mark.parametrize("name", ["data/text.txt"])
def test_one_changed_byte_is_found(config, name):
    copy(config)
    manifest = read_manifest(config.out)
    assert not list(faults(config.out, manifest))
    path = config.out / name
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    assert list(faults(config.out, manifest)) == [(name, "differs from what was written (its digest has changed)")]
    path.unlink()
    assert list(faults(config.out, manifest)) == [(name, "is missing")]


def test_an_artifact_is_known_by_its_manifest_and_a_part_by_its_files(config):
    copy(config)
    manifest = read_manifest(config.out)
    assert artifacts.identify(config.out) == ("documents", manifest.content_digest)
    assert artifacts.identify(config.out / "data")[0] == "data"
    assert artifacts.lineage(config.out / "data") == manifest.content_digest
    with pytest.raises(InputError, match="of kind 'documents', but tokens"):
        artifacts.check_kind(config.out, ["tokens"])
    with pytest.raises(InputError, match="does not exist") as caught:
        artifacts.find(config.out.with_name("ouz"), "documents")
    assert "'out'" in caught.value.fix
