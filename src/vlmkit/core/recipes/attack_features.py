"""Features: attack classifiers, look at what their layers make of images before and after, save."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.curve import Subject, measure
from vlmkit.core.attack.ends import ends
from vlmkit.core.attack.features import BANDS, correlations, hidden, layers, maps
from vlmkit.core.attack.shares import mean, share, spread
from vlmkit.core.attack.suites import fast
from vlmkit.core.configs.attack_features import AttackFeaturesConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.job import Job, Result, open_job
from vlmkit.core.io.progress import progress
from vlmkit.core.io.tables import write_table
from vlmkit.core.recipes.attack_features_page import shown, write_page
from vlmkit.core.recipes.attack_parts import Exam, code_of
from vlmkit.core.recipes.attack_study import ATTACKS, TABLE, clean_right, kept, names_of, open_exams, oracle_of, pieces

Piece = tuple[np.ndarray, dict[str, Tensor]]


def run(config: AttackFeaturesConfig) -> Result:
    """Look at the features of classifiers."""
    job = open_job(config, code=code_of(config.models))
    if job.stored:
        return shown(job.stored)
    exams = open_exams(config, config.models, config.images)
    for exam in exams:
        check_layer(exam, config.layer)
    names = names_of(config.models)
    clean = [clean_right(exam, config.batch_size) for exam in exams]
    if config.dry_run:
        return Result({"plan": {"models": names, "images": len(clean[0]), "radius": config.radii[0]}})
    job.begin()
    found: list[list[Piece]] = []
    for number, exam in enumerate(exams):
        some = enumerate(pieces(exam, config))
        found.append([(group, piece(job, config, exam, group, f"{number}-{at}")) for at, group in some])
        progress("features", len(found), len(exams), "models")
    models = [model_told(*some, config) for some in zip(names, clean, found, strict=True)]
    share_, robust, bands = ([one[key] for one in models] for key in ("low_share", "robust_accuracy", "bands"))
    by_band = [{"band": at + 1, **correlations([one[at] for one in bands], robust)} for at in range(BANDS)]
    values: dict[str, object] = {
        "models": models, "correlation": correlations(share_, robust), "correlation_by_band": by_band,
        "layer": config.layer,
        "norm": config.norm, "eps": config.radii[0], "n": len(clean[0]),
    }  # fmt: skip
    rows = [row for name, exam, some in zip(names, exams, found, strict=True) for row in rows_of(name, exam, some)]
    write_table(job.folder / TABLE, rows, kind="features")
    logs = write_page(job, config, exams, values, [some[0] for some in found])
    return shown(job.finish(values, logs=logs, next=f"vlmkit inspect {job.folder}"))


def check_layer(exam: Exam, layer: int) -> None:
    """Refuse a layer that a model does not have, and a model that shows none."""
    x, _, _ = exam.stack(exam.groups[0][:1], exam.device)
    count = len(hidden(exam.model, x))
    if layer >= count:
        raise InputError(
            f"the model shows {count} layers, 0 to {count - 1}", where=f"--layer {layer}, {exam.model.where}",
            fix=f"--layer {min(layer, count - 1)}",
        )  # fmt: skip


def piece(job: Job, config: AttackFeaturesConfig, exam: Exam, group: np.ndarray, name: str) -> dict[str, Tensor]:
    """A piece of the images for a model: `low`, `drift` (N, L), `robust` (N,), `sizes` (L, 2), `white` (L,), of the
    early layer `bands` (N, BANDS), and its maps for the first images, before and after (n, C, y, x)."""
    (eps,), ball = config.radii, BALLS[config.norm]

    def make() -> dict[str, Tensor]:
        oracle, (x, y, ids) = oracle_of(exam, group), exam.stack(group, exam.device)
        how: dict[str, Any] = {"lanes": config.batch_size, "seed": config.seed}
        points = ends(ATTACKS[config.attack](ball), oracle, x, y, ids, eps=eps, **how).last
        some = layers(exam.model, x, points, lanes=config.batch_size)
        subject = Subject.of(oracle, x, y, ids, ball, lanes=config.batch_size)
        assert exam.model.num_classes is not None
        measure(subject, fast(ball, exam.model.num_classes), [eps], few=0, **how)
        return {
            "low": torch.stack([one.low_share for one in some], dim=1), "robust": subject.robust(eps),
            "drift": torch.stack([one.drift for one in some], dim=1),
            "sizes": torch.tensor([[one.rows, one.columns] for one in some]),
            "white": torch.tensor([one.white for one in some]),
            "bands": some[config.layer].bands,
            "before": early(exam, x[: config.shown], config.layer), "points": points[: config.shown],
            "after": early(exam, points[: config.shown], config.layer),
        }  # fmt: skip

    return kept(job.state / f"{name}.safetensors", make)


def early(exam: Exam, x: Tensor, layer: int) -> Tensor:
    """Maps (n, C, y, x) of a layer."""
    if not len(x):
        return torch.zeros(0, 1, 1, 1)
    height, width = exam.model.view(x[:1]).shape[2:]
    return maps(hidden(exam.model, x)[layer], height, width)


def model_told(name: str, clean: np.ndarray, some: list[Piece], config: AttackFeaturesConfig) -> dict[str, Any]:
    """What is told of a model."""
    low, drift, bands = (spread([(group, one[key]) for group, one in some]) for key in ("low", "drift", "bands"))
    robust = share(spread([(group, one["robust"]) for group, one in some]))
    first = some[0][1]
    kinds = zip(first["sizes"].tolist(), first["white"].tolist(), strict=True)
    told = [
        {
            "layer": at, "low_share": mean(low[:, at]), "white": None if np.isnan(white) else white,
            "drift": mean(drift[:, at]), "rows": rows, "columns": columns,
        }
        for at, ((rows, columns), white) in enumerate(kinds)
    ]  # fmt: skip
    early_ = told[config.layer]
    return {
        "name": name, "clean_accuracy": float(clean.mean()), "robust_accuracy": robust["accuracy"],
        "robust_low": robust["low"], "robust_high": robust["high"], "low_share": early_["low_share"],
        "white": early_["white"], "bands": [mean(bands[:, at]) for at in range(BANDS)], "layers": told,
    }  # fmt: skip


def rows_of(name: str, exam: Exam, some: list[Piece]) -> list[dict[str, object]]:
    """A row for each layer and image of a model."""
    low, drift, robust = (spread([(group, one[key]) for group, one in some]) for key in ("low", "drift", "robust"))
    return [
        {
            "model": name, "layer": layer, "id": one, "drift": float(drift[row, layer]), "robust": bool(robust[row]),
            "low_share": None if np.isnan(low[row, layer]) else float(low[row, layer]),
        }
        for layer in range(low.shape[1])
        for row, one in enumerate(exam.pictures.ids)
    ]  # fmt: skip
