"""Log-likelihoods of continuations, many questions at once, and what they say about each form of question.

The choices of a question share their beginning. A batch runs the shared beginnings once (cut to equal length, so that
nothing is padded), then the different ends of all choices on copies of the cache; ends are padded on the right, where a
causal model does not look. The label of position t is token t + 1: a span [s, e) is read from the logits s - 1 … e - 2.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from vlmkit.core.evaluate.prompts import Item
from vlmkit.core.evaluate.tasks import Form

TIE = 1e-6  # nats; below this two means are equal, and the first choice wins whatever the order of a float32 sum
BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}  # a tiny model on two cores is fastest here: benchmarks/eval_scoring.py
WORTHWHILE = 0.2  # a shared beginning is computed apart if that saves this part of a batch's tokens


@dataclass(frozen=True)
class Span:
    """One scored continuation: its negative log-likelihood in nats, its tokens, and the model's own choices there."""

    nll: float
    tokens: list[int]
    greedy: list[int]

    @property
    def mean(self) -> float:
        """Negative log-likelihood per token."""
        return self.nll / len(self.tokens)


@dataclass(frozen=True)
class Question:
    """The distinct sequences of an item, with the length of the beginning that all share and nobody scores."""

    index: int
    sequences: list[list[int]]
    spans: list[tuple[int, int]]
    which: list[int]  # the distinct sequence of each choice: equal choices are scored once and tie exactly
    shared: int

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(map(len, self.sequences))


def choose(form: Form, spans: Sequence[Span], gold: int) -> tuple[int, bool]:
    """The choice of the model and whether it is right.

    Of several choices the lowest mean negative log-likelihood per token wins, the first of equals; a single
    continuation is right if the model's own choice is the target at every position.
    """
    if form is Form.LANGUAGE:
        return 0, spans[0].greedy == spans[0].tokens
    means = [span.mean for span in spans]
    best = next(i for i, mean in enumerate(means) if mean <= min(means) + TIE)
    return best, best == gold


@torch.inference_mode()
def score(
    model: PreTrainedModel, items: Sequence[Item], *, batch_tokens: int | None = None, batch_size: int = 0
) -> Iterator[tuple[int, list[Span]]]:
    """Score all spans of all items; yields (index of the item, a span a choice), in the order of the work.

    Args:
        batch_tokens: tokens in memory at once (default: by the device).
        batch_size: sequences at once, instead of `batch_tokens`.
    """
    budget = batch_tokens or BATCH_TOKENS[model.device.type]
    questions = [distinct(index, item) for index, item in enumerate(items)]
    for batch in batches(questions, batch_tokens=budget, batch_size=batch_size):
        spans = iter(forward(model, batch))
        for question in batch:
            found = [next(spans) for _ in question.sequences]
            yield question.index, [found[i] for i in question.which]


def distinct(index: int, item: Item) -> Question:
    """Merge equal choices and measure the common beginning, at least one token short of the first scored one."""
    known: dict[tuple[tuple[int, ...], int], int] = {}
    keys = [(tuple(ids), start) for ids, (start, _) in zip(item.sequences, item.spans, strict=True)]
    which = [known.setdefault(key, len(known)) for key in keys]
    kept = [keys.index(key) for key in known]
    sequences, spans = [item.sequences[i] for i in kept], [item.spans[i] for i in kept]
    limit = min(start for start, _ in spans) - 1
    low, high = min(sequences), max(sequences)  # the common beginning of all is that of the first and last in order
    shared = next((i for i in range(limit) if low[i] != high[i]), limit)
    return Question(index, sequences, spans, which, shared)


def batches(questions: Sequence[Question], *, batch_tokens: int, batch_size: int) -> Iterator[list[Question]]:
    """Questions of similar length together: as many as fit the budget, counted in padded tokens or in sequences."""
    batch: list[Question] = []
    sequences = longest = 0
    for question in sorted(questions, key=lambda q: (q.shared, q.longest, q.index)):
        sequences += len(question.sequences)
        longest = max(longest, question.longest)
        full = sequences > batch_size if batch_size else sequences * longest > batch_tokens
        if batch and full:
            yield batch
            batch, sequences, longest = [], len(question.sequences), question.longest
        batch.append(question)
    if batch:
        yield batch


def forward(model: PreTrainedModel, batch: Sequence[Question]) -> list[Span]:
    """Score the distinct sequences of a batch, in order."""
    sequences = [ids for question in batch for ids in question.sequences]
    spans = [span for question in batch for span in question.spans]
    shared = min(question.shared for question in batch)
    saved = shared * (len(sequences) - len(batch))
    cache = None
    if saved > WORTHWHILE * sum(map(len, sequences)):
        cache = begin(model, [question.sequences[0][:shared] for question in batch])
    if cache is None:
        shared = 0
    else:
        copies = [i for i, question in enumerate(batch) for _ in question.sequences]
        cache.reorder_cache(torch.tensor(copies, device=model.device))  # type: ignore[arg-type]
    first = min(start for start, _ in spans) - 1  # the first position whose logits are read
    logits = finish(model, [ids[shared:] for ids in sequences], keep_from=first - shared, cache=cache)
    return read(logits, sequences, spans, first=first)


def begin(model: PreTrainedModel, prefixes: list[list[int]]) -> Cache | None:
    """Run beginnings of equal length; None if the model keeps no cache that can be copied."""
    ids = torch.tensor(prefixes, device=model.device)
    found = model(input_ids=ids, use_cache=True, **last_logits(model, 1)).get("past_key_values")
    return found if isinstance(found, Cache) else None


def finish(model: PreTrainedModel, ends: list[list[int]], *, keep_from: int, cache: Cache | None) -> Tensor:
    """Logits (B, S, V) of the ends from position `keep_from` on."""
    length = max(map(len, ends))
    ids = torch.tensor([end + [0] * (length - len(end)) for end in ends], device=model.device)
    keep = length - keep_from
    more = {} if cache is None else {"past_key_values": cache}
    logits = model(input_ids=ids, use_cache=cache is not None, **more, **last_logits(model, keep)).logits
    assert isinstance(logits, Tensor)
    return logits[:, -keep:]


def read(logits: Tensor, sequences: list[list[int]], spans: list[tuple[int, int]], *, first: int) -> list[Span]:
    """Read the scored positions out of logits (B, S, V) that begin at position `first`."""
    targets = [ids[start:end] for ids, (start, end) in zip(sequences, spans, strict=True)]
    rows = torch.tensor([row for row, target in enumerate(targets) for _ in target])
    columns = torch.tensor([t for start, end in spans for t in range(start - 1 - first, end - 1 - first)])
    scores = logits[rows.to(logits.device), columns.to(logits.device)].float()  # (scored tokens, V)
    wanted = torch.tensor([token for target in targets for token in target], device=logits.device)
    nll = (scores.logsumexp(-1) - scores.gather(-1, wanted[:, None])[:, 0]).double().cpu()
    sizes = [len(target) for target in targets]
    greedy = scores.argmax(-1).cpu().split(sizes)
    sums = [float(part.sum()) for part in nll.split(sizes)]
    return [Span(s, t, g.tolist()) for s, t, g in zip(sums, targets, greedy, strict=True)]


def last_logits(model: PreTrainedModel, keep: int) -> dict[str, int]:
    """The argument that asks for the logits of the last positions alone, where the model has it."""
    return {"logits_to_keep": keep} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
