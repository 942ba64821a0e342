"""Samples: make an input, write it as an artifact."""

import json
from pathlib import Path

import numpy as np

from vlmkit.core.configs.sample import CLASSIFIERS, SampleConfig
from vlmkit.core.errors import CapabilityError
from vlmkit.core.io.files import write_json, write_text
from vlmkit.core.io.job import Job, Result, open_job


def run(config: SampleConfig) -> Result:
    """Make the sample of that name."""
    job = open_job(config)
    if job.stored:
        return job.stored
    if config.dry_run:
        return Result({"plan": {"sample": config.name, "pages": config.page_count, "rows": config.row_count}})
    job.begin()
    makers = {"web": web, "web-tasks": web_tasks, "digits": digits, "scaling": scaling}
    makers |= dict.fromkeys(CLASSIFIERS, digits_classifier)
    return makers[config.name](config, job)


def web(config: SampleConfig, job: Job) -> Result:
    """Pages of the installed documentation as a WARC file."""
    from vlmkit.core.io.warc import write_warc
    from vlmkit.core.samples.site import visit
    from vlmkit.core.samples.web import choose, rendered

    chosen = choose(config.page_count)
    require(len(chosen.shown))
    responses = write_warc(
        job.folder / "pages.warc.gz", visit(chosen.shown, rendered(chosen)), software="vlmkit sample web"
    )
    values: dict[str, object] = {
        "sample": "web",
        "responses": responses,
        "pages": len(chosen.shown) + len(chosen.library),
    }
    return job.finish(values | {"held_out": len(chosen.kept)}, next=f"vlmkit curate {config.out} --out clean")


def web_tasks(config: SampleConfig, job: Job) -> Result:
    """Task files from the pages that `web` leaves out."""
    from vlmkit.core.samples.tasks import make_tasks
    from vlmkit.core.samples.web import choose

    chosen = choose(config.page_count)
    require(len(chosen.kept))
    made = make_tasks(chosen.kept, shown=chosen.shown, rows=config.row_count)
    for name, rows in made.items():
        write_text(job.folder / f"{name}.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    values: dict[str, object] = {"sample": "web-tasks", "tasks": {name: len(rows) for name, rows in made.items()}}
    return job.finish(values, next=f"vlmkit eval MODEL --tasks {','.join(made)} --task-data {config.out} --out scores")


def digits(config: SampleConfig, job: Job) -> Result:
    """Scanned digits as a table of images."""
    from vlmkit.core.samples.digits import load

    rows = write_digits(job.folder, *load(), first=0)
    return job.finish({"sample": "digits", "images": rows, "classes": 10}, next=f"vlmkit inspect {config.out}")


def digits_classifier(config: SampleConfig, job: Job) -> Result:
    """A small classifier of the digits, and beside it the digits that it has not seen."""
    from vlmkit.core.models.load import save_model
    from vlmkit.core.samples.classifiers import Kind, accuracy, preprocessor, train_classifier
    from vlmkit.core.samples.digits import HELD_OUT, RADIUS, load

    images, labels = load()
    eps = RADIUS if config.hardened else None
    kind: Kind = "vit" if config.name == "digits-vit" else "cnn"
    seen = len(images) - HELD_OUT
    model = train_classifier(kind, images[:seen, None], labels[:seen], hardened_eps=eps, seed=config.seed)
    save_model(model, job.folder)
    write_json(job.folder / "preprocessor_config.json", preprocessor(images.shape[-1]))
    values: dict[str, object] = {
        "sample": config.name,
        "params": model.num_parameters(),
        "hardened_eps": eps,
        "clean_accuracy": accuracy(model, images[seen:, None], labels[seen:]),
        "images": write_digits(job.folder / "images", images[seen:], labels[seen:], first=seen),
    }
    return job.finish(values, next=f"vlmkit attack {config.out} {config.out} --eps {RADIUS} --out robustness")


def write_digits(folder: Path, images: np.ndarray, labels: np.ndarray, *, first: int) -> int:
    """Write images (N, Y, X) and labels (N,) as a table; the number of its rows."""
    from vlmkit.core.io.images import encode
    from vlmkit.core.io.tables import TableWriter

    with TableWriter(folder, kind="images") as table:
        for number, (pixels, label) in enumerate(zip(images, labels, strict=True), first):
            name = f"digit-{number:04d}"
            table.add([{"id": name, "image": encode(pixels, name), "label": int(label)}])
    return table.rows


def scaling(config: SampleConfig, job: Job) -> Result:
    """Tables of simulated training runs, and the laws that they follow."""
    from vlmkit.core.io.tables import write_table
    from vlmkit.core.samples.scaling import as_csv, simulate_profiles, simulate_runs, task_rows, truth

    runs, profiles = simulate_runs(config.seed), simulate_profiles(config.seed)
    write_table(job.folder / "runs.parquet", runs.rows, kind="runs")
    write_text(job.folder / "chinchilla.csv", as_csv(profiles.rows))
    write_text(job.folder / "tasks.csv", as_csv(task_rows()))
    write_json(job.folder / "truth.json", truth(runs, profiles))
    values: dict[str, object] = {
        "sample": "scaling",
        "runs": len(runs.rows),
        "outliers": sorted(runs.excess),
        "chinchilla_runs": len(profiles.rows),
        "chinchilla_outliers": sorted(profiles.excess),
    }
    asked = """--where "dataset == 'web'" --target "N > 1e9" --downstream err_avg"""
    return job.finish(values, next=f"vlmkit fit-scaling {config.out} {asked} --out law")


def require(pages: int) -> None:
    """Refuse to hand out an empty web."""
    if not pages:
        raise CapabilityError(
            "no installed package holds enough documentation",
            where="site-packages",
            fix="pip install numpy scipy pandas",
        )
