"""Frequencies: attack, cut the changes into bands, ask the model about each, save."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.bands import BANDS, cutoff_of, right_without
from vlmkit.core.attack.spectrum import confined, measured, spectrum
from vlmkit.core.configs.attack_spectrum import AttackSpectrumConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.html import percent
from vlmkit.core.io.job import Job, Result, open_job
from vlmkit.core.io.progress import log, progress
from vlmkit.core.io.tables import write_table
from vlmkit.core.io.tensors import save_tensors
from vlmkit.core.recipes.attack_parts import Exam, code_of, open_exam
from vlmkit.core.recipes.attack_spectrum_page import write_page
from vlmkit.core.recipes.attack_study import ATTACKS, CHANGES, TABLE, clean_right, kept, oracle_of, pieces

Piece = tuple[np.ndarray, dict[str, Tensor]]


def run(config: AttackSpectrumConfig) -> Result:
    """Tell which frequencies fool a classifier."""
    job = open_job(config, code=code_of([config.model]))
    if job.stored:
        return shown(job.stored)
    exam = open_exam(config, config.model, config.images)
    cuts = cutoffs(exam, config.cutoff)
    if min(cuts) == 1:
        log.warning("the cut-off is 1: the low band is the mean of each channel alone; --cutoff takes more")
    clean = clean_right(exam, config.batch_size)
    if config.dry_run:
        return Result({"plan": {"images": len(clean), "radii": list(config.radii), "cutoffs": sorted(set(cuts))}})
    job.begin()
    some = pieces(exam, config)
    bare = [(group, without(job, config, exam, group, number, cuts)) for number, group in enumerate(some)]
    found: dict[float, list[Piece]] = {}
    for eps in config.radii:
        found[eps] = [(group, piece(job, config, exam, group, number, eps, cuts)) for number, group in enumerate(some)]
        progress("frequencies", len(found), len(config.radii), "radii")
    values = measured(config.norm, clean, found, bare, cuts)
    rows = [row for eps in config.radii for row in rows_of(config, exam, eps, found[eps], cuts)]
    write_table(job.folder / TABLE, rows, kind="spectrum")
    write_tensors(job, exam, found)
    logs = write_page(job, exam, values, found)
    return shown(job.finish(values, logs=logs, next=f"vlmkit inspect {job.folder}"))


def cutoffs(exam: Exam, given: int | None) -> list[int]:
    """The cut-off of each image."""
    sides = [min(one.shape[1:]) for one in exam.pictures.pixels]
    if given is not None and given >= min(sides):
        raise InputError(
            f"--cutoff {given} leaves no high band of images of {min(sides)} pixels", where="--cutoff",
            fix=f"at most {min(sides) - 1}, or leave it out",
        )  # fmt: skip
    return [given or cutoff_of(*one.shape[1:]) for one in exam.pictures.pixels]


def piece(
    job: Job, config: AttackSpectrumConfig, exam: Exam, group: np.ndarray, number: int, eps: float, cuts: list[int]
) -> dict[str, Tensor]:
    """A piece of the images at a radius."""
    ball = BALLS[config.norm]

    def make() -> dict[str, Tensor]:
        oracle, (x, y, ids) = oracle_of(exam, group), exam.stack(group, exam.device)
        how: dict[str, Any] = {"eps": eps, "cutoff": cuts[group[0]], "lanes": config.batch_size, "seed": config.seed}
        made = spectrum(oracle, x, y, ids, ATTACKS[config.attack](ball), **how)
        return made | (confined(oracle, x, y, ids, ball, **how) if config.confined else {})

    return kept(job.state / f"{number}-{eps!r}.safetensors", make)


def without(
    job: Job, config: AttackSpectrumConfig, exam: Exam, group: np.ndarray, number: int, cuts: list[int]
) -> dict[str, Tensor]:
    """Which images of a piece are right without a band of their own."""

    def make() -> dict[str, Tensor]:
        x, y, _ = exam.stack(group, exam.device)
        found = right_without(oracle_of(exam, group), x, y, cuts[group[0]], lanes=config.batch_size)
        return {str(band): one for band, one in found.items()}

    return kept(job.state / f"{number}-images.safetensors", make)


def rows_of(
    config: AttackSpectrumConfig, exam: Exam, eps: float, parts: list[Piece], cuts: list[int]
) -> list[dict[str, object]]:
    """A row for each image at a radius."""
    held = {}
    for group, part in parts:
        sizes = BALLS[config.norm].size(part["change"])
        for at, place in enumerate(group.tolist()):
            row: dict[str, object] = {"id": exam.pictures.ids[place], "label": int(exam.pictures.labels[place])}
            row |= {"norm": config.norm, "eps": eps, "cutoff": cuts[place], "size": float(sizes[at])}
            for name, one in part.items():
                if name.startswith(("right/", "energy/")):
                    row[name.replace("/", "_").replace(" ", "_").replace("-", "_")] = one[at].item()
            held[place] = row
    return [held[place] for place in sorted(held)]


def write_tensors(job: Job, exam: Exam, found: dict[float, list[Piece]]) -> None:
    """Write the changes, and the energy of each ring and coefficient on the mean; a tensor a radius and shape."""
    changes: dict[str, Tensor] = {}
    spectra: dict[str, Tensor] = {}
    for eps, parts in found.items():
        for group in exam.groups:
            shape = exam.pictures.pixels[group[0]].shape
            mine = [part for _, part in parts if part["change"].shape[1:] == shape]
            name = f"{eps!r}" if len(exam.groups) == 1 else f"{eps!r}.{'x'.join(map(str, shape))}"
            changes[name] = torch.cat([part["change"] for part in mine])
            spectra[f"radial.{name}"] = torch.cat([part["radial"] for part in mine]).nanmean(0)
            spectra[f"plane.{name}"] = torch.cat([part["plane"] for part in mine]).mean(0)
    save_tensors(job.folder / CHANGES, changes)
    save_tensors(job.folder / "spectra.safetensors", spectra)


def shown(result: Result) -> Result:
    """The result as people read it."""
    values: dict[str, Any] = dict(result.values)
    if "bands" not in values:
        return result
    table: dict[tuple[str, float], dict[str, object]] = {}
    for one in values["bands"]:
        row = table.setdefault((one["norm"], one["eps"]), {"norm": one["norm"], "eps": one["eps"]})
        if not one["change"].startswith("without"):
            row[one["change"]] = percent(one["accuracy"])
    told = {
        "clean accuracy": percent(values["clean_accuracy"]), "cut-off": values["cutoff"],
        "accuracy with each band of the change": list(table.values()),
        "accuracy without a band of the image": {one["without"]: percent(one["accuracy"]) for one in values["image"]},
        "energy of the change": {one["band"]: percent(one["share"]) for one in values["energy"][-len(BANDS) :]},
    }  # fmt: skip
    return replace(result, shown=told | ({"page": str(result.artifact / "report.html")} if result.artifact else {}))
