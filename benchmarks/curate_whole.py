"""How fast `vlmkit curate` is on one core and what memory it holds: `python benchmarks/curate_whole.py INPUT`.

INPUT is an archive, or what else `vlmkit curate` reads; it is given once and several times under other names, so that
memory can be seen not to grow with it. With `--bloom TEXT` runs with a Bloom filter follow, over copies of a text whose
words are renamed (curate.py), so that the filter grows with them; it is asked for so few false positives that it is
large beside the rest. Each run is a process of its own: CPU seconds, and resident memory at its peak.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from curate import ONE_THREAD, megabytes, renamed, texts_of

from vlmkit.core.io.sources import find_sources, plan_parts
from vlmkit.core.io.web import Page, Reading, read_slice

RATE = "1e-6"
MIB = 1 << 20


def main() -> None:
    """Print a line for each run, and for the largest one of each stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4, 12])
    parser.add_argument("--bloom", type=Path, help="text for the Bloom filter")
    parser.add_argument("--copies", type=int, nargs="+", default=[5, 20, 80], help="of that text")
    words = parser.parse_args()
    pages, size = measure(words.input)
    for times in words.times:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "in"
            folder.mkdir()
            for number in range(times):
                shutil.copy(words.input, folder / f"{number:03d}-{words.input.name}")
            found, seconds, peak = curate([folder], Path(scratch) / "out")
        print(
            f"{times * pages:,} pages, {times * size:.1f} MB: {times * pages / seconds:.0f} pages/s, "
            f"{times * size / seconds:.1f} MB/s of CPU time; {peak / MIB:.0f} MiB at the peak", flush=True,
        )  # fmt: skip
    for stage in found["stages"]:
        print(f"  {stage['name']:12} kept {stage['kept']:7,} dropped {stage['dropped']:7,} {stage['seconds']:8.2f} s")
    texts = texts_of(words.bloom) if words.bloom else []
    for copies in words.copies if texts else []:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "in"
            folder.mkdir()
            written = write(folder, texts, copies)
            options = ["--stages", "dedup", "--dedup", "bloom", "--bloom-rate", RATE]
            found, seconds, peak = curate([folder, *options], Path(scratch) / "out")
        held = found["bloom"]["bits"] / 8
        print(
            f"bloom: {written:.1f} MB, {found['bloom']['ngrams']:,} 13-grams: {written / seconds:.1f} MB/s; "
            f"{peak / MIB:.0f} MiB at the peak, {held / MIB:.1f} of them the filter", flush=True,
        )  # fmt: skip


def measure(path: Path) -> tuple[int, float]:
    """The pages of an input, and their megabytes of HTML or text."""
    pieces = [piece for part in plan_parts(find_sources([path])) for piece in part]
    pages = [page for piece in pieces for page in read_slice(piece, Reading()) if isinstance(page, Page)]
    return len(pages), sum(len(page.html or (page.text or "").encode()) for page in pages) / 1e6


def write(folder: Path, texts: list[str], copies: int) -> float:
    """Copies with their words renamed, each in a file of its own; their megabytes."""
    size = 0.0
    every = renamed(texts, copies)
    for number in range(copies):
        some = [next(every) for _ in texts]
        size += megabytes(some)
        rows = "".join(json.dumps({"text": text}) + "\n" for text in some)
        (folder / f"{number:04d}.jsonl").write_text(rows, encoding="utf-8")
    return size


def curate(words: Sequence[str | Path], out: Path) -> tuple[dict, float, int]:
    """What the command reports, its CPU seconds, and its resident bytes at the peak."""
    command = [
        sys.executable,
        "-m",
        "vlmkit",
        "curate",
        *map(str, words),
        "--workers",
        "1",
        "--out",
        str(out),
        "--json",
    ]
    with (out.parent / "report.json").open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL, env={**os.environ, **ONE_THREAD})
        _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} ended with status {status}")
    return json.loads((out.parent / "report.json").read_text()), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


if __name__ == "__main__":
    main()
