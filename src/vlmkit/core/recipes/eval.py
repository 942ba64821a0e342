"""In-context evaluation: read tasks and models, score every pair that is not scored yet, aggregate, save."""

import json
from collections.abc import Sequence

from transformers import PreTrainedModel

from vlmkit.core.configs.eval import EvalConfig
from vlmkit.core.evaluate.aggregate import Accuracy, accuracy, model_report, score_rows
from vlmkit.core.evaluate.catalog import choose_tasks
from vlmkit.core.evaluate.measure import Measured, Settings, measure
from vlmkit.core.evaluate.present import for_people
from vlmkit.core.evaluate.subject import Subject, Tasks, distinct_names, fitting, read_subject
from vlmkit.core.evaluate.tasks import OPTIONS, Task, read_pools, texts
from vlmkit.core.io.files import write_json
from vlmkit.core.io.job import Job, Result, open_job
from vlmkit.core.io.progress import log
from vlmkit.core.io.tables import TableWriter
from vlmkit.core.models.load import load_causal_lm, resolve_device, resolve_dtype


def run(config: EvalConfig) -> Result:
    """Score models on tasks; a model and task that were scored before an interruption are not scored again."""
    job = open_job(config)
    if job.stored:
        return for_people(job.stored)
    found, absent = choose_tasks(config.tasks, config.task_data)
    tasks = [(task, read_pools(task, path)) for task, path in found]
    subjects = [read_subject(path, tokenizer=config.tokenizer, asked_len=config.max_seq_len) for path in config.models]
    names = distinct_names(subjects, config.models)
    scored = [fitting(subject, tasks, config.limit) for subject in subjects]
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device)
    if absent:
        log.warning("no file for %s: not scored", ", ".join(absent))
    if config.dry_run:
        return Result({"plan": plan(config, names, subjects, tasks, absent)})
    job.begin()
    reports = []
    for number, (name, subject) in enumerate(zip(names, subjects, strict=True)):
        model: PreTrainedModel | None = None
        results = {}
        for task, pools in scored[number]:
            measured = recall(job, number, task)
            if measured is None:
                model = model or load_causal_lm(subject.folder, device=str(device), dtype=dtype)
                how = settings(config, subject)
                measured = measure(model, subject.tokenizer, task, pools, how, label=f"{name} {task.name}")
                keep(job, number, task, measured)
            results[task.name] = measured
        warn_truncated(name, subject, results)
        reports.append(report(name, tasks, results, config))
    with TableWriter(job.folder, kind="scores") as table:
        for one in reports:
            table.add(score_rows(one))
    runs = " ".join(str(path) for path in config.models) if all(subject.from_run for subject in subjects) else ""
    follow = f"vlmkit fit-scaling {runs} {config.out}" if runs else f"vlmkit inspect {config.out}"
    return for_people(job.finish({"models": reports}, next=follow))


def settings(config: EvalConfig, subject: Subject) -> Settings:
    """How the prompts of a model are made."""
    return Settings(
        seed=config.fewshot_seed,
        shots=config.shots,
        max_len=subject.max_len,
        limit=config.limit,
        batch_size=config.batch_size,
    )


def report(name: str, tasks: Tasks, results: dict[str, Measured], config: EvalConfig) -> dict[str, object]:
    """The report of a model: accuracies with intervals, aggregates, and how many rows lost tokens of their prompts."""
    scores = {
        task.name: accuracy(results[task.name].correct) if task.name in results else Accuracy(None) for task, _ in tasks
    }
    shots = Settings(shots=config.shots).shots_of
    most = {task.name: max(len(pool.rows) for pool in pools) - 1 for task, pools in tasks}
    made = model_report(
        name, {task.name: (task, min(shots(task), most[task.name]), scores[task.name]) for task, _ in tasks}
    )
    inner = made["tasks"]
    assert isinstance(inner, dict)
    for name, entry in inner.items():
        entry["truncated"] = results[name].truncated if name in results else None
    return made


def recall(job: Job, number: int, task: Task) -> Measured | None:
    """What an interrupted run found for a model and task."""
    path = job.state / f"{number}-{task.name}.json"
    if not path.is_file():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Measured([(right, rows) for right, rows in kept["correct"]], kept["truncated"])


def keep(job: Job, number: int, task: Task, measured: Measured) -> None:
    """Keep the result of a model and task until the artifact is complete."""
    path = job.state / f"{number}-{task.name}.json"
    write_json(path, {"correct": measured.correct, "truncated": measured.truncated})


def warn_truncated(name: str, subject: Subject, results: dict[str, Measured]) -> None:
    """Say which tasks lost parts of their prompts."""
    cut = [
        f"{task} ({measured.truncated} of {sum(rows for _, rows in measured.correct)} rows)"
        for task, measured in results.items()
        if measured.truncated
    ]
    if cut:
        log.warning("%s: prompts were cut on the left to %d tokens: %s", name, subject.max_len, ", ".join(cut))


def plan(
    config: EvalConfig, names: Sequence[str], subjects: Sequence[Subject], tasks: Tasks, absent: list[str]
) -> dict[str, object]:
    """What would be scored: models with the bytes of their weights, tasks with their rows and sequences."""
    models = [
        {
            "name": name,
            "max_seq_len": subject.max_len,
            "weight_bytes": sum(path.stat().st_size for path in subject.folder.glob("*.safetensors")),
        }
        for name, subject in zip(names, subjects, strict=True)
    ]
    rows = {task.name: [row for pool in pools for row in pool.rows[: config.limit]] for task, pools in tasks}
    listed = [
        {
            "task": task.name,
            "rows": len(rows[task.name]),
            "sequences": sum(
                len(texts(row[OPTIONS[task.form]])) if task.form in OPTIONS else 1 for row in rows[task.name]
            ),
            "shots": Settings(shots=config.shots).shots_of(task),
        }
        for task, _ in tasks
    ]
    return {"models": models, "tasks": listed, "no_file": absent, "files": ["part-00000.parquet", "manifest.json"]}
