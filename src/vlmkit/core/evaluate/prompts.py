"""From the rows of a task to token ids: few-shot examples, text, tokens, truncation, as DCLM's harness has them.

The rules are those of llm-foundry 0.9.0, the version that DCLM pins, so that ids and spans equal the originals: the
examples of a row depend on the draws for all rows before it and stand in the iteration order of a CPython set; no merge
of the tokenizer crosses the borders between examples, question and continuation.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from vlmkit.core.errors import InputError
from vlmkit.core.evaluate.tasks import Form, Pool, Row, Task, gold, text, texts

EXTRA_COT_TOKENS = 10  # llm-foundry's reserve for reasoning that is longer than any in the file


class TooLongError(InputError):
    """A task does not fit into the sequence length at hand; other tasks may."""


@dataclass(frozen=True)
class Prompt:
    """One question as text, after its examples; schemas have several contexts, choices several continuations."""

    index: int  # of the row within its pool
    line: int  # of the row within its file, from 0
    fewshot: list[int]
    preamble: str
    contexts: list[str]
    continuations: list[str]
    gold: int
    labels: list[str]


@dataclass(frozen=True)
class Item:
    """One question as tokens: a sequence a choice, and the span [start, end) of each to score; answers have no span."""

    line: int
    sequences: list[list[int]]
    spans: list[tuple[int, int]]
    gold: int
    labels: list[str]
    cut: int  # tokens that were cut off on the left, over all sequences


def draw_examples(num_rows: int, shots: int, seed: int) -> Iterator[list[int]]:
    """The examples of row 0, 1, 2, … as row indices, in the order in which they stand in the prompt."""
    rng = random.Random(seed)
    k = min(num_rows - 1, shots)
    for row in range(num_rows):
        if k <= 0:
            yield []
            continue
        drawn = set(rng.sample(range(num_rows), k))
        if row in drawn:
            drawn.remove(row)
            if len(drawn) < num_rows - 1:
                other = rng.choice(range(num_rows))
                while other in drawn or other == row:
                    other = rng.choice(range(num_rows))
                drawn.add(other)
        yield list(drawn)


def prompts(task: Task, pool: Pool, *, shots: int, seed: int, lead: str, limit: int | None = None) -> Iterator[Prompt]:
    """The prompts of the first `limit` rows of a pool; examples come from all its rows.

    Args:
        lead: what a scored continuation starts with if it does not start with a space (`leading_space`).
    """
    how = task.format
    drawn = draw_examples(len(pool.rows), shots, seed)
    for index, fewshot in enumerate(itertools.islice(drawn, limit)):
        row, preamble = pool.rows[index], ""
        for example in fewshot:
            between = how.example_delimiter if preamble else ""
            preamble += between + how.prelimiter + example_text(task, pool.rows[example])
        yield Prompt(
            index=index,
            line=pool.lines[index],
            fewshot=fewshot,
            preamble=preamble,
            contexts=contexts(task, row, after=bool(preamble)),
            continuations=[choice if choice.startswith(" ") else lead + choice for choice in continuations(task, row)],
            gold=gold(row) if "gold" in row else 0,
            labels=labels(pool.raw[index]) if task.form is Form.ANSWER else [],
        )


def example_text(task: Task, row: Row) -> str:
    """A solved row: its context, the delimiter, its answer."""
    how = task.format
    if task.form is Form.SCHEMA:
        return texts(row["context_options"])[gold(row)] + how.continuation_delimiter + text(row, "continuation")
    if task.form is Form.CHOICE:
        return text(row, "query") + how.continuation_delimiter + texts(row["choices"])[gold(row)]
    answer = text(row, "continuation")
    if task.form is Form.ANSWER:
        steps = text(row, "chain_of_thought") + how.cot_delimiter if "chain_of_thought" in row else ""
        answer = steps + text(row, "answer")
    return text(row, "context") + how.continuation_delimiter + answer


def contexts(task: Task, row: Row, *, after: bool) -> list[str]:
    """The tested part of a row without its continuation: one text, or one an option of a schema.

    `after` says whether examples stand before it. A schema without examples has no continuation delimiter at all.
    """
    how = task.format
    if task.form is Form.SCHEMA:
        before = how.prelimiter + how.example_delimiter if after else how.prelimiter
        behind = how.continuation_delimiter.rstrip() if after else ""
        return [before + option + behind for option in texts(row["context_options"])]
    before = how.example_delimiter + how.prelimiter if after else how.prelimiter
    asked = text(row, "query" if task.form is Form.CHOICE else "context")
    return [(before + asked + how.continuation_delimiter).rstrip()]


def continuations(task: Task, row: Row) -> list[str]:
    """The texts to be scored; none where an answer is generated."""
    if task.form is Form.CHOICE:
        return texts(row["choices"])
    return [] if task.form is Form.ANSWER else [text(row, "continuation")]


def labels(row: Row) -> list[str]:
    """The answers that count as right, as in the file, sorted."""
    return sorted({text(row, "answer"), *texts(row.get("aliases", []))})


def leading_space(tokenizer: PreTrainedTokenizerBase) -> str:
    """One space if the tokenizer makes one token of " a", else nothing (it has a mark of its own, or splits spaces)."""
    return " " if len(tokenizer(" a", add_special_tokens=False)["input_ids"]) == 1 else ""


def tokenise(batch: Sequence[Prompt], tokenizer: PreTrainedTokenizerBase, *, max_len: int, where: str) -> list[Item]:
    """The token ids and spans of prompts. A sequence longer than `max_len` loses its first tokens.

    For answers `max_len` counts the prompt alone: the caller takes off the tokens to be generated.
    """
    preambles = with_start(tokenizer, [prompt.preamble for prompt in batch])
    asked = plain(tokenizer, [context for prompt in batch for context in prompt.contexts])
    scored = plain(tokenizer, [continuation for prompt in batch for continuation in prompt.continuations])
    items, next_asked, next_scored = [], iter(asked), iter(scored)
    for prompt, preamble in zip(batch, preambles, strict=True):
        before = [preamble + next(next_asked) for _ in prompt.contexts]
        after = [next(next_scored) for _ in prompt.continuations]
        place = f"{where}, row {prompt.line + 1}"
        items.append(join(prompt, before, after, max_len=max_len, where=place))
    return items


def join(prompt: Prompt, before: list[list[int]], after: list[list[int]], *, max_len: int, where: str) -> Item:
    """Put contexts and continuations together, each cut on the left by its own length."""
    count = max(len(before), len(after))
    before = before * count if len(before) == 1 else before
    after = after * count if len(after) == 1 else after or [[]] * count
    sequences, spans, cut = [], [], 0
    for context, continuation in zip(before, after, strict=True):
        room = max_len - len(continuation)
        if room <= 0:
            raise TooLongError(
                f"a continuation of {len(continuation)} tokens does not fit into {max_len}",
                where=where,
                fix="a larger --max-seq-len, or --tasks without this task",
            )
        kept = context[-room:]
        if prompt.continuations and not (kept and continuation):
            what = "the continuation" if kept else "what stands before the continuation"
            raise InputError(f"{what} has no token", where=where, fix="mend the row")
        cut += len(context) - len(kept)
        sequences.append(kept + continuation)
        spans.append((len(kept), len(kept) + len(continuation)))
    return Item(prompt.line, sequences, spans if prompt.continuations else [], prompt.gold, prompt.labels, cut)


def answer_tokens(task: Task, pools: Sequence[Pool], tokenizer: PreTrainedTokenizerBase) -> int:
    """How many tokens an answer may have: the longest of the file, with its reasoning, and some more for reasoning."""
    cot = task.format.cot_delimiter
    longest = (
        text(row, "chain_of_thought") + cot + label for pool in pools for row in pool.raw for label in labels(row)
    )
    lengths = [len(ids) for ids in tokenizer(list(longest), verbose=False)["input_ids"]]
    return max(lengths) + (EXTRA_COT_TOKENS if cot else 0)


def with_start(tokenizer: PreTrainedTokenizerBase, preambles: list[str]) -> list[list[int]]:
    """Token ids with the tokenizer's special tokens, so that a start token stands there; an end token is dropped."""
    found = tokenizer(preambles, verbose=False)["input_ids"]
    return [ids[:-1] if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id else list(ids) for ids in found]


def plain(tokenizer: PreTrainedTokenizerBase, parts: list[str]) -> list[list[int]]:
    """Token ids without special tokens."""
    return list(tokenizer(parts, add_special_tokens=False, verbose=False)["input_ids"]) if parts else []
