"""From the paths that a user gives to token shards of one tokenizer.

An input is tokens, documents (parquet with a column `text`), or a folder that holds either. The tokenizer is the one of
the tokens, of the model that is trained further, the user's, or trained from the documents.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from vlmkit.core.errors import InputError
from vlmkit.core.io.files import atomic
from vlmkit.core.io.progress import log, progress
from vlmkit.core.io.tables import iter_rows, open_part, parts
from vlmkit.core.io.tokens import SHARDS, TokenSet
from vlmkit.core.models.tokenizers import load_tokenizer, save_tokenizer, train_tokenizer, write_tokens

VOCAB_SIZE = 4096  # of a tokenizer that is trained here


@dataclass(frozen=True)
class Source:
    """What an input holds: tokens, documents, or both."""

    path: Path
    tokens: Path | None
    documents: Path | None


@dataclass(frozen=True)
class Corpus:
    """Folders of tokens of one tokenizer: what to train on, and the named sets to measure the loss on."""

    data: tuple[Path, ...]
    val: dict[str, Path]
    tokenizer: Path
    vocab_size: int


@dataclass(frozen=True)
class Sources:
    """Inputs that were found in order; `tokenizer` is None when one is to be trained on the documents."""

    data: tuple[Source, ...]
    val: dict[str, Source]
    tokenizer: Path | None
    vocab_size: int | None

    def corpus(self, scratch: Path) -> Corpus:
        """The tokens of all inputs; what has to be made (a tokenizer, tokens of documents) is kept in `scratch`."""
        folder = self.tokenizer or learn_tokenizer(self.data, self.vocab_size, scratch / "tokenizer")
        tokenizer = load_tokenizer(folder)
        data = tuple(tokens_of(source, tokenizer, scratch / f"data-{i}") for i, source in enumerate(self.data))
        val = {name: tokens_of(source, tokenizer, scratch / f"val-{name}") for name, source in self.val.items()}
        size = vocabulary([TokenSet(path) for path in (*data, *val.values())], tokenizer, self.vocab_size)
        return Corpus(data, val, folder, size)

    def estimate(self) -> tuple[int, int, bool]:
        """(vocabulary, tokens, whether the tokens were counted or are guessed at 4 bytes each); nothing is written."""
        tokenizer = load_tokenizer(self.tokenizer) if self.tokenizer else None
        counted = all(source.tokens is not None for source in self.data)
        sizes = [len(TokenSet(s.tokens)) if s.tokens else text_bytes(s.documents) // 4 for s in self.data]
        return self.vocab_size or (len(tokenizer) if tokenizer else VOCAB_SIZE), sum(sizes), counted


def open_sources(
    data: Sequence[Path], val: dict[str, Path], *, tokenizer: Path | None, vocab_size: int | None
) -> Sources:
    """Find all inputs and check what can be checked before anything is written.

    Args:
        tokenizer: the one that all tokens must be of; None takes that of the first tokens.
        vocab_size: the model's vocabulary, if it is known.

    Raises:
        InputError: an input holds nothing to train on, or is of another tokenizer.
    """
    found = tuple(locate(path) for path in data)
    sets = {name: locate(path) for name, path in val.items()}
    folder = tokenizer or next((source.tokens for source in found if source.tokens), None)
    everything = (*found, *sets.values())
    loaded = load_tokenizer(folder) if folder else None
    for source in everything:
        if source.documents is not None and (source.tokens is None or loaded is None):
            check_text(source.documents)
        if source.tokens is not None and loaded is not None:
            check_tokenizer(source, loaded)
    if loaded is not None:
        vocabulary([TokenSet(s.tokens) for s in everything if s.tokens and not s.documents], loaded, vocab_size)
    return Sources(found, sets, folder, vocab_size)


def locate(path: Path) -> Source:
    """Find the tokens and the documents of an input.

    Raises:
        InputError: it holds neither.
    """
    tokens = next((p for p in (path / "tokens", path) if p.is_dir() and next(p.glob(SHARDS), None)), None)
    tables = [p for p in (path / "documents", path) if next(p.glob("*.parquet"), None)]
    documents = path if path.is_file() and path.suffix == ".parquet" else tables[0] if tables else None
    if tokens is None and documents is None:
        what = "this folder holds" if path.is_dir() else "this file is"
        fix = "give what `vlmkit curate` wrote, or parquet with a column `text`"
        raise InputError(f"{what} neither tokens nor documents", where=str(path), fix=fix)
    return Source(path, tokens, documents)


def check_text(documents: Path) -> None:
    """Refuse a table without a column `text`."""
    next(iter(iter_rows(documents, columns=["text"], batch=1)), None)


def check_tokenizer(source: Source, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether an input's tokens are of this tokenizer; if not, it must have documents.

    Raises:
        InputError: it has not.
    """
    assert source.tokens is not None
    if agree(load_tokenizer(source.tokens), tokenizer):
        return True
    if source.documents is None:
        raise InputError(
            "these tokens were made with another tokenizer than that of the model or of the other inputs",
            where=str(source.path),
            fix="give the documents they came from, or tokens made with the same tokenizer",
        )
    return False


def learn_tokenizer(sources: Sequence[Source], vocab_size: int | None, folder: Path) -> Path:
    """Train a tokenizer on the documents of all inputs; what an earlier try has left in `folder` is taken as it is."""
    if not folder.exists():
        documents = (text for source in sources if source.documents for text in texts(source.documents))
        trained = train_tokenizer(told(documents, "train the tokenizer"), vocab_size=vocab_size or VOCAB_SIZE)
        with atomic(folder) as beside:
            save_tokenizer(trained, beside)
    return folder


def tokens_of(source: Source, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Path:
    """The tokens of an input by this tokenizer; documents are tokenised into `folder`, once."""
    if source.tokens is not None:
        if check_tokenizer(source, tokenizer):
            return source.tokens
        log.warning("%s: its tokens are of another tokenizer; its documents are tokenised again", source.path)
    assert source.documents is not None
    if not folder.exists():
        with atomic(folder) as beside:
            documents, _ = write_tokens(told(texts(source.documents), "tokenise"), tokenizer, beside)
            if not documents:
                raise InputError("there is no text here", where=str(source.path), fix="give documents with text")
    return folder


def texts(documents: Path) -> Iterator[str]:
    """The texts of a table of documents, empty ones left out and counted."""
    empty = 0
    for number, row in enumerate(iter_rows(documents, columns=["text"])):
        text = row["text"]
        if text is not None and not isinstance(text, str):
            raise InputError(f"column 'text' holds no text in row {number}", where=str(documents), fix="give text")
        if text:
            yield text
        else:
            empty += 1
    if empty:
        log.warning("%s: %d documents without text were left out", documents, empty)


def text_bytes(documents: Path | None) -> int:
    """The uncompressed size of a table's texts, from its metadata alone."""
    total = 0
    for path in parts(documents) if documents else []:
        metadata = open_part(path, ["text"]).metadata
        for group in range(metadata.num_row_groups):
            columns = [metadata.row_group(group).column(i) for i in range(metadata.num_columns)]
            total += sum(c.total_uncompressed_size for c in columns if c.path_in_schema == "text")
    return total


def told(items: Iterable[str], task: str) -> Iterator[str]:
    """Items as they come, with progress."""
    for number, item in enumerate(items, 1):
        yield item
        if number % 1000 == 0:
            progress(task, number, None, "documents")


def agree(a: PreTrainedTokenizerBase, b: PreTrainedTokenizerBase) -> bool:
    """Whether two tokenizers give the same tokens: equal vocabularies, end of text, and cutting of a probing text."""
    probe = "The quick brown fox's 1,234 jumps—été 東京\n\tover_lazy(dogs);"
    words = [one(probe, add_special_tokens=False)["input_ids"] for one in (a, b)]
    return a.get_vocab() == b.get_vocab() and a.eos_token_id == b.eos_token_id and words[0] == words[1]


def vocabulary(sets: Iterable[TokenSet], tokenizer: PreTrainedTokenizerBase, wanted: int | None) -> int:
    """The size of the model's vocabulary.

    Raises:
        InputError: the wanted one is smaller than the tokenizer's, or a token lies beyond it.
    """
    size = wanted or len(tokenizer)
    if len(tokenizer) > size:
        raise InputError(
            f"the tokenizer has {len(tokenizer):,} tokens, but the vocabulary is to have {size:,}",
            where="--vocab-size",
            fix=f"--vocab-size {len(tokenizer)} or more, or leave it out",
        )
    for tokens in sets:
        if tokens.vocab_bound > size:
            raise InputError(
                f"tokens go up to {tokens.vocab_bound - 1:,}, but the vocabulary has {size:,}",
                where=str(tokens.folder),
                fix=f"--vocab-size {tokens.vocab_bound} or more",
            )
    return size
