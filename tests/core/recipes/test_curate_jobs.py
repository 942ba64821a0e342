"""Parts as jobs of Slurm (a stand-in that runs the array here) and as tasks of Ray: the bytes of one process."""

import json
import os
import stat
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

SBATCH = """#!{python}
import os, subprocess, sys, time
script = open(sys.argv[-1]).read()
folder = os.environ["FAKE_SLURM"]
options = dict(line[10:].partition("=")[::2] for line in script.splitlines() if line.startswith("#SBATCH"))
open(folder + "/options", "w").write(repr(options))
if options.get("account") == "nobody":
    sys.exit("sbatch: error: invalid account")
if os.fork() == 0:
    os.setsid()
    for handle in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), handle)
    open(folder + "/running", "w").write("1")
    path = folder + "/script.sh"
    open(path, "w").write(script)
    first, last = options["array"].partition("%")[0].split("-")
    for number in range(int(first), int(last) + 1):
        while os.path.exists(folder + "/hold"):
            time.sleep(0.05)
        job = dict(os.environ, SLURM_ARRAY_TASK_ID=str(number), SLURM_NODELIST="here", RUN_OFFSET="0")
        with open(options["output"].replace("%A", "7").replace("%a", str(number)), "w") as log:
            subprocess.run(["bash", path], env=job, stdout=log, stderr=log, cwd="/")
    os.remove(folder + "/running")
else:
    while not os.path.exists(folder + "/running") and not os.path.exists(folder + "/script.sh"):
        time.sleep(0.05)
    print("Submitted batch job 7")
"""
SQUEUE = '#!/bin/sh\nif [ -e "$FAKE_SLURM/running" ]; then echo "7 normal vlmkit R"; else exit 1; fi\n'
SCONTROL = "#!/bin/sh\necho here\n"


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """Stand-ins for Slurm's commands on the path; the folder in which they leave what they were told."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH.format(python=sys.executable)), ("squeue", SQUEUE), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    return folder


@pytest.fixture
def pages(tmp_path) -> Path:
    """Three files that make three parts, with duplicates between them."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        lines = [{"id": f"{number}-{i}", "text": f"{i % 40} word " * (700 + i % 7)} for i in range(110)]
        (folder / f"{number}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


WORDS = ("--stages", "extract,dedup", "--json")


def outputs(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.parquet")}


def test_jobs_of_slurm_leave_the_bytes_of_one_process(tmp_path, pages, slurm, vlmkit):
    assert vlmkit("curate", "in", "--out", "one", "--workers", 1, *WORDS, cwd=tmp_path).code == 0
    (slurm / "hold").touch()
    words = ("curate", "in", "--out", "out", "--executor", "slurm", "--workers", 2, *WORDS)
    asked = ("--slurm-partition", "cpu", "--slurm-mem", 2, "--slurm-args", "account=me")
    begun = vlmkit(*words, *asked, cwd=tmp_path)
    assert begun.code == 0, begun.err
    assert begun.json["jobs"] == {"job": "7", "parts": 3, "missing": 3}
    assert begun.json["documents"] is begun.json["artifact"] is None
    options = eval((slurm / "options").read_text())
    wanted = {"array": "0-2%2", "partition": "cpu", "mem-per-cpu": "2G", "account": "me", "time": "24:00:00"}
    assert wanted.items() <= options.items()
    assert vlmkit(*words, cwd=tmp_path).json["jobs"]["missing"] == 3
    refused = vlmkit(*words, "--executor", "local", cwd=tmp_path)
    assert refused.code == 2
    assert "scancel 7" in refused.json["error"]["fix"]
    (slurm / "hold").unlink()
    done = vlmkit(*words, "--wait", cwd=tmp_path)
    assert done.code == 0, done.err
    assert outputs(tmp_path / "out") == outputs(tmp_path / "one")
    assert not (tmp_path / "out/.vlmkit").exists()


def test_jobs_for_each_phase_of_a_recipe_that_compares_pages(tmp_path, pages, slurm, vlmkit):
    steps = [{"func": "exact_dedup", "content_key": "text"}, {"func": "newline_removal_modifier"}]
    (tmp_path / "r.yaml").write_text(json.dumps([{"source": "x", "steps": steps}]))
    words = ("curate", "in", "--recipe", "r.yaml", "--stages", "heuristics", "--json")
    one = vlmkit(*words, "--out", "one", "--workers", 1, cwd=tmp_path)
    assert one.json["rules"]["exact_dedup"] > 0
    done = vlmkit(*words, "--out", "out", "--executor", "slurm", "--wait", cwd=tmp_path)
    assert done.code == 0, done.err
    assert outputs(tmp_path / "out") == outputs(tmp_path / "one")


def test_a_job_that_fails_is_told_and_submitted_again_for_what_is_missing(tmp_path, pages, slurm, vlmkit):
    lost = pages / "1.jsonl"
    words = ("curate", "in", "--out", "out", "--executor", "slurm", *WORDS)
    (slurm / "hold").touch()
    assert vlmkit(*words, cwd=tmp_path).code == 0
    kept = lost.read_bytes()
    lost.rename(tmp_path / "away")
    (slurm / "hold").unlink()
    deadline = time.monotonic() + 60
    while (slurm / "running").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    parts = tmp_path / "out/.vlmkit/parts"
    assert sorted(path.parent.name for path in parts.glob("*/done.json")) == ["000000", "000002"]
    assert "cannot be read" in (parts / "000001/fault.json").read_text()
    lost.write_bytes(kept)
    again = vlmkit(*words, "--wait", cwd=tmp_path)
    assert again.code == 0, again.err
    assert "array': '0-0'" in (slurm / "options").read_text()


def test_what_slurm_refuses_and_where_it_is_not_there(tmp_path, pages, slurm, vlmkit):
    words = ("curate", "in", "--out", "out", "--executor", "slurm", *WORDS)
    refused = vlmkit(*words, "--slurm-args", "account=nobody", cwd=tmp_path)
    assert (refused.code, refused.json["error"]["kind"]) == (1, "failed")
    assert "invalid account" in refused.err
    absent = vlmkit(*words, cwd=tmp_path, env={"PATH": "/nowhere"})
    assert (absent.code, absent.json["error"]["what"]) == (3, "there is no sbatch here")


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
def test_tasks_of_ray_leave_the_bytes_of_one_process(tmp_path, pages, vlmkit):
    assert vlmkit("curate", "in", "--out", "one", "--workers", 1, *WORDS, cwd=tmp_path).code == 0
    done = vlmkit("curate", "in", "--out", "out", "--executor", "ray", *WORDS, cwd=tmp_path)
    assert done.code == 0, done.err
    assert outputs(tmp_path / "out") == outputs(tmp_path / "one")


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_ray_that_is_not_there_is_named(tmp_path, pages, vlmkit):
    absent = vlmkit("curate", "in", "--out", "out", "--executor", "ray", *WORDS, cwd=tmp_path)
    assert (absent.code, absent.json["error"]["fix"]) == (3, "pip install 'vlmkit[ray]'")
    assert not (tmp_path / "out").exists()
