"""Generated answers: greedy decoding with early stopping, the answer in the text, and whether it is right.

The rule is llm-foundry's `InContextLearningGenerationExactMatchAccuracy` (0.9.0): a normalised answer is right if it
starts with a normalised label, so 70 is right for the label 7.
"""

import re
import string
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteria, StoppingCriteriaList

from vlmkit.core.evaluate.prompts import Item, leading_space

BATCH_TOKENS = {"cpu": 16384, "cuda": 32768}  # a step costs much the same for few sequences and many
PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}‘’´`]")
ARTICLES = re.compile(r"\b(a|an|the)\b")


class StopAt(StoppingCriteria):
    """Ends a sequence whose new tokens show one of some texts near their end."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, prompt_tokens: int) -> None:
        self.tokenizer, self.texts, self.prompt_tokens = tokenizer, texts, prompt_tokens
        self.window = 1 + max(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: object) -> Tensor:  # noqa: ARG002
        """Which of the sequences (B, S) are done."""
        new = input_ids[:, max(self.prompt_tokens, input_ids.shape[1] - self.window) :]
        done = [any(stop in text for stop in self.texts) for text in self.tokenizer.batch_decode(new)]
        return torch.tensor(done, device=input_ids.device)


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    items: Sequence[Item],
    *,
    max_new_tokens: int,
    early_stopping: Sequence[str] = (),
    batch_tokens: int | None = None,
    batch_size: int = 0,
) -> Iterator[tuple[int, list[int]]]:
    """Greedy answers as token ids without the end token; yields (index of the item, ids), in the order of the work."""
    budget = batch_tokens or BATCH_TOKENS[model.device.type]
    order = sorted(range(len(items)), key=lambda i: (len(items[i].sequences[0]), i))
    while order:
        longest = len(items[order[-1]].sequences[0]) + max_new_tokens
        size = batch_size or max(1, budget // longest)
        batch, order = order[-size:], order[:-size]
        new = decode(model, tokenizer, [items[i].sequences[0] for i in batch], max_new_tokens, early_stopping)
        yield from zip(batch, new, strict=True)


def decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    max_new_tokens: int,
    early_stopping: Sequence[str],
) -> list[list[int]]:
    """Greedy continuations of prompts, padded on the left for the model; whatever the model's own settings say."""
    end = tokenizer.eos_token_id
    pad = end if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    pad = 0 if pad is None else pad
    length = max(map(len, prompts))
    ids = torch.tensor([[pad] * (length - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    stops = [StopAt(tokenizer, early_stopping, prompt_tokens=length)] if early_stopping else []
    found = model.generate(  # type: ignore[operator]
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        eos_token_id=end,
        pad_token_id=pad,
        stopping_criteria=StoppingCriteriaList(stops),
    )
    assert isinstance(found, Tensor)
    return [until(row, end, pad) for row in found[:, length:].tolist()]


def until(ids: list[int], end: int | None, pad: int) -> list[int]:
    """Ids before the end token and before the padding behind a sequence that was stopped."""
    ids = ids[: ids.index(end)] if end in ids else ids
    while ids and ids[-1] == pad:
        ids = ids[:-1]
    return ids


def answer_text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    """The text of generated ids, with the leading space that tokenizers with a mark of their own swallow."""
    text = str(tokenizer.decode(ids, skip_special_tokens=True))
    return text if leading_space(tokenizer) else " " + text


def clean(text: str, *, early_stopping: Sequence[str] = (), cot_delimiter: str = "") -> str:
    """The answer in a text: cut before the first stopping text, taken after the last cot delimiter, normalised."""
    if early_stopping:
        text = re.split("|".join(early_stopping), text)[0]
    if cot_delimiter:
        text = text.split(cot_delimiter)[-1]
    return normalise(text)


def normalise(text: str) -> str:
    """Lower case; punctuation, underscores and articles become spaces; spaces collapse. `1,000` becomes `1 000`."""
    text = PUNCTUATION.sub(" ", text.replace("_", " ").lower())
    return " ".join(ARTICLES.sub(" ", text).split())


def is_right(cleaned: str, labels: Sequence[str]) -> bool:
    """Whether a normalised answer starts with one of the labels, normalised; an empty one makes any answer right."""
    return any(cleaned.startswith(normalise(label)) for label in labels)
