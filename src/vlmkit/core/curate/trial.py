"""A sample of pages through the stages, written where nobody looks, and what is then known of the whole input."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmkit.core.curate import minhash
from vlmkit.core.curate.estimate import Counts
from vlmkit.core.curate.parts import Done, Rows, texts_of
from vlmkit.core.curate.work import Tally, Worker, total
from vlmkit.core.io.sample import Sample
from vlmkit.core.io.tables import iter_rows

MARK = "/"  # between the number of a stretch and the id of its page
REST = ""  # what follows and belongs to no stage: the writing of tables


@dataclass(frozen=True)
class Folders:
    """Where a trial writes."""

    folder: Path
    state: Path


@dataclass(frozen=True)
class Trial:
    """What came of a sample of `pages`: the tally, the pages left in each stretch after each stage (S,), tokens,
    n-grams for the Bloom filter, and bytes by what they are. Seconds of each stage: on single pages, and in what
    follows, for the first `half` of the pages and for all."""

    tally: Tally
    left: dict[str, np.ndarray]
    tokens: int | None
    ngrams: int
    sizes: dict[str, int]
    half: int
    pages: int
    apart: dict[str, float]
    after_half: dict[str, float]
    after_all: dict[str, float]

    def seconds(self, stage: str, pages: float) -> tuple[float, float]:
        """Seconds that a stage takes for so many pages: on single pages, which many processes share, and afterwards.

        What follows takes a fixed time and one for each page, told apart by the half and the whole of the sample.
        """
        half, every = self.after_half.get(stage, 0.0), self.after_all.get(stage, 0.0)
        a_page = every / self.pages
        if self.pages > self.half:
            a_page = min(max((every - half) / (self.pages - self.half), 0.0), a_page)
        after = every + a_page * (pages - self.pages)
        return self.apart.get(stage, 0.0) * pages / self.pages, after


def work(worker: Worker, sample: Sample, numbers: Sequence[int], folder: Path) -> Done:
    """Take some stretches of a sample through the stages that look at one page, as one part; ids name the stretch."""
    rows, tally = Rows(folder, worker.settings), Tally()
    for number in numbers:
        for page in worker.pages(sample.stretches[number].pages, tally):
            found = worker.alone(page, tally)
            found.row["id"] = f"{number}{MARK}{found.row['id']}"
            rows.add(found, tally)
    rows.close()
    return Done(folder, rows.count, tally)


def attempt(
    worker: Worker, sample: Sample, root: Path, stages: Sequence[str], *,
    assemble: Callable[[list[Done], Folders, Tally], int], tokenize: Callable[[Folders, Tally], int] | None,
) -> Trial:  # fmt: skip
    """All stages on a sample: `assemble` writes the tables and gives the number of documents, `tokenize` the tokens."""

    def finish(done: list[Done], name: str) -> tuple[Folders, Tally, int | None, dict[str, float]]:
        folders, tally = Folders(root / name, root / f"{name}-state"), total(one.tally for one in done)
        apart, begun = dict(tally.seconds), time.perf_counter()
        documents = assemble(done, folders, tally)
        tokens = tokenize(folders, tally) if tokenize and documents else None
        after = {stage: tally.seconds[stage] - apart.get(stage, 0.0) for stage in tally.seconds}
        return folders, tally, tokens, after | {REST: time.perf_counter() - begun - sum(after.values())}

    for stretch in sample.stretches[:1]:  # what is loaded and compiled at first use
        list(worker.pages(stretch.pages[:1], Tally()))
    numbers = range(len(sample.stretches))
    parts = [work(worker, sample, numbers[first::2], root / f"parts/{first}") for first in range(2)]
    after_half = finish(parts[:1], "half")[-1]
    folders, tally, tokens, after_all = finish(parts, "all")
    apart = total(one.tally for one in parts).seconds
    sizes = {name: size_of(folders.folder / name, "part-*.parquet") for name in ("documents", "dropped", "ledger")}
    sizes["tokens"] = size_of(folders.folder / "tokens", "*.safetensors")
    sizes["state"] = size_of(root / "parts", "*/*") + size_of(folders.state, "*/**/*")
    if "minhash" in worker.settings.dedup:  # of the pages that are like another one, which are all at most
        every = texts_of(parts, np.arange(sum(one.kept for one in parts)))
        sizes["state"] += sum(8 * len(minhash.shingles(text)) for _, text in every)
    counts = [sum(len(sample.stretches[number].pages) for number in some) for some in (numbers[::2], numbers)]
    ngrams = sum(int(one.array("ngrams").sum()) for one in parts) if "bloom" in worker.settings.dedup else 0
    left = pages_left(folders.folder, stages, len(numbers))
    return Trial(tally, left, tokens, ngrams, sizes, counts[0], counts[1], apart, after_half, after_all)


def size_of(folder: Path, pattern: str) -> int:
    """Bytes of the files of a pattern."""
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())


def pages_left(folder: Path, stages: Sequence[str], count: int) -> dict[str, np.ndarray]:
    """How many pages of each of so many stretches are left after each stage (S,), from the tables."""
    gone: Counter[tuple[str, int]] = Counter()
    every = np.zeros(count)
    for name in ("documents", "dropped"):
        columns = ["id", "step"] if name == "dropped" else ["id"]
        for row in iter_rows(folder / name, columns=columns):
            stretch = int(str(row["id"]).partition(MARK)[0])
            every[stretch] += 1
            if name == "dropped":
                gone[str(row["step"]), stretch] += 1
    found = {}
    for stage in stages:
        every = every - np.array([gone[stage, number] for number in range(count)])
        found[stage] = every
    return found


def counts_of(sample: Sample) -> Counts:
    """The stretches of a sample as numbers."""
    pages = np.array([len(one.pages) for one in sample.stretches], float)
    return Counts(pages, np.array([one.weight for one in sample.stretches]), sample.error)
