"""Which documents of each source are taken, and how often, so that a corpus has wanted shares of tokens.

A document belongs to the first source whose name fits it. Documents of a source are taken in the order of a digest of
their ids, without replacement, until their tokens are as near as can be to what is wanted: a larger budget takes the
same documents and more, whatever the order of the inputs. A source with too few tokens is an error, unless it may be
passed over several times.
"""

import fnmatch
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import xxhash
import yaml

from vlmkit.core.curate.left import Arrays, Document
from vlmkit.core.curate.verdicts import SPARE, Verdicts
from vlmkit.core.errors import InputError
from vlmkit.core.io.progress import log
from vlmkit.core.io.sources import COMPRESSIONS

ESTIMATE = "utf-8 bytes / 4"
FILES = (".yaml", ".yml", ".toml")
UNKNOWN = "UNKNOWN"  # DCLM's source of files that no other source knows


@dataclass(frozen=True)
class Share:
    """What is wanted of one source: a weight or a number of tokens, or (DCLM) so many passes over it; names, globs or
    markers by which its documents are known; and how many passes over it are allowed."""

    name: str
    weight: float | None = None
    tokens: float | None = None
    frequency: float | None = None
    match: tuple[str, ...] = ()
    repeat: int = 1

    def fits(self, document: Document) -> bool:
        """Whether a document belongs to this source, unless it belongs to one before."""
        if self.frequency is not None:
            whole = f"{document.origin}/{document.source}"
            return any(marker in whole for marker in self.match) or self.name == UNKNOWN
        return any(named(pattern, document) for pattern in self.match or (self.name,))


@dataclass(frozen=True)
class Recipe:
    """The sources of a mix in their order, and how many tokens it is to have (None: as many as the weights allow)."""

    shares: tuple[Share, ...]
    tokens: float | None = None


def named(pattern: str, document: Document) -> bool:
    """Whether a name fits a document: it is its input's, or that of the file or a folder in its `source`; or a glob."""
    source, given = document.source, document.origin
    if any(char in pattern for char in "*?["):
        return fnmatch.fnmatchcase(source, pattern) or fnmatch.fnmatchcase(given, pattern)
    wanted = PurePosixPath(pattern).parts
    ways = [PurePosixPath(source).parts[: len(wanted)]]
    for path in (PurePosixPath(source), PurePosixPath(given)):
        ways += [path.parts[-len(wanted) :], (*path.parts[:-1], bare(path.name))[-len(wanted) :]]
    return bool(wanted) and wanted in ways


def bare(name: str) -> str:
    """A file's name without its endings."""
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return PurePosixPath(name).stem


def read_mix(words: Sequence[str], *, tokens: float | None, repeat: int) -> Recipe:
    """The mix that `NAME=WEIGHT` words, or one file, ask for.

    Raises:
        InputError: neither, a weight below zero, or nothing wanted at all.
    """
    files = [word for word in words if Path(word).suffix.lower() in FILES and "=" not in Path(word).name]
    if files and len(words) > 1:
        raise InputError("a file stands with other words", where=f"--mix {files[0]}", fix="one file, or NAME=WEIGHT …")
    if files:
        recipe = read_file(Path(files[0]), repeat)
    else:
        shares = tuple(share_of(*word.rpartition("=")[::2], repeat, where=f"--mix {word}") for word in words)
        recipe = Recipe(shares)
    names = [share.name for share in recipe.shares]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"two sources are named '{twice}'", where="--mix", fix="give each its own name")
    if not any(share.weight or share.tokens or share.frequency for share in recipe.shares):
        raise InputError("nothing is wanted of any source", where="--mix", fix="weights above zero: --mix web=0.7")
    return replace(recipe, tokens=tokens if tokens is not None else recipe.tokens)


def read_file(path: Path, repeat: int) -> Recipe:
    """The mix in a YAML or TOML file: `sources: {NAME: WEIGHT}` or `{NAME: {weight|tokens, match, repeat}}` with
    `tokens` and `repeat` for all; or DCLM's `sources: [{source, markers}]` with `sampling_frequencies`."""
    if not path.is_file():
        raise InputError("there is no such file", where=f"--mix {path}", fix="name a YAML or TOML file, or NAME=WEIGHT")
    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text) if path.suffix.lower() == ".toml" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"not {path.suffix[1:].upper()}: {error}", where=str(path), fix="mend the file") from error
    sources = found.get("sources") if isinstance(found, dict) else None
    if isinstance(sources, list) and isinstance(found.get("sampling_frequencies"), dict):
        known = dclm_shares(sources, found["sampling_frequencies"], str(path))
        return Recipe(tuple(sorted(known, key=lambda share: share.name == UNKNOWN)))  # it knows what no other does
    if not isinstance(sources, dict) or not sources:
        raise InputError("no sources are named", where=str(path), fix="sources: {web: 0.7, books: 0.3}")
    repeat = int(number(found.get("repeat", repeat), "repeat", str(path)))
    shares = []
    for name, value in sources.items():
        where = f"{path}, source {name}"
        share = value if isinstance(value, dict) else {"weight": value}
        if strange := sorted(set(share) - {"weight", "tokens", "match", "repeat"}):
            raise InputError(f"'{strange[0]}' is not known", where=where, fix="weight or tokens, match, repeat")
        match = share.get("match", ())
        one = share_of(str(name), share.get("weight"), int(number(share.get("repeat", repeat), "repeat", where)), where)
        tokens = number(share["tokens"], "tokens", where) if "tokens" in share else None
        if (tokens is None) == (one.weight is None):
            raise InputError("a source has a weight or a number of tokens", where=where, fix="give one of the two")
        shares.append(replace(one, tokens=tokens, match=(match,) if isinstance(match, str) else tuple(map(str, match))))
    total = found.get("tokens")
    return Recipe(tuple(shares), None if total is None else number(total, "tokens", str(path)))


def dclm_shares(sources: list[object], frequencies: Mapping[str, object], where: str) -> Iterator[Share]:
    """Sources as DCLM's tokeniser has them: a marker in its name tells a file, and it is passed over so many times."""
    for one in sources:
        if not isinstance(one, dict) or "source" not in one:
            raise InputError("an entry of `sources` has no `source`", where=where, fix="{source: C4, markers: [c4]}")
        name = str(one["source"])
        if name not in frequencies:
            raise InputError(f"'{name}' has no sampling frequency", where=where, fix=f"sampling_frequencies: {name}: 1")
        frequency = number(frequencies[name], name, where)
        markers = tuple(str(marker) for marker in one.get("markers") or ())
        yield Share(name, frequency=frequency, match=markers, repeat=max(1, math.ceil(frequency)))


def share_of(name: str, weight: object, repeat: int, where: str) -> Share:
    """A source with a weight."""
    if not name:
        raise InputError("a source has no name", where=where, fix="--mix NAME=WEIGHT, or a .yaml or .toml file")
    return Share(name, None if weight is None else number(weight, "weight", where), repeat=repeat)


def number(value: object, name: str, where: str) -> float:
    """A number that is not below zero."""
    try:
        found = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise InputError(f"{name} is {value!r}, no number from zero on", where=where, fix="such as 0.3")
    return found


class Counter:
    """Counts what a mix has to know of documents: by a tokenizer, or by their bytes."""

    def __init__(self, recipe: Recipe, tokenizer: Path | None, seed: int) -> None:
        self.recipe, self.seed = recipe, seed
        self.tokenizer = None
        if tokenizer is not None:
            from vlmkit.core.models.tokenizers import load_tokenizer

            self.tokenizer = load_tokenizer(tokenizer)

    def tokens(self, texts: list[str]) -> list[int]:
        """How many tokens documents have, the end of text included; an estimate where no tokenizer is."""
        if self.tokenizer is None:
            return [-(-len(text.encode("utf-8", "replace")) // 4) + 1 for text in texts]
        from vlmkit.core.models.tokenizers import encode

        return [len(ids) + 1 for ids in encode(texts, self.tokenizer)]


def count(counter: Counter, documents: Iterable[Document]) -> Arrays:
    """For each document its row, the number of its source (-1: none), a digest of its id, and its tokens."""
    rows, groups, keys, tokens = [], [], [], []
    waiting: list[str] = []
    for document in documents:
        rows.append(document.row)
        groups.append(next((k for k, share in enumerate(counter.recipe.shares) if share.fits(document)), -1))
        keys.append(xxhash.xxh3_64_intdigest(document.id.encode("utf-8", "surrogatepass"), counter.seed))
        waiting.append(document.text)
        if len(waiting) == 256:
            tokens += counter.tokens(waiting)
            waiting = []
    tokens += counter.tokens(waiting) if waiting else []
    return {
        "row": np.array(rows, np.int64), "group": np.array(groups, np.int64),
        "key": np.array(keys, np.uint64), "tokens": np.array(tokens, np.int64),
    }  # fmt: skip


def wanted_tokens(recipe: Recipe, available: Sequence[int]) -> tuple[list[int], float | None]:
    """How many tokens of each source are wanted, and the factor of the weights.

    Raises:
        InputError: a source with a share has no tokens, or fewer than are wanted of it.
    """
    shares = recipe.shares
    for share, has in zip(shares, available, strict=True):
        if not has and (share.weight or share.tokens):
            raise InputError(
                f"no document belongs to '{share.name}'",
                where="--mix",
                fix="name an input, a folder or file in the column source of the documents, or a glob",
            )
    weights = [
        s.weight or 0.0 if s.frequency is None else s.frequency * n for s, n in zip(shares, available, strict=True)
    ]
    fixed = sum(share.tokens or 0.0 for share in shares)
    total = sum(weights)
    most = min((s.repeat * n / w for s, n, w in zip(shares, available, weights, strict=True) if w), default=0.0)
    if recipe.tokens is not None:
        factor = max(recipe.tokens - fixed, 0.0) / total if total else 0.0
    else:
        factor = 1.0 if any(share.frequency is not None for share in shares) else most
    wanted = [
        round(s.tokens) if s.tokens is not None else min(round(factor * w), s.repeat * n) if factor == most else
        round(factor * w) for s, n, w in zip(shares, available, weights, strict=True)
    ]  # fmt: skip
    short = [
        f"{share.name} has {has:,} of {needs:,}"
        for share, has, needs in zip(shares, available, wanted, strict=True)
        if needs > share.repeat * has
    ]
    if short:
        fix = f"--mix-tokens {int(most * total + fixed)} at most, or --mix-repeat N for N passes over a source"
        raise InputError(f"too few tokens for this mix: {'; '.join(short)}", where="--mix", fix=fix)
    return wanted, factor


def find_spare(
    recipe: Recipe, results: Iterable[Mapping[str, np.ndarray]], found: Verdicts, *, tokens_by: str
) -> dict[str, object]:
    """Drop the documents that the mix leaves out, note how often others are written, and say what was taken."""
    gathered = [*results]
    names = ("row", "group", "key", "tokens")
    rows, groups, keys, tokens = (
        np.concatenate([np.zeros(0, np.uint64 if name == "key" else np.int64), *(one[name] for one in gathered)])
        for name in names
    )
    available = [int(tokens[groups == number].sum()) for number in range(len(recipe.shares))]
    wanted, _ = wanted_tokens(recipe, available)
    copies = np.ones(len(found.rule), dtype=np.int32)
    bounds = np.zeros(len(found.rule))
    report: dict[str, object] = {}
    for number, (share, want) in enumerate(zip(recipe.shares, wanted, strict=True)):
        mine = np.flatnonzero(groups == number)
        mine = mine[np.lexsort((rows[mine], keys[mine]))]
        ends = np.cumsum(tokens[mine])
        passes, rest = divmod(want, available[number]) if available[number] else (0, 0)
        taken = nearest_count(ends, rest)
        copies[rows[mine]] = passes
        copies[rows[mine[:taken]]] += 1
        bounds[rows[mine]] = rest / max(available[number], 1)
        left = mine[taken:] if not passes else mine[:0]
        found.drop(rows[left], SPARE, ends[taken:][: len(left)] / max(available[number], 1))
        has = passes * available[number] + (int(ends[taken - 1]) if taken else 0)
        report[share.name] = {
            "documents": len(mine), "available": available[number], "wanted": want, "taken": has,
            "documents_taken": len(mine) - len(left), "epochs": has / available[number] if available[number] else 0.0,
        }  # fmt: skip
    strange = rows[groups < 0]
    if strange.size:
        log.warning("%d documents belong to no source of the mix, and are left out", strange.size)
        found.drop(strange, SPARE, np.ones(strange.size))
    found.bounds[SPARE], found.copies = bounds, copies
    return {"tokens_by": tokens_by, "documents_of_no_source": int(strange.size), "sources": report}


def nearest_count(ends: np.ndarray, want: int) -> int:
    """How many documents, in order, have tokens nearest to what is wanted, given their cumulative tokens; the larger
    number when two are as near."""
    at = int(np.searchsorted(ends, want))
    if at == len(ends):
        return at
    before = int(ends[at - 1]) if at else 0
    return at + (int(ends[at]) - want <= want - before) if want else 0
