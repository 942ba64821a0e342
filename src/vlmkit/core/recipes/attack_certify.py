"""Certification: smooth a classifier, bound, save; images that are certified are not asked about again."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from vlmkit.core.attack.oracle import Oracle
from vlmkit.core.attack.randomness import keys_of
from vlmkit.core.attack.shares import share
from vlmkit.core.attack.smoothing import ABSTAINS, certified_right, certify, largest
from vlmkit.core.configs.attack_certify import AttackCertifyConfig
from vlmkit.core.io.job import Job, Result, open_job
from vlmkit.core.io.progress import progress
from vlmkit.core.io.tables import write_table
from vlmkit.core.models.brought import Blame, load_function
from vlmkit.core.recipes.attack_certify_page import shown, write_page
from vlmkit.core.recipes.attack_parts import Exam, code_of, open_exam
from vlmkit.core.recipes.attack_study import TABLE, clean_right, logs_of

Row = dict[str, Any]


def run(config: AttackCertifyConfig) -> Result:
    """Certify a classifier."""
    job = open_job(config, code=code_of([config.model, config.denoiser or ""]))
    if job.stored:
        return shown(job.stored)
    exam = open_exam(config, config.model, config.images)
    denoiser = open_denoiser(config, exam)
    clean = float(clean_right(exam, config.batch_size).mean())
    if config.dry_run:
        passes = (config.n0 + config.samples) * len(exam.pictures.ids) * len(config.sigma)
        return Result({"plan": {"images": len(exam.pictures.ids), "sigma": list(config.sigma), "forwards": passes}})
    job.begin()
    rows = certified(job, config, exam, denoiser)
    values = measured(config, rows, clean)
    write_table(job.folder / TABLE, rows, kind="certified")
    write_page(job, config, values)
    return shown(job.finish(values, logs=logs_of("certified"), next=f"vlmkit inspect {job.folder}"))


def open_denoiser(config: AttackCertifyConfig, exam: Exam) -> Callable[[Tensor], Tensor] | None:
    """The denoiser, if there is one, tried on an image.

    Raises:
        InputError: it fails, or gives no pixels.
    """
    word = config.denoiser
    if word is None:
        return None
    loaded = load_function(word, exam.device, torch.float32)
    if isinstance(loaded, nn.Module):
        loaded.eval()

    def denoise(noisy: Tensor) -> Tensor:
        with Blame(word, f"given pixels {tuple(noisy.shape)}"):
            found: Any = loaded(noisy)
        return found if isinstance(found, Tensor) else torch.as_tensor(found)

    x, _, _ = exam.stack(exam.groups[0][:1], exam.device)
    key = keys_of(["door"], seed=0, what="door")[0].to(exam.device)
    certify(Oracle(exam.model), x[0], key, sigma=config.sigma[0], n0=1, samples=1, denoiser=denoise)
    return denoise


def certified(
    job: Job, config: AttackCertifyConfig, exam: Exam, denoiser: Callable[[Tensor], Tensor] | None
) -> list[Row]:
    """A row for each sigma and image; each is written down as soon as it is known."""
    place = job.state / "certified.jsonl"
    done = known(place.read_bytes()) if place.is_file() else []
    place.write_text("".join(json.dumps(row) + "\n" for row in done), encoding="utf-8")
    ids, total = exam.pictures.ids, len(exam.pictures.ids) * len(config.sigma)
    keys = keys_of(ids, seed=config.seed, what="smoothing").to(exam.device)
    oracle = Oracle(exam.model)
    with place.open("a", encoding="utf-8") as file:
        for number_ in range(len(done), total):
            sigma, row = config.sigma[number_ // len(ids)], number_ % len(ids)
            x = torch.from_numpy(exam.pictures.pixels[row]).to(exam.device)
            found = certify(
                oracle, x, keys[row], sigma=sigma, n0=config.n0, samples=config.samples, alpha=config.alpha,
                lanes=config.batch_size, denoiser=denoiser,
            )  # fmt: skip
            told = {"id": ids[row], "label": int(exam.pictures.labels[row]), "sigma": sigma}
            done.append(told | asdict(found) | {"samples": config.samples})
            file.write(json.dumps(done[-1]) + "\n")
            file.flush()
            progress("certified", len(done), total, "images")
    return [row | {"prediction": None if row["prediction"] == ABSTAINS else row["prediction"]} for row in done]


def known(data: bytes) -> list[Row]:
    """The rows that a killed run left; a line that it did not finish is not one."""
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def measured(config: AttackCertifyConfig, rows: list[Row], clean: float) -> dict[str, object]:
    """The keys of --json."""
    found, told = [], []
    for sigma in config.sigma:
        mine = [row for row in rows if row["sigma"] == sigma]
        given = torch.tensor([ABSTAINS if row["prediction"] is None else row["prediction"] for row in mine])
        radii, y = torch.tensor([row["radius"] for row in mine]), torch.tensor([row["label"] for row in mine])
        found += [
            {"sigma": sigma, "radius": radius, **share(certified_right(given, radii, y, radius))}
            for radius in config.radii_at(sigma)
        ]
        right = radii[given == y]
        told.append(
            {
                "sigma": sigma, "smoothed_accuracy": float((given == y).double().mean()),
                "abstained": float((given == ABSTAINS).double().mean()),
                "mean_radius": float(radii[given == y].sum() / len(y)),
                "median_radius": float(right.median()) if len(right) else None,
                "largest_possible": largest(sigma, config.samples, config.alpha),
            }
        )  # fmt: skip
    return {
        "clean_accuracy": clean, "n": len(rows) // len(config.sigma), "certified": found, "smoothed": told,
        "n0": config.n0, "samples": config.samples, "alpha": config.alpha, "denoiser": config.denoiser is not None,
    }  # fmt: skip
