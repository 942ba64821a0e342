"""Patch-Fool: change a few patches where a model's attention is, ask it again, save."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.attack.outcome import FOOLED, ROBUST, WRONG
from vlmkit.core.attack.patch_fool import most_attended, patch_fool
from vlmkit.core.attack.randomness import keys_of
from vlmkit.core.attack.shares import share
from vlmkit.core.configs.attack_patch_fool import AttackPatchFoolConfig
from vlmkit.core.io.job import Job, Result, open_job
from vlmkit.core.io.progress import progress
from vlmkit.core.io.tables import write_table
from vlmkit.core.io.tensors import save_tensors
from vlmkit.core.recipes.attack_parts import Exam, open_exam
from vlmkit.core.recipes.attack_patch_fool_page import shown, write_page
from vlmkit.core.recipes.attack_study import CHANGES, PAGE, TABLE, clean_right, kept, oracle_of, pieces

Piece = tuple[np.ndarray, dict[str, Tensor]]


def run(config: AttackPatchFoolConfig) -> Result:
    """Tell how far a model leans on single patches."""
    job = open_job(config)
    if job.stored:
        return shown(job.stored)
    exam = open_exam(config, config.model, config.images)
    for group in exam.groups:
        most_attended(exam.model, exam.stack(group[:1], exam.device)[0], max(config.patches))
    clean = clean_right(exam, config.batch_size)
    if config.dry_run:
        return Result({"plan": {"images": len(clean), "patches": list(config.patches), "steps": config.steps}})
    job.begin()
    found: dict[int, list[Piece]] = {}
    for count in config.patches:
        some = enumerate(pieces(exam, config))
        found[count] = [(group, piece(job, config, exam, clean, group, number_, count)) for number_, group in some]
        progress("patches", len(found), len(config.patches), "counts")
    rows = [row for count in config.patches for row in rows_of(exam, clean, found[count], count)]
    values = measured(config, rows, clean)
    write_table(job.folder / TABLE, rows, kind="patched")
    save_tensors(job.folder / CHANGES, changes_of(exam, found))
    write_page(job, exam, values, found[max(config.patches)], clean)
    return shown(job.finish(values, logs=[PAGE], next=f"vlmkit inspect {job.folder}"))


def piece(
    job: Job, config: AttackPatchFoolConfig, exam: Exam, clean: np.ndarray, group: np.ndarray, number_: int, count: int
) -> dict[str, Tensor]:
    """A piece of the images: patches (N, k), fooled, steps, prediction (N,), change (N, C, Y, X); only what is right as
    it is, is attacked."""

    def make() -> dict[str, Tensor]:
        x, y, ids = exam.stack(group, exam.device)
        keys = keys_of(ids, seed=config.seed, what="patch-fool").to(exam.device)
        right = torch.from_numpy(clean[group]).to(exam.device)
        made = {
            "patches": torch.zeros(len(x), count, dtype=torch.int64), "fooled": torch.zeros(len(x), dtype=torch.bool),
            "steps": torch.zeros(len(x), dtype=torch.int64), "change": torch.zeros_like(x, device="cpu"),
        }  # fmt: skip
        if right.any():
            found = patch_fool(
                exam.model, x[right], y[right], keys[right], num_patches=count, num_steps=config.steps,
                lanes=config.batch_size,
            )  # fmt: skip
            at = right.cpu()
            made["patches"][at], made["fooled"][at], made["steps"][at] = (
                found.patches.cpu(), found.fooled.cpu(), found.steps.cpu()
            )  # fmt: skip
            made["change"][at] = (found.points - x[right]).cpu()
        oracle = oracle_of(exam, group)
        seen = (x + made["change"].to(x.device)).clamp(0, 1).split(config.batch_size)
        made["prediction"] = torch.cat([oracle.logits(some).argmax(1) for some in seen]).cpu()
        made["fooled"] &= made["prediction"] != y.cpu()
        return made

    return kept(job.state / f"{number_}-{count}.safetensors", make)


def rows_of(exam: Exam, clean: np.ndarray, some: list[Piece], count: int) -> list[dict[str, Any]]:
    """A row for each image; `row` is its place in the tensor of its shape and count."""
    held: dict[int, dict[str, Any]] = {}
    for group in exam.groups:
        mine = [one for one in some if one[0][0] in group]
        places = [(int(place), part, at) for part_group, part in mine for at, place in enumerate(part_group)]
        for row, (place, part, at) in enumerate(places):
            status = (FOOLED if part["fooled"][at] else ROBUST) if clean[place] else WRONG
            held[place] = {
                "id": exam.pictures.ids[place], "label": int(exam.pictures.labels[place]), "count": count,
                "status": status, "patches": part["patches"][at].tolist() if clean[place] else [],
                "steps": int(part["steps"][at]), "prediction": int(part["prediction"][at]), "row": row,
            }  # fmt: skip
    return [held[place] for place in sorted(held)]


def changes_of(exam: Exam, found: dict[int, list[Piece]]) -> dict[str, Tensor]:
    """The changes by number of patches and, where there are several, shape."""
    tensors = {}
    for count, some in found.items():
        for group in exam.groups:
            shape = exam.pictures.pixels[group[0]].shape
            name = f"{count}" if len(exam.groups) == 1 else f"{count}.{'x'.join(map(str, shape))}"
            tensors[name] = torch.cat([part["change"] for _, part in some if part["change"].shape[1:] == shape])
    return tensors


def measured(config: AttackPatchFoolConfig, rows: list[dict[str, Any]], clean: np.ndarray) -> dict[str, object]:
    """The keys of --json."""
    told = []
    for count in config.patches:
        mine = [row for row in rows if row["count"] == count]
        left = share(np.array([row["status"] == ROBUST for row in mine]))
        fooled = [row["steps"] for row in mine if row["status"] == FOOLED]
        steps = float(np.median(fooled)) if fooled else None
        told.append({"patches": count, "fooled": len(fooled) / max(int(clean.sum()), 1), **left, "median_steps": steps})
    return {"clean_accuracy": float(clean.mean()), "n": len(clean), "patched": told, "steps": config.steps}
