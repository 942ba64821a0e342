"""Tokenizers: trained on the user's own text (byte-level BPE), loaded from a folder, and used to write token shards."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from vlmkit.core.errors import InputError
from vlmkit.core.io.files import atomic
from vlmkit.core.io.tokens import TokenWriter

END_OF_TEXT = "<|endoftext|>"
FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
HISTORY = ("name_or_path", "is_local", "local_files_only")  # where a tokenizer came from: not part of what it is


def train_tokenizer(texts: Iterable[str], *, vocab_size: int = 4096) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer; the same texts give the same tokenizer.

    Token 0 is `<|endoftext|>` (end of text and padding), the next 256 are the bytes, so that any text can be written
    and read back. The vocabulary is smaller than `vocab_size` when the texts have no more pairs to merge.
    """
    if vocab_size < 257:
        raise InputError(
            f"a vocabulary of {vocab_size} is too small", where="vocab_size", fix="257 or more: every byte, end of text"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_valid(text) for text in texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT, clean_up_tokenization_spaces=False
    )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer in a folder, or in its subfolder `tokenizer` or `model`.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    places = [
        place for place in (folder, folder / "tokenizer", folder / "model") if any((place / f).is_file() for f in FILES)
    ]
    if not places:
        raise InputError(
            "no tokenizer here",
            where=str(folder),
            fix="give a folder that holds tokenizer.json, such as the one of its tokens",
        )
    from vlmkit.core.models.register import register

    register()
    try:
        return AutoTokenizer.from_pretrained(places[0], local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise InputError(
            f"this tokenizer cannot be read: {_first_line(error)}",
            where=str(places[0]),
            fix="copy it again, or train one",
        ) from error


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a tokenizer's files, each whole, with the same bytes wherever it was loaded from."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tokenizer.tmp-") as scratch:
        tokenizer.save_pretrained(scratch)
        for path in sorted(p for p in Path(scratch).rglob("*") if p.is_file()):
            content = path.read_bytes()
            if path.name == "tokenizer_config.json":
                config = {key: value for key, value in json.loads(content).items() if key not in HISTORY}
                content = (json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
            with atomic(folder / path.relative_to(scratch)) as temporary:
                temporary.write_bytes(content)


def write_tokens(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, folder: Path, *, batch: int = 1000
) -> tuple[int, int]:
    """Write texts as token shards with the tokenizer beside; returns how many documents and tokens there are.

    Each document is its tokens, without special ones, and the end-of-text token. A text that spells a special token is
    text: it cannot end a document.
    """
    end = tokenizer.eos_token_id
    if end is None:
        where = tokenizer.name_or_path or type(tokenizer).__name__
        raise InputError(
            "the tokenizer has no end-of-text token", where=where, fix="set eos_token in its tokenizer_config.json"
        )
    with TokenWriter(folder, vocab_size=len(tokenizer)) as writer:
        for chunk in _chunks(texts, batch):
            for ids in encode(chunk, tokenizer):
                writer.add([*ids, end])
    save_tokenizer(tokenizer, folder / "tokenizer")
    return writer.documents, writer.tokens


def encode(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Token ids of each text, without special tokens and whatever its length."""
    if not texts:
        return []
    return tokenizer(
        [_valid(text) for text in texts],
        add_special_tokens=False,
        return_attention_mask=False,
        split_special_tokens=True,
        truncation=False,
        verbose=False,
    )["input_ids"]


def _chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    source = iter(texts)
    while chunk := list(islice(source, size)):
        yield chunk


def _valid(text: str) -> str:
    """Text without lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
