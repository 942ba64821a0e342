"""Which tasks a folder of task files holds, and which of them the user's words name."""

from collections.abc import Sequence
from pathlib import Path

from vlmkit.core.errors import InputError, nearest
from vlmkit.core.evaluate.aggregate import GROUPS
from vlmkit.core.evaluate.dclm import TASKS
from vlmkit.core.evaluate.tasks import Task, own_task

Found = list[tuple[Task, Path]]
_OWNERS = {task.file: name for name, task in reversed(TASKS.items())}


def choose_tasks(words: Sequence[str], folder: Path) -> tuple[Found, list[str]]:
    """The tasks that words name, each with its file, and the names of a group whose file is not there.

    A word is a task of DCLM's table, `core`, `extended`, or the name of a file of the user's own; without words every
    file of the folder is a task.

    Raises:
        InputError: the folder holds no task, or a single task that is named has no file.
    """
    if not folder.is_dir():
        raise InputError("--task-data is not a folder", where=str(folder), fix="name the folder of the .jsonl files")
    names = list(words) or [name for name in TASKS if file_of(TASKS[name], folder)] + own_names(folder)
    if not names:
        raise InputError("no task file here", where=str(folder), fix="a .jsonl file a task; see docs/commands.md")
    found: dict[str, tuple[Task, Path]] = {}
    absent: dict[str, None] = {}
    for word in names:
        for name in GROUPS.get(word, (word,)):
            path = file_of(TASKS[name], folder) if name in TASKS else None
            if path:
                found[name] = TASKS[name], path
            elif word in GROUPS:
                absent[name] = None
            else:
                found[name] = own_named(name, folder)
    if not found:
        raise InputError(
            f"none of the tasks has its file ({', '.join(absent)})", where=str(folder), fix="add the files"
        )
    return list(found.values()), list(absent)


def file_of(task: Task, folder: Path) -> Path | None:
    """The file of a task of the table: under the file's own name or the task's."""
    return next((p for p in (folder / task.file, folder / f"{task.name}.jsonl") if p.is_file()), None)


def own_names(folder: Path) -> list[str]:
    """Task files in a folder that no task of the table claims."""
    return [p.stem for p in sorted(folder.glob("*.jsonl")) if p.name not in _OWNERS and p.stem not in TASKS]


def own_named(name: str, folder: Path) -> tuple[Task, Path]:
    """A user's own task by name; an error tells what is there instead."""
    path = folder / f"{name}.jsonl"
    if name in TASKS:
        raise InputError(f"the file of task '{name}' is missing", where=str(folder / TASKS[name].file), fix="add it")
    if path.name in _OWNERS:
        raise InputError(f"'{name}' is a file, not a task", where="--tasks", fix=f"--tasks {_OWNERS[path.name]}")
    if not path.is_file():
        known = [*GROUPS, *TASKS, *own_names(folder)]
        raise InputError(
            f"no task is named '{name}', and {path} does not exist", where="--tasks", fix=nearest(name, known)
        )
    return own_task(path), path
