"""How fast the stages of curation are on one core, beside other packages: `python benchmarks/curate.py INPUT`.

INPUT is what `vlmkit curate` reads as text (JSON Lines, parquet, text). Every stage and every peer gets the same
documents, on one thread; seconds are CPU seconds, the least of some rounds after one that warms up. The peers run in
an environment of their own (curate_peers.py): `--peers VENV/bin/python`, `--dolma VENV/bin/dolma` (it needs NumPy 1).
A peer that is not there is named and left out.

The Bloom filter needs more text than the rest, for a process is compared with a process: the documents are written
`--copies` times, each time but the first with all words renamed at random among those of the same length and case, so
that copies look like the text but share no 13-gram. Of processes the user's CPU seconds count, with Python's start and
the reading of the file. Dolma is told how many n-grams to expect; we count them.
"""

import argparse
import gzip
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from curate_bloom import RATE, old_both, read_written

from vlmkit.core.curate import minhash
from vlmkit.core.curate.bloom import count_ngrams
from vlmkit.core.curate.operations import Setting
from vlmkit.core.curate.recipe import BASELINE, Kitchen
from vlmkit.core.io.sources import find_sources, plan_parts
from vlmkit.core.io.web import Page, Reading, read_slice

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
COUNTED_BYTES = 64 << 20  # what `wc` reads in a round, at least
WORD = re.compile(r"\w+")


def main() -> None:
    """Print a line for each stage beside each peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("--peers", default=sys.executable, help="Python that has datatrove, spacy and rensa")
    parser.add_argument("--dolma", help="the command dolma")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=15, help="of the documents, for the Bloom filter")
    words = parser.parse_args()
    os.environ.update(ONE_THREAD)
    texts = texts_of(words.input)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "documents.jsonl"
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        beside_peers(texts, file, words.peers, words.rounds)
        beside_dolma(texts, Path(scratch), words.dolma, words.rounds, words.copies)


def beside_peers(texts: list[str], file: Path, peers: str, rounds: int) -> None:
    """The rules and MinHash."""
    size = megabytes(texts)
    print(f"{len(texts):,} documents, {size:.1f} MB; CPU seconds of one thread, the least of {rounds} rounds")
    kitchen = Kitchen(BASELINE, Setting())
    ours = best(lambda: [kitchen({"text": text, "url": "", "metadata": {}}) for text in texts], 3 * rounds)
    show("heuristics", size / ours, "wc -w", size / word_count(file.with_suffix(".txt"), texts, rounds), 0.13)
    peer("heuristics", size, ours, peers, "gopher", "Gopher pair", file, rounds, 80)
    ours = best(lambda: [minhash.bands(minhash.signature(minhash.shingles(text))) for text in texts], 3 * rounds)
    peer("minhash", size, ours, peers, "minhash", "MinHash stage 1", file, rounds, 60)
    peer("minhash", size, ours, peers, "rensa", "RMinHash", file, rounds, 1.5)


def beside_dolma(texts: list[str], scratch: Path, dolma: str | None, rounds: int, copies: int) -> None:
    """The Bloom filter: the pass over texts in memory, a process that reads the file, and the whole command."""
    written = scratch / "documents/copies.json.gz"  # dolma looks for a folder of that name
    written.parent.mkdir()
    write(written, texts, copies)
    copied = read_written(written)
    size, entries = megabytes(copied), sum(map(count_ngrams, copied))
    print(f"{len(copied):,} documents, {size:.1f} MB, {entries:,} 13-grams")
    command = [sys.executable, "-m", "vlmkit", "curate", str(written), "--stages", "dedup", "--dedup", "bloom"]
    ours = {
        "the pass": best(lambda: old_both(copied), rounds),
        "a process": process([sys.executable, str(Path(__file__).with_name("curate_bloom.py")), str(written)], rounds)[
            0
        ],
        "the command": process([*command, "--workers", "1", "--out", str(scratch / "out{}")], rounds)[0],
    }
    theirs = dolma_speed(dolma, size, scratch, written, entries, rounds) if dolma else "not given"
    for name, seconds in ours.items():
        show(f"bloom, {name}", size / seconds, "dolma, a process", theirs, 5)


def dolma_speed(dolma: str, size: float, scratch: Path, written: Path, entries: int, rounds: int) -> float | str:
    """Megabytes a second of dolma, or why there is no figure."""
    if not shutil.which(dolma):
        return f"absent: {dolma}"
    at = ["--documents", str(written), "--dedupe.name", "repeated{}", "--bloom_filter.file", f"{scratch}/bloom{{}}"]
    command = [dolma, "dedupe", *at, *DOLMA, "--bloom_filter.estimated_doc_count", str(entries)]
    try:
        return size / process(command, rounds)[0]
    except subprocess.CalledProcessError as error:
        return f"fails: {error.stderr.decode(errors='replace').strip()[-200:]}"


DOLMA = (
    "--dedupe.paragraphs.attribute_name", "repeated", "--dedupe.paragraphs.by_ngram.ngram_length", "13",
    "--dedupe.paragraphs.by_ngram.stride", "1", "--dedupe.paragraphs.by_ngram.overlap_threshold", "0.8",
    "--dedupe.paragraphs.by_ngram.skip_short_paragraphs", "--no-bloom_filter.read_only",
    "--bloom_filter.desired_false_positive_rate", str(RATE), "--processes", "1",
)  # fmt: skip


def texts_of(path: Path) -> list[str]:
    """The texts of an input."""
    pieces = [piece for part in plan_parts(find_sources([path])) for piece in part]
    pages = (page for piece in pieces for page in read_slice(piece, Reading()) if isinstance(page, Page))
    return [page.text for page in pages if page.text]


def megabytes(texts: list[str]) -> float:
    """Megabytes of texts in UTF-8."""
    return sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6


def write(path: Path, texts: list[str], copies: int) -> None:
    """Copies of texts with their words renamed, as dolma reads them."""
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
        for number, text in enumerate(renamed(texts, copies)):
            row = {"id": str(number), "text": text, "source": "web", "added": DAY, "created": DAY}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


DAY = "2026-01-01T00:00:00.000Z"


def renamed(texts: list[str], copies: int) -> Iterator[str]:
    """The texts, then copies of them in which words stand for others of the same length and case."""
    yield from texts
    kinds: dict[tuple[object, ...], list[str]] = {}
    for word in sorted({word for text in texts for word in WORD.findall(text)}):
        kind = (len(word), word.islower(), word.istitle(), word.isupper(), word.isdigit(), word.isascii())
        kinds.setdefault(kind, []).append(word)
    for seed in range(1, copies):
        generator = random.Random(seed)
        names = {}
        for some in kinds.values():
            names.update(zip(some, generator.sample(some, len(some)), strict=True))
        for text in texts:
            yield WORD.sub(lambda found, names=names: names[found[0]], text)


def word_count(path: Path, texts: list[str], rounds: int) -> float:
    """CPU seconds of `wc -w`, in the faster of two locales."""
    path.write_text("\n".join(texts), encoding="utf-8", errors="replace")
    times = max(1, round(COUNTED_BYTES / path.stat().st_size))
    command = ["wc", "-w", *[str(path)] * times]
    return min(sum(process(command, rounds, LC_ALL=locale)) for locale in ("C", "C.UTF-8")) / times


def peer(
    stage: str, size: float, ours: float, python: str, name: str, what: str, file: Path, rounds: int, goal: float
) -> None:
    """A line for a stage beside a peer of curate_peers.py."""
    script = Path(__file__).with_name("curate_peers.py")
    if not shutil.which(python):
        show(stage, size / ours, what, f"absent: {python}", goal)
        return
    done = subprocess.run([python, script, name, file, str(rounds)], capture_output=True, text=True, check=False)
    if done.returncode:
        show(stage, size / ours, what, f"fails: {done.stderr.strip()[-200:]}", goal)
        return
    found = json.loads(done.stdout.splitlines()[-1])
    if "absent" in found:
        show(stage, size / ours, what, f"absent: {found['absent']}", goal)
        return
    show(stage, size / ours, f"{what} of {found['package']}", size / min(found["seconds"]), goal)


def best(work: Callable[[], object], rounds: int) -> float:
    """The least CPU seconds of some rounds, after one that warms up."""
    spent = []
    for _ in range(1 + rounds):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return min(spent[1:])


def process(command: list[str], rounds: int, **environment: str) -> tuple[float, float]:
    """The CPU seconds, user's and system's, of a process and its children, in the round with the fewest; `{}` stands
    for the round."""
    spent = []
    for number in range(1 + rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = [word.replace("{}", str(number)) for word in command]
        subprocess.run(words, env={**os.environ, **ONE_THREAD, **environment}, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append((after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime))
    return min(spent[1:], key=sum)


def show(stage: str, ours: float, name: str, theirs: float | str, goal: float) -> None:
    """A stage beside a peer, in MB/s, or why there is no figure of the peer."""
    line = f"{stage:20} {ours:7.1f} MB/s  "
    if isinstance(theirs, str):
        print(f"{line}beside {name}: {theirs}", flush=True)
    else:
        print(f"{line}{ours / theirs:6.3g} x {name} ({theirs:.3g} MB/s; goal {goal:g})", flush=True)


if __name__ == "__main__":
    main()
