"""Items of evaluation tasks from whatever file they lie in: which of their text is context, question and answer.

A row's fields are told by their names, those of llm-foundry's, lm-eval's and the Hub's task files; a text that holds
several labelled pieces ("Passage: … Question: … A. … B. … Answer:") is cut at its labels, since a page that spells an
item out need not spell its labels. Choices are no text of their own: a page with the question is what matters.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from vlmkit.core.errors import InputError
from vlmkit.core.io.encodings import decode
from vlmkit.core.io.inflate import Damage, pieces
from vlmkit.core.io.progress import log
from vlmkit.core.io.records import Fields, read_json, read_parquet
from vlmkit.core.io.sources import COMPRESSIONS, Source, below, find_sources, shown

CONTEXTS = ("passage", "article", "story", "support", "background", "paragraph", "document", "context")
QUESTIONS = (
    "question", "query", "question_stem", "problem", "prompt", "goal", "ctx", "sentence", "sentence1", "sentence2",
    "premise", "hypothesis", "claim", "statement", "instruction", "input", "inputs", "question_text", "text", "turns",
)  # fmt: skip
ANSWERS = (
    "gold", "answer", "answers", "answerkey", "label", "target", "targets", "continuation", "completion", "output",
    "correct_answer", "best_answer", "solution", "canonical_solution", "final_answer", "aliases", "chain_of_thought",
)  # fmt: skip
CHOICES = (
    "choices", "options", "endings", "context_options", "multiple_choice_targets", "mc1_targets", "sol1", "sol2",
    "option1", "option2", "choice1", "choice2", "incorrect_answers", "distractor1", "distractor2", "distractor3",
)  # fmt: skip
LABEL = re.compile(
    r"(?:^|(?<=[.?!:\"”’)\]])[ \t]+)[ \t]*(?P<label>(?i:passage|context|article|story|background|document|paragraph|"
    r"question|query|sentence|statement|concept|problem|prompt|input|output|choices|options|answer)|Q|A)[ \t]*[:：]",
    re.MULTILINE,
)
HEADING = re.compile(r"\A\s*[^\W\d_][\w'& -]{0,40}:\s")
CHOICE = re.compile(r"^[ \t]*\(?([A-Za-z])[.)]+[ \t]+(.*)$", re.MULTILINE)
BLANK = re.compile(r"_+")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Item(NamedTuple):
    """One item of a task: its row, its pieces of text (kind `context` or `question`), and its right answers."""

    number: int
    pieces: tuple[tuple[str, str], ...]
    answers: tuple[str, ...]


def read_tasks(paths: Sequence[Path]) -> dict[str, list[Item]]:
    """Items by task, from files and folders of them. A task bears the name of its file, with its folders below the one
    that was given; files in folders that hold no items are left out with a warning.

    Raises:
        InputError: a file without items is named, a file is damaged, or there is no task at all.
    """
    tasks: dict[str, list[Item]] = {}
    strange = []
    for path in paths:
        for source in find_sources([path]):
            items = list(read_items(source)) if source.format in ("json", "parquet", "text") else []
            name = task_name(source, path)
            if not items and path.is_file():
                known = ", ".join(QUESTIONS[:5])
                raise InputError(
                    "no item of a task is in this file", where=str(path), fix=f"rows with a text under {known} or such"
                )
            if not items:
                strange.append(source.name)
            elif name in tasks:
                raise InputError(
                    f"two tasks are named '{name}'", where=str(source.path), fix="rename a file, or give their folder"
                )
            else:
                tasks[name] = items
    if strange:
        log.warning("%d files hold no items of a task, and are left out: %s", len(strange), shown(strange))
    if not tasks:
        raise InputError(
            "no task is here", where=", ".join(map(str, paths)), fix="give task files: JSON Lines, JSON, parquet, text"
        )
    return dict(sorted(tasks.items()))


def task_name(source: Source, given: Path) -> str:
    """The name of a task: its file's without endings, and where it lies below a given folder."""
    name = next((name for file, name in below(given) if file == source.path), source.name) if given.is_dir() else ""
    name = name or source.name
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return Path(name).with_suffix("").as_posix()


def read_items(source: Source) -> Iterator[Item]:
    """The items of one file; rows without a text of a question have none."""
    if source.format == "text":
        yield from text_items(source)
        return
    number = 0
    for row in read_parquet(source) if source.format == "parquet" else read_json(source):
        if isinstance(row, Damage):
            raise InputError(row.reason, where=f"{source.path}", fix="mend the file, or leave it out")
        for values in rows_within(row):
            item = item_of(number, values)
            if item.pieces:
                yield item
            number += 1


def text_items(source: Source) -> Iterator[Item]:
    """The lines of a text file that are not blank, numbered as in the file from 0."""
    found = list(pieces(source.path, source.name))
    if damage := next((piece for piece in found if isinstance(piece, Damage)), None):
        raise InputError(damage.reason, where=str(source.path), fix="mend the file, or leave it out")
    text = decode(b"".join(piece.data for piece in found if not isinstance(piece, Damage)))
    for number, line in enumerate(text.splitlines()):
        if line.strip():
            yield Item(number, tuple(cut(line, "question")), ())


def rows_within(row: Fields) -> Iterator[dict[str, object]]:
    """A row, or the rows of a file that is one object with a list of them; lm-eval's `doc` is the row itself."""
    inner = [value for value in row.values.values() if isinstance(value, list)]
    many = max((value for value in inner if value and isinstance(value[0], dict)), key=len, default=None)
    if many and row.place == 0 and not any(canonical(name) in QUESTIONS for name in row.values):
        yield from (one for one in many if isinstance(one, dict))
        return
    doc = row.values.get("doc")
    yield doc if isinstance(doc, dict) else row.values


def item_of(number: int, row: dict[str, object]) -> Item:
    """A row's texts as context and question, and its right answers."""
    values = {canonical(name): value for name, value in row.items()}
    questions = [text for name in QUESTIONS if name in values for text in texts(values[name])]
    questions += schema_texts(values)
    contexts = [text for name in CONTEXTS if name in values for text in texts(values[name])]
    choices = [text for name in CHOICES if name in values for text in texts(values[name])]
    answers = tuple(dict.fromkeys(right_answers(values, choices, " \n".join(questions or contexts))))
    if not questions and contexts:
        questions, contexts = contexts, []
    if not questions and not answers:  # fields of names that are not known: every text that is long enough counts
        questions = [text for value in values.values() for text in texts(value) if len(text.split()) >= 8]
    pieces = [piece for text in contexts for piece in cut(text, "context")]
    pieces += [piece for text in questions for piece in cut(text, "question")]
    return Item(number, tuple(pieces), answers)


def canonical(name: str) -> str:
    """A field's name in lower case, its words joined by _."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def texts(value: object) -> list[str]:
    """The texts that a field holds: itself, those of a list, or those under `text` or `choices` of a map."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    if isinstance(value, dict):
        return next((texts(value[name]) for name in ("text", "choices", "content", "value") if name in value), [])
    return []


def schema_texts(values: dict[str, object]) -> list[str]:
    """Of a schema's row: the words that its options begin with, and the right option with what follows it."""
    options, gold = texts(values.get("context_options")), values.get("gold")
    if not options or not isinstance(gold, int) or not 0 <= gold < len(options):
        return []
    columns = zip(*(option.split() for option in options), strict=False)
    shared = " ".join(same[0] for same in takewhile(lambda same: len(set(same)) == 1, columns))
    return [shared, f"{options[gold]} {values.get('continuation', '')}"]


def right_answers(values: dict[str, object], choices: list[str], text: str) -> Iterator[str]:
    """The texts of the right answers; a number or letter stands for the choice that it names."""
    listed = {letter.lower(): choice for letter, choice in CHOICE.findall(text)}
    for name in ANSWERS:
        value = values.get(name)
        for found in [str(value)] if isinstance(value, int | float) else texts(value):
            at = int(found) if found.isdigit() and len(found) < 3 else LETTERS.find(found.strip("(). ").lower() or "?")
            named = len(found.strip("(). ")) == 1 or found.isdigit()
            chosen = choices[at] if choices and named and 0 <= at < len(choices) else found
            yield listed.get(chosen.strip("(). ").lower(), chosen)


def cut(text: str, kind: str) -> Iterator[tuple[str, str]]:
    """The pieces of a text between its labels and blanks, without lettered choices; each with its kind."""
    if len(CHOICE.findall(text)) > 1:
        text = CHOICE.sub("", text)
    text = text if LABEL.match(text) else HEADING.sub("", text, count=1)
    place = 0
    listing = False
    for label in [*LABEL.finditer(text), None]:
        for piece in BLANK.split(text[place : label.start() if label else len(text)]):
            if piece.strip() and not listing:
                yield kind, piece.strip()
        if label:
            name = label["label"].lower()
            kind = "context" if name in CONTEXTS else "question"
            place, listing = label.end(), name in ("choices", "options")
