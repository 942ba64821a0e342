"""How many planted near-duplicates are found in real text: `python benchmarks/planted.py INPUT`.

INPUT is what `vlmkit curate` reads as text. Documents of 100 words or more, drawn at random, are changed in some way
and put behind all documents; `vlmkit curate --stages dedup --dedup minhash` runs over both, once for each way. A pair
is found when the command does not keep both. Similarities are taken here, from sets of word 5-grams, not by our
kernels; a removed document is compared with the one that the drop log names. Fails if one below 0.5 was removed. With
`--peers` (a Python with datatrove, spacy and orjson) datatrove's four stages run over the same files.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
from curate import texts_of

WORD = re.compile(r"\w+")
LEAST_WORDS, LOWEST = 100, 0.5
BOILERPLATE = (
    "We and our partners store and read information on your device, such as unique identifiers in cookies, in order to "
    "process personal data. You may accept or manage your choices, at any time, on the page of our privacy policy."
)


@dataclass(frozen=True)
class Dice:
    """Random choices, and the words of the corpus, each as often as it occurs."""

    rng: random.Random
    vocabulary: list[str]

    def word(self) -> str:
        """A word."""
        return self.rng.choice(self.vocabulary)


Way = Callable[[str, Dice], str]


def main() -> None:
    """Plant in each way and print what is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("--count", type=int, default=250, help="pairs to plant in each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--similarity", type=float, default=0.7)
    parser.add_argument("--peers", help="Python that has datatrove and spacy")
    words = parser.parse_args()
    texts = list(dict.fromkeys(texts_of(words.input)))
    vocabulary = [word for text in texts for word in WORD.findall(text)]
    long = [number for number, text in enumerate(texts) if len(WORD.findall(text)) >= LEAST_WORDS]
    chosen = random.Random(words.seed).sample(long, min(words.count, len(long)))
    print(f"{len(texts):,} different documents, {len(chosen)} of {len(long)} long ones changed, seed {words.seed}")
    high = f"J>={words.similarity:g}"
    print(f"{'way':22}{'pairs':>6}{'found':>7}{high:>8}{'found':>7}{'recall':>9}{'removed':>9}{'J<0.5':>7}{'peer':>8}")
    wrong = 0
    for name, way in WAYS.items():
        dice = Dice(random.Random(f"{words.seed} {name}"), vocabulary)
        copies = [way(texts[number], dice) for number in chosen]
        every, pairs = texts + copies, [(number, len(texts) + place) for place, number in enumerate(chosen)]
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "planted.jsonl"
            rows = ({"id": str(number), "text": text} for number, text in enumerate(every))
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            removed = deduplicate(file, Path(scratch) / "out", words.similarity)
            peer = found_by(words.peers, file, pairs) if words.peers else "-"
        near = [pair for pair in pairs if similarity(every[pair[0]], every[pair[1]]) >= words.similarity]
        found = [pair for pair in pairs if pair[0] in removed or pair[1] in removed]
        among = len(set(found) & set(near))
        recall = f"{among / len(near):.2%}" if near else "-"
        low = sum(similarity(every[one], every[other]) < LOWEST for one, other in removed.items())
        wrong += low
        print(
            f"{name:22}{len(pairs):6}{len(found):7}{len(near):8}{among:7}{recall:>9}{len(removed):9}{low:7}"
            f"{peer:>8}", flush=True,
        )  # fmt: skip
    if wrong:
        sys.exit(f"{wrong} documents were removed for one that is less than {LOWEST} similar")


def share_of(text: str, share: float, dice: Dice, change: Callable[[str], str]) -> str:
    """A text with a share of its words changed, at least one of them."""
    spans = [found.span() for found in WORD.finditer(text)]
    pieces, at = [], 0
    for begin, end in sorted(dice.rng.sample(spans, max(1, round(share * len(spans))))):
        pieces += [text[at:begin], change(text[begin:end])]
        at = end
    return "".join([*pieces, text[at:]])


def replaced(share: float) -> Way:
    """Words replaced by others of the corpus, as often as they occur in it."""
    return lambda text, dice: share_of(text, share, dice, lambda _: dice.word())


def inserted(share: float) -> Way:
    """Words of the corpus put in front of some."""
    return lambda text, dice: share_of(text, share, dice, lambda word: f"{dice.word()} {word}")


def deleted(share: float) -> Way:
    """Words left out."""
    return lambda text, dice: share_of(text, share, dice, lambda _: "")


def truncated(share: float) -> Way:
    """The last words left out."""

    def way(text: str, _: Dice) -> str:
        spans = [found.span() for found in WORD.finditer(text)]
        return text[: spans[round((1 - share) * len(spans)) - 1][1]]

    return way


def burst(share: float) -> Way:
    """As many words as a share, one after the other, replaced."""

    def way(text: str, dice: Dice) -> str:
        spans = [found.span() for found in WORD.finditer(text)]
        size = max(1, round(share * len(spans)))
        at = dice.rng.randrange(len(spans) - size + 1)
        new = " ".join(dice.word() for _ in range(size))
        return text[: spans[at][0]] + new + text[spans[at + size - 1][1] :]

    return way


WAYS: dict[str, Way] = {
    "exact": lambda text, _: text,
    "case, marks, spaces": lambda text, _: "  ".join(WORD.findall(text.upper())),
    "1 % replaced": replaced(0.01),
    "3 % replaced": replaced(0.03),
    "5 % replaced": replaced(0.05),
    "10 % replaced": replaced(0.1),
    "3 % inserted": inserted(0.03),
    "3 % deleted": deleted(0.03),
    "10 % in one piece": burst(0.1),
    "last 10 % cut off": truncated(0.1),
    "last 25 % cut off": truncated(0.25),
    "paragraph in front": lambda text, _: f"{BOILERPLATE}\n\n{text}",
    "paragraph within": lambda text, _: text.replace("\n", f"\n{BOILERPLATE}\n", 1),
}


@cache
def ngrams(text: str) -> frozenset[tuple[str, ...]]:
    """The word 5-grams of a text without case and punctuation."""
    words = WORD.findall(text.lower())
    size = min(5, len(words))
    return frozenset(tuple(words[at : at + size]) for at in range(len(words) - size + 1) if words)


def similarity(one: str, other: str) -> float:
    """The Jaccard similarity of the 5-grams of two texts."""
    a, b = ngrams(one), ngrams(other)
    return len(a & b) / max(1, len(a | b))


def deduplicate(file: Path, out: Path, bound: float) -> dict[int, int]:
    """The numbers of the documents that the command removes, with that which each of them repeats."""
    command = [sys.executable, "-m", "vlmkit", "curate", str(file), "--stages", "dedup", "--dedup", "minhash"]
    subprocess.run([*command, "--similarity", str(bound), "--out", str(out)], capture_output=True, check=True)
    rows = pq.read_table(out / "dropped").to_pylist()
    return {int(row["id"]): int(row["matched_id"]) for row in rows}


def found_by(python: str, file: Path, pairs: list[tuple[int, int]]) -> str:
    """How many pairs datatrove does not keep both of."""
    script = Path(__file__).with_name("curate_peers.py")
    done = subprocess.run([python, script, "deduplicate", file], capture_output=True, text=True, check=False)
    if done.returncode:
        return "fails"
    found = json.loads(done.stdout.splitlines()[-1])
    kept = set(found.get("kept", ()))
    return "absent" if "absent" in found else str(sum(not {one, other} <= kept for one, other in pairs))


if __name__ == "__main__":
    main()
