"""One model on one task: every row's prompt, its score, and what comes out right."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from vlmkit.core.evaluate import answers, prompts
from vlmkit.core.evaluate.prompts import Item
from vlmkit.core.evaluate.scoring import choose, score
from vlmkit.core.evaluate.tasks import Form, Pool, Task
from vlmkit.core.io.progress import progress

WINDOW = 512  # rows held as tokens at once; sorted by length within it
MAX_SEQ_LEN = 2048  # DCLM's


@dataclass(frozen=True)
class Settings:
    """How prompts are made: seed of the few-shot draw, examples (None: the task's own), longest sequence, rows."""

    seed: int = 1234
    shots: int | None = None
    max_len: int = MAX_SEQ_LEN
    limit: int | None = None  # rows of each data set
    batch_size: int = 0  # sequences at once; 0: as many as a budget of tokens allows

    def shots_of(self, task: Task) -> int:
        """Examples before each question of a task."""
        return task.shots if self.shots is None else self.shots


@dataclass(frozen=True)
class Outcome:
    """One row: its number in the file from 0, whether it came out right, and how many tokens its prompts lost."""

    line: int
    correct: bool
    cut: int


@dataclass(frozen=True)
class Measured:
    """A task's result: (right, rows) of each of its data sets, and how many rows lost tokens of their prompts."""

    correct: list[tuple[int, int]]
    truncated: int


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    pools: Sequence[Pool],
    settings: Settings,
    *,
    label: str = "",
) -> Measured:
    """Score all rows of a task, one data set after the other."""
    sizes = [len(pool.rows) if settings.limit is None else min(settings.limit, len(pool.rows)) for pool in pools]
    correct, done, truncated = [], 0, 0
    answer = prompts.answer_tokens(task, pools, tokenizer) if task.form is Form.ANSWER else 0
    for pool, size in zip(pools, sizes, strict=True):
        right = 0
        for outcome in outcomes(model, tokenizer, task, pool, settings, answer_tokens=answer):
            right, truncated, done = right + outcome.correct, truncated + (outcome.cut > 0), done + 1
            progress(label or task.name, done, sum(sizes), "rows", truncated=truncated)
        correct.append((right, size))
    return Measured(correct, truncated)


def outcomes(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    pool: Pool,
    settings: Settings,
    *,
    answer_tokens: int = 0,
) -> Iterator[Outcome]:
    """The outcome of each row of a data set, in the order of the work.

    Args:
        answer_tokens: room for a generated answer (`prompts.answer_tokens` of the task).
    """
    lead, shots = prompts.leading_space(tokenizer), settings.shots_of(task)
    asked = prompts.prompts(task, pool, shots=shots, seed=settings.seed, lead=lead, limit=settings.limit)
    room = settings.max_len - answer_tokens
    while window := list(itertools.islice(asked, WINDOW)):
        items = prompts.tokenise(window, tokenizer, max_len=room, where=str(pool.path))
        for index, correct in judged(model, tokenizer, task, items, settings, answer_tokens):
            yield Outcome(items[index].line, correct, items[index].cut)


def judged(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    items: Sequence[Item],
    settings: Settings,
    answer_tokens: int,
) -> Iterator[tuple[int, bool]]:
    """Score or answer items: (index, whether it is right)."""
    if task.form is not Form.ANSWER:
        for index, spans in score(model, items, batch_size=settings.batch_size):
            yield index, choose(task.form, spans, items[index].gold)[1]
        return
    stops, cot = task.format.early_stopping, task.format.cot_delimiter
    for index, ids in answers.generate(
        model,
        tokenizer,
        items,
        max_new_tokens=answer_tokens,
        early_stopping=stops,
        batch_size=settings.batch_size,
    ):
        cleaned = answers.clean(answers.answer_text(tokenizer, ids), early_stopping=stops, cot_delimiter=cot)
        yield index, answers.is_right(cleaned, items[index].labels)


def max_len(config: PretrainedConfig, asked: int | None) -> int:
    """The longest sequence to score: what was asked for, else the model's own limit, at most DCLM's 2048."""
    text = config.get_text_config()
    limit = next((found for key in ("max_position_embeddings", "seq_len") if (found := getattr(text, key, None))), None)
    return asked or min(MAX_SEQ_LEN, limit or MAX_SEQ_LEN)


def needed(task: Task, pools: Sequence[Pool], tokenizer: PreTrainedTokenizerBase, limit: int | None) -> int:
    """The shortest sequence length that a task fits into: its longest continuation and one token before it."""
    if task.form is Form.ANSWER:
        return 1 + prompts.answer_tokens(task, pools, tokenizer)
    lead = prompts.leading_space(tokenizer)
    rows = (row for pool in pools for row in pool.rows[:limit])
    found = {lead + text for row in rows for text in prompts.continuations(task, row)}
    return 1 + max(map(len, prompts.plain(tokenizer, list(found))))
