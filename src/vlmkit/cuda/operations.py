"""All compiled operations, and the check that each agrees with its plain-torch reference on this machine."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from vlmkit.cuda import cross_entropy, markup, ngrams, text
from vlmkit.cuda.build import Target

Difference = float


@dataclass(frozen=True)
class Operation:
    """An operation: its sources' name, what it does, where it is compiled for, and how it is checked.

    `check(device)` gives the largest relative difference to the reference in float64, beside that of plain torch in
    the same number format: a compiled version may be at most twice as far off.
    """

    name: str
    summary: str
    targets: tuple[Target, ...]
    check: Callable[[torch.device], tuple[Difference, Difference]]


def check_cross_entropy(device: torch.device) -> tuple[Difference, Difference]:
    """Loss and gradient on random rows, some ignored, some with an impossible class."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(67, 1003, generator=generator) * 8
    logits[3, :500] = -torch.inf
    targets = torch.randint(600, 1003, (67,), generator=generator)
    targets[::7] = -100
    logits, targets = logits.to(device), targets.to(device)
    g, h = (torch.rand(67, generator=generator).to(device) for _ in range(2))

    def far(outputs: tuple[torch.Tensor, ...]) -> Difference:
        return max(((a.double() - b).abs() / (1 + b.abs())).max().item() for a, b in zip(outputs, truth, strict=True))

    wide = logits.double()
    nll, lse = cross_entropy.reference(wide, targets, -100)
    truth = (nll, lse, cross_entropy.reference_backward(wide, targets, lse, g.double(), h.double(), -100))
    nll, lse = cross_entropy.row_nll(logits, targets, -100)
    ours = (nll, lse, cross_entropy.row_nll_backward(logits, targets, lse, g, h, -100))
    nll, lse = cross_entropy.reference(logits, targets, -100)
    plain = (nll, lse, cross_entropy.reference_backward(logits, targets, lse, g, h, -100))
    return far(ours), far(plain)


def check_text(device: torch.device) -> tuple[Difference, Difference]:
    """Random texts of all scripts: how many of the numbers differ."""
    del device
    generator = random.Random(0)
    pool = [
        *"aAbB1 2_.,:;'\"\n\r#*-•●… \0",
        "the ",
        ". . .",
        "...",
        "é",
        "漢",
        "ש",
        "ア",
        "\u200d",
        "\u0301",
        "👩",
        "🇦",
    ]
    texts = ["".join(generator.choices(pool[: size % 40 + 2], k=size)) for size in range(300)]
    different = [text.counts(one) != text.reference_counts(one) for one in texts]
    different += [text.repetition(one) != text.reference_repetition(one) for one in texts]
    different += [text.lines(one) != text.reference_lines(one) for one in texts]
    for flag in (str.isupper, str.isdigit):
        different += [text.lines_over(one, flag, 0.1) != text.reference_lines_over(one, flag, 0.1) for one in texts]
    for words in (["bb", "1 a"], ["the"]):
        different += [text.mentions(one, words) != text.reference_mentions(one, words) for one in texts]
    return float(sum(different)), 0.0


def check_markup(device: torch.device) -> tuple[Difference, Difference]:
    """Random pages: how many are cut differently."""
    del device
    generator = random.Random(0)
    pool = [*"<>'\n", "a ", "é", "漢 ", "&amp;", "<!--", "-->"]
    pool += [f"<{name}>" for name in ("p", "/p", "div class=a", "/div", "a href='>'", "/a", "br", "li", "ul", "/ul")]
    pool += [f"<{name}>" for name in ("pre", "/pre", "script", "/script", "td", "tr", "table", "/table")]
    pages = ["".join(generator.choices(pool, k=size)) for size in range(300)]
    different = [vars(markup.scan(one)) for one in pages], [vars(markup.reference_scan(one)) for one in pages]
    shown = ("tags", "parents", "attributes", "blocks")
    return float(sum(any(a[key] != b[key] for key in shown) for a, b in zip(*different, strict=True))), 0.0


def check_ngrams(device: torch.device) -> tuple[Difference, Difference]:
    """Random texts: how many sets of n-grams, and signatures of them, differ."""
    del device
    generator, numbers = random.Random(0), np.random.default_rng(0)
    places, factors = (numbers.integers(0, 1 << 64, count, dtype=np.uint64) for count in (5, 24))
    texts = ["".join(generator.choices("ab é漢_.,\n", k=size)) for size in range(200)]
    sets = [(ngrams.shingles(one, places), ngrams.reference_shingles(one, places)) for one in texts]
    different = [not np.array_equal(ours, plain) for ours, plain in sets]
    for ours, _ in sets:
        found = ngrams.signature(ours, factors, factors), ngrams.reference_signature(ours, factors, factors)
        different.append(not np.array_equal(*found))
    return float(sum(different)), 0.0


OPERATIONS = (
    Operation("cross_entropy", "cross-entropy with z-loss over rows of logits", ("cpu", "cuda"), check_cross_entropy),
    Operation("text", "words, lines and repetition of a text, for curation", ("cpu",), check_text),
    Operation("markup", "elements and blocks of text of an HTML page", ("cpu",), check_markup),
    Operation("ngrams", "n-grams, MinHash signatures and Bloom filters of texts", ("cpu",), check_ngrams),
)
