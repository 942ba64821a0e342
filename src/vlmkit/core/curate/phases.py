"""Phases of a recipe: what becomes of pages at a step that compares them all, and the steps after it.

When all parts are done up to a comparison, it is judged over them in their order; then each part goes on, from the
pages that it holds to the next comparison or the end. A part of a later phase holds all that earlier ones dropped of
it, so that the last phase has everything, and a phase is thrown away when the next is done.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from vlmkit.core.curate.assemble import unique_ids, warn_of_ids, with_endings
from vlmkit.core.curate.compare import Comparison, Marks, joined
from vlmkit.core.curate.parts import HELD, Bench, Done, find_done, leave_done, values_of, work_on
from vlmkit.core.curate.work import Dropped, Kept, Settings, Tally, Worker, dropped_row
from vlmkit.core.errors import RunError
from vlmkit.core.io.files import remove
from vlmkit.core.io.progress import log
from vlmkit.core.io.sources import Part
from vlmkit.core.io.tables import iter_rows, read_tables


@dataclass(frozen=True)
class Task:
    """A part to go on with: the phase; for its units (n,) whether they are kept; the id that a page repeats which keeps
    none; and the endings of ids that occurred before, of waiting and of dropped rows. Rows are counted in the part."""

    phase: int
    kept: np.ndarray
    repeats: dict[int, str]
    endings: dict[int, str]
    drop_endings: dict[int, str]


@dataclass(frozen=True)
class Work:
    """What is to be done of a phase: the settings, the folder of the parts of each phase, and a task for each part."""

    settings: Settings
    folders: list[Path]
    phase: int
    tasks: Sequence[Part | Task]

    @property
    def root(self) -> Path:
        """The folder of the parts of this phase."""
        return self.folders[self.phase]

    def left(self) -> list[int]:
        """The numbers of the parts that are not done."""
        return [number for number in range(len(self.tasks)) if find_done(self.root, number) is None]

    @staticmethod
    def do(bench: Bench, number: int, task: Part | Task) -> Tally:
        """Do one part."""
        return go_on(bench, number, task) if isinstance(task, Task) else work_on(bench, number, task)


def phase_folders(worker: Worker, state: Path) -> list[Path]:
    """The folder of the parts of each phase; that of the last is where the parts of a recipe without phases lie."""
    before = range(len(comparisons_of(worker)))
    return [*(state / "phases" / str(phase) for phase in before), state / "parts"]


def comparisons_of(worker: Worker) -> list[Comparison]:
    """The comparisons that end the phases, all but the last."""
    return worker.kitchen.comparisons if worker.kitchen else []


def last_done(folders: Sequence[Path], count: int) -> tuple[int, list[Done]]:
    """The latest phase of which all parts are done, with them, and no earlier ones on the disk; before the first, -1
    and none."""
    for phase in reversed(range(len(folders))):
        found = [find_done(folders[phase], number) for number in range(count)] if folders[phase].is_dir() else []
        done = [one for one in found if one is not None]
        if count and len(done) == count:
            for folder in folders[:phase]:
                remove(folder)
            return phase, done
    return -1, []


def tasks_after(worker: Worker, done: Sequence[Done], phase: int) -> list[Task]:
    """What is left to do of each part when all are done up to the end of a phase: the tasks of the one after it."""
    comparison = comparisons_of(worker)[phase]
    marks = joined([marks_in(part) for part in done])
    leader = comparison.judge(marks)
    kept = leader == np.arange(len(leader))
    owner = np.repeat(np.arange(len(marks.counts)), marks.counts)
    left = np.bincount(owner[kept], minlength=len(marks.counts))
    gone = np.flatnonzero((left == 0) & (marks.counts > 0))
    partner = owner[leader[(np.cumsum(marks.counts) - marks.counts)[gone]]]
    what = f"exact_dedup of {comparison.content_key}"
    log.info("%s: %d of %d units repeat others; %d pages have none left", what, (~kept).sum(), len(kept), len(gone))
    endings, drop_endings, given = unique_ids(done)
    warn_of_ids(given)
    names = {row: f"{name}{endings.get(row, '')}" for row, name in values_of(done, np.unique(partner), "id")}
    repeats = dict(zip(gone.tolist(), (names[row] for row in partner.tolist()), strict=True))
    return list(cut(done, phase + 1, kept, repeats, endings, drop_endings))


def cut(
    done: Sequence[Done], phase: int, kept: np.ndarray, repeats: dict[int, str], endings: dict[int, str],
    drop_endings: dict[int, str],
) -> Iterator[Task]:  # fmt: skip
    """Tasks for each part from what is known of all rows."""
    row = drop_row = unit = 0
    for part in done:
        units, drops = int(part.array("counts").sum()), len(part.array("drop_ids"))
        yield Task(
            phase, kept[unit : unit + units].copy(), inside(repeats, row, part.kept), inside(endings, row, part.kept),
            inside(drop_endings, drop_row, drops),
        )  # fmt: skip
        row, drop_row, unit = row + part.kept, drop_row + drops, unit + units


def inside(values: dict[int, str], start: int, count: int) -> dict[int, str]:
    """The values of `count` rows from `start` on, counted from there."""
    return {row - start: values[row] for row in range(start, start + count) if row in values}


def marks_in(part: Done) -> Marks:
    """The marks of the pages that a part holds."""
    chosen = part.array("selection") if (part.folder / "selection.npy").is_file() else None
    return Marks(part.array("units"), part.array("counts"), chosen)


def go_on(bench: Bench, number: int, task: Task) -> Tally:
    """Take the pages that a part holds through the next phase, and leave it done; its tally.

    Raises:
        RunError: the part as the phase before left it is not there any more.
    """
    before = find_done(bench.folders[task.phase - 1], number)
    if before is None:
        folder = bench.folders[task.phase - 1]
        raise RunError(f"part {number} is damaged", where=str(folder), fix="run the same command again")
    tally = before.tally
    found = held_pages(bench.worker, before, task, tally)
    return leave_done(bench, number, task.phase, found, tally, before=before, carried=carried(before, task))


def carried(part: Done, task: Task) -> Iterator[pa.Table]:
    """What earlier phases dropped of a part."""
    row = 0
    for path in part.files("dropped"):
        table = read_tables(path)
        yield with_endings(table, row, task.drop_endings)
        row += table.num_rows


def held_pages(worker: Worker, part: Done, task: Task, tally: Tally) -> Iterator[Kept | Dropped]:
    """The pages that a part holds, each settled by the comparison and taken through the steps after it."""
    assert worker.kitchen is not None
    comparison, column = worker.kitchen.comparisons[task.phase - 1], worker.kitchen.compared[task.phase - 1]
    ends, given, origins = np.cumsum(part.array("counts")), part.array("given"), part.array("origins")
    rows = iter_rows(part.files("kept"), batch=256) if part.kept else iter(())
    for number, row in enumerate(rows):
        page = json.loads(str(row.pop(HELD)))
        row["id"] = page["id"] = f"{row['id']}{task.endings.get(number, '')}"
        units = task.kept[ends[number] - part.array("counts")[number] : ends[number]]
        drop = comparison.settle(page, units)
        notes = {column: float(drop is None)}
        if drop is not None:
            tally.drop("heuristics", drop.rule)
            yield Dropped(dropped_row(row, "heuristics", drop, matched_id=task.repeats.get(number)), notes)
        else:
            kept = Kept(row, bool(given[number]), str(origins[number]), notes=notes)
            yield worker.cook(kept, page, tally, phase=task.phase)
            worker.note_differing(tally)
