"""Robust accuracy over radii: load a classifier and images, attack, read back what is claimed, judge, save."""

import numpy as np
import torch

from vlmkit.core.attack.balls import BALLS
from vlmkit.core.attack.evidence import Sign, together
from vlmkit.core.attack.named import rounds_of
from vlmkit.core.attack.outcome import WRONG, Row, added, by_attack, curve_of, per_class
from vlmkit.core.configs.attack import AttackConfig
from vlmkit.core.errors import InputError
from vlmkit.core.io.job import Job, Result, open_job
from vlmkit.core.io.progress import log
from vlmkit.core.recipes.attack_checks import check_chance
from vlmkit.core.recipes.attack_files import reread, shown, write_changes, write_pages
from vlmkit.core.recipes.attack_parts import Exam, code_of, open_exam
from vlmkit.core.recipes.attack_units import Goal, Part, examine, units


def run(config: AttackConfig) -> Result:
    """Measure the robustness of a classifier."""
    job = open_job(config, code=code_of([config.model]))
    if job.stored:
        return shown(job.stored)
    rounds_of(config.suite, config.attacks, next(iter(BALLS.values())), 2)
    exam = open_exam(config, config.model, config.images)
    given, least = clean(exam, config.batch_size)
    asked = exam.model.asked
    exam, given, goal = aimed(exam, given, least, config)
    assert exam.model.num_classes is not None
    check_chance(given, exam.pictures.labels, exam.model.num_classes, exam.model.where)
    if config.dry_run:
        return Result({"plan": plan(config, exam)})
    job.begin()
    parts = {norm: examine(config, exam, norm, goal, job.state) for norm in config.radii}
    return finished(job, config, exam, parts, asked=asked)


def finished(job: Job, config: AttackConfig, exam: Exam, parts: dict[str, list[Part]], *, asked: int) -> Result:
    """Write what was found, read it back, and judge."""
    rows = write_changes(job, exam, parts)
    held = reread(job, exam, config.batch_size)
    claimed = sum(row["status"] == "fooled" for row in rows)
    if held < claimed:
        log.warning("%d of %d changes do not fool the model when they are read back", claimed - held, claimed)
    signs = together([sign for some in parts.values() for part in some for sign in part.signs])
    signs.append(Sign("unverified", claimed - held, claimed))
    count = len(exam.pictures.ids)
    every = [part for some in parts.values() for part in some]
    first = rows[:count]
    values: dict[str, object] = {
        "clean_accuracy": sum(row["status"] != WRONG for row in first) / count,
        "curve": curve_of(rows, config.radii),
        "forwards_per_image": (sum(part.forwards for part in every) + asked + claimed) / count,
        "backwards_per_image": sum(part.backwards for part in every) / count,
        "by_attack": attacks_of(parts, rows),
        "per_class": per_class(rows, config.radii, exam.names),
        "reliable": not any(sign.fired for sign in signs),
        "evidence": [sign.row() for sign in signs],
        "verified": {"claimed": claimed, "held": held},
        "steps": steps_told(parts),
    }
    logs = write_pages(job, config, exam, values, rows)
    then = f"vlmkit attack spectrum {config.model} {config.images} --out spectrum"
    return shown(job.finish(values, logs=logs, next=then))


def attacks_of(parts: dict[str, list[Part]], rows: list[Row]) -> dict[str, Row]:
    """What each attack was worth; with several norms its name begins with the norm."""
    found: dict[str, Row] = {}
    for norm, some in parts.items():
        mine = [row for row in rows if row["norm"] == norm]
        right = sum(row["status"] != WRONG for row in mine)
        for name, entry in by_attack(added([part.done for part in some]), mine, right).items():
            found[name if len(parts) == 1 else f"{norm}/{name}"] = entry
    return found


def steps_told(parts: dict[str, list[Part]]) -> list[Row]:
    """Each step in its order: on how many images an attack was tried at a radius, and how many it fooled."""
    return [
        {"norm": norm, "eps": one.eps, "attack": one.attack, "tried": one.tried, "fooled": one.fooled}
        for norm, some in parts.items()
        for one in added([part.done for part in some])
        if one.attack not in ("nearer", "bisect")
    ]


def clean(exam: Exam, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """The class that the model gives each image as it is, and the one that it holds least likely (N,).

    Raises:
        InputError: its logits of an image are not finite.
    """
    given, least = np.zeros((2, len(exam.pictures.ids)), dtype=np.int64)
    for group in units(exam):
        x, _, ids = exam.stack(group, exam.device)
        with torch.no_grad():
            logits = torch.cat([exam.model(some) for some in x.split(batch)])
        wrong = (~logits.isfinite()).any(1).nonzero()[:, 0].tolist()
        if wrong:
            what = f"the logits of {len(wrong)} images are not finite, the first is '{ids[wrong[0]]}'"
            raise InputError(what, where=exam.model.where, fix="check the weights, or leave these images out")
        given[group], least[group] = logits.argmax(1).cpu().numpy(), logits.argmin(1).cpu().numpy()
    return given, least


def aimed(exam: Exam, given: np.ndarray, least: np.ndarray, config: AttackConfig) -> tuple[Exam, np.ndarray, Goal]:
    """The images that a targeted attack is about, which leaves out those of its class, with its goals."""
    assert exam.model.num_classes is not None
    if config.target is None:
        return exam, given, Goal()
    labels, classes = exam.pictures.labels, exam.model.num_classes
    if config.target == "least-likely":
        goals = least
    elif config.target == "random":
        goals = (labels + np.random.default_rng(config.seed).integers(1, classes, len(labels))) % classes
    else:
        goals = np.full_like(labels, class_named(config.target, exam.names, classes))
    kept = np.flatnonzero(goals != labels)
    if not len(kept):
        raise InputError("every image is of the target class", where="--target", fix="another class, or more images")
    if len(kept) < len(labels):
        log.warning("%d images of the target class are left out", len(labels) - len(kept))
    return exam.only(kept), given[kept], Goal(goals[kept])


def class_named(word: str, names: list[str] | None, classes: int) -> int:
    """The number of a class from its name or number."""
    if names and word in names:
        return names.index(word)
    if word.isdecimal() and int(word) < classes:
        return int(word)
    known = f"0 to {classes - 1}" + (f", or a name such as '{names[0]}'" if names else "")
    raise InputError(f"the model has no class '{word}'", where="--target", fix=known)


def plan(config: AttackConfig, exam: Exam) -> dict[str, object]:
    """What would be attacked, and by what."""
    return {
        "model": exam.model.where, "classes": exam.model.num_classes, "images": len(exam.pictures.ids),
        "shapes": sorted({"x".join(map(str, exam.pictures.pixels[group[0]].shape)) for group in exam.groups}),
        "radii": {norm: list(radii) for norm, radii in config.radii.items()},
        "attacks": [one.name for one in rounds_of(
            config.suite, config.attacks, BALLS["linf"], exam.model.num_classes or 2)],
        "files": ["images.parquet", "deltas.safetensors", "curve.svg", "curve.png", "report.html", "manifest.json"],
    }  # fmt: skip
