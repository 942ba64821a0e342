"""How fast the heuristics of DCLM-Baseline are on one core, beside `wc -w`: `python benchmarks/heuristics.py INPUT`.

INPUT is what `vlmkit curate` reads as text (JSON Lines, parquet, text). All documents go through the chain, compiled
and (in a process of its own) plain; seconds are CPU seconds, the best of some rounds. Prints MB/s and ratios.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from vlmkit.core.curate.operations import Setting
from vlmkit.core.curate.recipe import BASELINE, Kitchen
from vlmkit.core.curate.rules import judged
from vlmkit.core.io.sources import find_sources, plan_parts
from vlmkit.core.io.web import Page, Reading, read_slice

ROUNDS = 3


def texts_of(path: Path) -> list[str]:
    """The texts of an input."""
    pieces = [piece for part in plan_parts(find_sources([path])) for piece in part]
    pages = (page for piece in pieces for page in read_slice(piece, Reading()) if isinstance(page, Page))
    return [page.text for page in pages if page.text]


def wc(texts: list[str]) -> float:
    """CPU seconds of `wc -w` on the texts."""
    with tempfile.NamedTemporaryFile("wb") as file:
        file.write("\n".join(texts).encode("utf-8", "replace"))
        file.flush()
        found = []
        for _ in range(ROUNDS):
            before = os.times()
            subprocess.run(["wc", "-w", file.name], stdout=subprocess.DEVNULL, check=True)
            after = os.times()
            found.append(after.children_user + after.children_system - before.children_user - before.children_system)
        return min(found)


def chain(texts: list[str]) -> tuple[float, int, Counter[str]]:
    """CPU seconds of the chain, how many documents it keeps, and seconds by operation (wall, of the last round)."""
    kitchen = Kitchen(BASELINE, Setting())
    found, kept, spent = [], 0, Counter[str]()
    for _ in range(ROUNDS):
        begun, kept = time.process_time(), 0
        for text in texts:
            kept += kitchen({"text": text, "url": "", "metadata": {}}, 0) is None
        found.append(time.process_time() - begun)
    for text in texts:
        page = {"text": text, "url": "", "metadata": {}}
        for step, operation in zip(BASELINE, kitchen.operations, strict=True):
            begun = time.perf_counter()
            dropped = judged(operation(page))
            spent[step.func] += time.perf_counter() - begun
            if dropped is not None:
                break
    return min(found), kept, spent


def main() -> None:
    """Print figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("--plain", action="store_true", help="only the chain, as this process runs it")
    words = parser.parse_args()
    texts = texts_of(words.input)
    size = sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6
    seconds, kept, spent = chain(texts)
    if words.plain:
        print(seconds)
        return
    print(f"{len(texts):,} documents, {size:.1f} MB, {kept:,} kept")
    reference = wc(texts)
    plain = subprocess.run(
        [sys.executable, __file__, str(words.input), "--plain"], env={**os.environ, "VLMKIT_KERNELS": "off"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    slow = float(plain.stdout)
    print(f"wc -w    {size / reference:8.1f} MB/s")
    print(f"compiled {size / seconds:8.1f} MB/s  {reference / seconds:.3f} x wc -w  {slow / seconds:.1f} x plain")
    print(f"plain    {size / slow:8.1f} MB/s  {reference / slow:.3f} x wc -w")
    for name, value in spent.most_common(8):
        print(f"  {name:34} {value * 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
