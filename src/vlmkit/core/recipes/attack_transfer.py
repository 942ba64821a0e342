"""Transfer: attack each classifier once, ask all of them about what came of it, save."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.shares import share, spread
from vlmkit.core.attack.transfer import carried, transfers
from vlmkit.core.configs.attack_transfer import AttackTransferConfig
from vlmkit.core.io.job import Job, Result, open_job
from vlmkit.core.io.progress import progress
from vlmkit.core.io.tables import write_table
from vlmkit.core.io.tensors import save_tensors
from vlmkit.core.recipes.attack_parts import Exam, code_of
from vlmkit.core.recipes.attack_study import (
    ATTACKS,
    TABLE,
    clean_right,
    kept,
    logs_of,
    names_of,
    open_exams,
    oracle_of,
    pieces,
)
from vlmkit.core.recipes.attack_transfer_page import shown, write_page

SHOWN = 4


def run(config: AttackTransferConfig) -> Result:
    """Tell how far changes carry from one classifier to another."""
    job = open_job(config, code=code_of(config.models))
    if job.stored:
        return shown(job.stored)
    exams = open_exams(config, config.models, config.images)
    names = names_of(config.models)
    clean = np.stack([clean_right(exam, config.batch_size) for exam in exams])
    if config.dry_run:
        return Result({"plan": {"models": names, "images": clean.shape[1], "radii": list(config.radii)}})
    job.begin()
    groups = pieces(exams[0], config)
    flags: dict[float, np.ndarray] = {}
    examples: dict[str, Tensor] = {}
    for eps in config.radii:
        found = [(group, piece(job, config, exams, group, number, eps)) for number, group in enumerate(groups)]
        flags[eps] = np.moveaxis(spread([(group, one["right"].movedim(2, 0)) for group, one in found]), 0, 2)
        examples = found[0][1]
        progress("transfer", len(flags), len(config.radii), "radii")
    rows = [row for eps in config.radii for row in rows_of(config, names, flags[eps], clean, eps)]
    values = measured(config, names, rows, clean)
    write_table(job.folder / TABLE, rows, kind="transfer")
    told = {f"{eps!r}": torch.from_numpy(one) for eps, one in flags.items()}
    save_tensors(job.folder / "right.safetensors", told | {"clean": torch.from_numpy(clean)})
    write_page(job, exams[0], values, examples["points"], groups[0])
    return shown(job.finish(values, logs=logs_of("matrix"), next=f"vlmkit inspect {job.folder}"))


def piece(
    job: Job, config: AttackTransferConfig, exams: list[Exam], group: np.ndarray, number: int, eps: float
) -> dict[str, Tensor]:
    """A piece of the images at a radius: `right` (k, k, N), and the first of the points (k, n, C, Y, X)."""

    def make() -> dict[str, Tensor]:
        oracles = [oracle_of(exam, group) for exam in exams]
        stacks = [exam.stack(group, exam.device) for exam in exams]
        x, _, ids = stacks[0]
        attack = ATTACKS[config.attack](BALLS[config.norm])
        labels, lanes = [y for _, y, _ in stacks], config.batch_size
        made = transfers(oracles, x, labels, ids, attack, eps=eps, lanes=lanes, seed=config.seed)
        points, right = zip(*made, strict=True)
        return {"right": torch.stack(right), "points": torch.stack([one[:SHOWN] for one in points])}

    return kept(job.state / f"{number}-{eps!r}.safetensors", make)


def rows_of(
    config: AttackTransferConfig, names: list[str], right: np.ndarray, clean: np.ndarray, eps: float
) -> list[dict[str, Any]]:
    """A row for each source and target at a radius, from which images are right (k, k, N)."""
    found = []
    for source, target in np.ndindex(len(names), len(names)):
        row = {"source": names[source], "target": names[target], "norm": config.norm, "eps": eps}
        row |= {**share(right[source, target]), "carried": carried(right[source], clean, source, target)}
        found.append(row)
    return found


def measured(
    config: AttackTransferConfig, names: list[str], rows: list[dict[str, Any]], clean: np.ndarray
) -> dict[str, object]:
    """The keys of --json: `matrix` is that of the largest radius, a row a source."""
    k, matrices = len(names), []
    for eps in config.radii:
        mine = [row for row in rows if row["eps"] == eps]
        square = {
            key: [[row[key] for row in mine[at : at + k]] for at in range(0, k * k, k)]
            for key in ("accuracy", "carried")
        }
        matrices.append({"norm": config.norm, "eps": eps, **square})
    return {
        "models": names, "matrix": matrices[-1]["accuracy"], "matrices": matrices, "n": clean.shape[1],
        "clean_accuracy": [float(one.mean()) for one in clean], "attack": config.attack,
    }  # fmt: skip
