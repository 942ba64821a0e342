"""What `vlmkit sample` takes."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from vlmkit.core.configs.fields import INPUTS, Action, argument, option
from vlmkit.core.errors import InputError

PAGES = {"web": 2500, "web-tasks": 2500}
ROWS = {"web-tasks": 150}
KINDS = {"web": "pages", "web-tasks": "tasks", "digits": "images", "scaling": "runs"}
CLASSIFIERS = ("digits-vit", "digits-cnn")
KINDS |= dict.fromkeys(CLASSIFIERS, "model")


@dataclass(frozen=True, kw_only=True)
class SampleConfig(Action):
    """Make inputs to try the other commands on, from what this machine has."""

    command: ClassVar[str] = "sample"
    makes: ClassVar[str | None] = "sample"
    outputs: ClassVar[str] = (
        "pages.warc.gz (web), one .jsonl a task (web-tasks), part-00000.parquet (digits), "
        "runs.parquet, chinchilla.csv, tasks.csv, truth.json (scaling), a transformers folder and images/ (digits-vit, "
        "digits-cnn)"
    )
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit sample web --out pages",
        "vlmkit sample web-tasks --out tasks",
        "vlmkit sample digits --out digits",
        "vlmkit sample digits-vit --hardened --out hardened",
        "vlmkit sample scaling --seed 1 --out simulated",
    )

    name: Literal["web", "web-tasks", "digits", "digits-vit", "digits-cnn", "scaling"] = argument(
        help="web: pages of documentation rendered as a small web crawl; web-tasks: evaluation tasks from the pages "
        "that `web` leaves out; digits: scikit-learn's 1,797 scanned digits; digits-vit, digits-cnn: a classifier "
        "trained on the first 1,400 of them, with the others to test it on; scaling: training runs simulated from "
        "published scaling laws, with the truth beside them."
    )
    pages: int | None = option(None, help="Different pages to draw on, for web and web-tasks (2500).", panel=INPUTS)
    rows: int | None = option(None, help="Most rows of a task, for web-tasks (150).", panel=INPUTS)

    hardened: bool = option(
        False, help="Train the classifier adversarially (PGD, max norm, radius 0.1), for digits-vit and digits-cnn.",
        panel=INPUTS,
    )  # fmt: skip

    def __post_init__(self) -> None:
        object.__setattr__(self, "makes", KINDS[self.name])  # one command, an artifact of another kind for each name
        super().__post_init__()
        for option_, value, users, least in (("pages", self.pages, PAGES, 50), ("rows", self.rows, ROWS, 1)):
            if value is not None and self.name not in users:
                raise InputError(
                    f"'{self.name}' has no {option_}",
                    where=f"--{option_}",
                    fix=f"leave it out; it is for {', '.join(users)}",
                )
            if value is not None and value < least:
                raise InputError(f"--{option_} is {value}", where=f"--{option_}", fix=f"{least} or more")

        if self.hardened and self.name not in CLASSIFIERS:
            raise InputError(
                f"'{self.name}' is no classifier",
                where="--hardened",
                fix=f"leave it out; it is for {', '.join(CLASSIFIERS)}",
            )

    @property
    def page_count(self) -> int:
        """How many different pages, the default filled in."""
        return self.pages or PAGES.get(self.name, 0)

    @property
    def row_count(self) -> int:
        """How many rows a task, the default filled in."""
        return self.rows or ROWS.get(self.name, 0)
