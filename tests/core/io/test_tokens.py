import pickle
from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from vlmkit.core.errors import InputError
from vlmkit.core.io.tokens import TokenSet, TokenWriter


def write(folder, documents, *, vocab_size=100, shard_tokens=1 << 26):
    with TokenWriter(folder, vocab_size=vocab_size, shard_tokens=shard_tokens) as writer:
        for document in documents:
            writer.add(document)
    return writer


def some_documents(*, count=40, vocab_size=100, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, vocab_size, size=rng.integers(1, 30)) for _ in range(count)]


@pytest.mark.parametrize("shard_tokens", [1, 7, 64, 1 << 20])
def test_what_is_written_is_read_back_whatever_the_shards(tmp_path, shard_tokens):
    documents = some_documents()
    writer = write(tmp_path, documents, shard_tokens=shard_tokens)
    tokens = TokenSet(tmp_path)
    row = np.concatenate(documents)
    assert len(tokens) == len(row) == writer.tokens
    assert tokens.num_documents == len(documents) == writer.documents
    np.testing.assert_array_equal(tokens.read(0, len(row)), row)
    np.testing.assert_array_equal(tokens.doc_ends(), np.cumsum([len(d) for d in documents]))
    ends = [0, *tokens.doc_ends()]
    for (start, stop), document in zip(pairwise(ends), documents, strict=True):
        np.testing.assert_array_equal(tokens.read(start, stop), document)


def test_any_stretch_may_be_read(tmp_path):
    documents = some_documents(seed=1)
    write(tmp_path, documents, shard_tokens=13)
    row, tokens = np.concatenate(documents), TokenSet(tmp_path)
    rng = np.random.default_rng(2)
    for start, stop in np.sort(rng.integers(0, len(row) + 1, size=(200, 2)), axis=1):
        np.testing.assert_array_equal(tokens.read(start, stop), row[start:stop])
    assert tokens.read(len(row), len(row)).dtype == np.int64
    with pytest.raises(IndexError):
        tokens.read(0, len(row) + 1)


def test_shards_are_full_but_for_the_last_and_a_document_goes_on_in_the_next(tmp_path):
    write(tmp_path, [range(10), range(5)], shard_tokens=4)
    shards = [load_file(path) for path in sorted(tmp_path.iterdir())]
    assert [len(shard["tokens"]) for shard in shards] == [4, 4, 4, 3]
    assert [shard["doc_ends"].tolist() for shard in shards] == [[], [], [2], [3]]


@pytest.mark.parametrize(("vocab_size", "dtype"), [(1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)])
def test_two_bytes_hold_a_token_while_the_vocabulary_fits(tmp_path, vocab_size, dtype):
    write(tmp_path, [[0, vocab_size - 1]], vocab_size=vocab_size)
    assert load_file(tmp_path / "tokens-00000.safetensors")["tokens"].dtype == dtype
    tokens = TokenSet(tmp_path)
    assert tokens.read(0, 2).tolist() == [0, vocab_size - 1]
    assert tokens.vocab_bound == vocab_size


def test_the_same_documents_give_the_same_bytes(tmp_path):
    for name in "ab":
        write(tmp_path / name, some_documents(), shard_tokens=50)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_no_documents_make_an_empty_set(tmp_path):
    write(tmp_path, [])
    tokens = TokenSet(tmp_path)
    assert len(tokens) == tokens.num_documents == 0
    assert tokens.doc_ends().shape == tokens.read(0, 0).shape == (0,)


def test_shards_of_an_interrupted_writing_do_not_survive_the_next(tmp_path):
    write(tmp_path, [range(50)], shard_tokens=10)
    write(tmp_path, [range(15)], shard_tokens=10)
    assert len(TokenSet(tmp_path)) == 15


@pytest.mark.parametrize("document", [[], [-1], [100], [[1, 2]]])
def test_what_is_no_document_is_refused(tmp_path, document):
    with TokenWriter(tmp_path, vocab_size=100) as writer, pytest.raises(ValueError):
        writer.add(document)


def test_a_set_goes_to_a_worker_without_its_tokens(tmp_path):
    write(tmp_path, [np.zeros(100_000, dtype=int)])
    packed = pickle.dumps(TokenSet(tmp_path))
    assert len(packed) < 1000
    assert len(pickle.loads(packed)) == 100_000


def test_shards_of_another_writer_are_read(tmp_path):
    shard = {"tokens": np.array([5, 9, 2], dtype=np.uint16), "doc_ends": np.array([1, 3])}
    save_file(shard, tmp_path / "tokens-00000.safetensors")
    tokens = TokenSet(tmp_path)
    assert tokens.vocab_bound == 10
    assert tokens.read(0, 3).tolist() == [5, 9, 2]


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_truncated_shard_is_named(tmp_path, keep):
    write(tmp_path, [range(30), range(30)], shard_tokens=40)
    path = tmp_path / "tokens-00001.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError) as caught:
        TokenSet(tmp_path)
    assert caught.value.where == str(path)
    assert "damaged" in caught.value.what


DAMAGES = {
    "no documents": {"tokens": np.zeros(3, np.uint16)},
    "wrong type": {"tokens": np.zeros(3, np.float32), "doc_ends": np.array([3])},
    "two axes": {"tokens": np.zeros((3, 1), np.uint16), "doc_ends": np.array([3])},
    "ends beyond": {"tokens": np.zeros(3, np.uint16), "doc_ends": np.array([4])},
    "ends go back": {"tokens": np.zeros(3, np.uint16), "doc_ends": np.array([2, 1, 3])},
    "no last end": {"tokens": np.zeros(3, np.uint16), "doc_ends": np.array([2])},
    "ends of another type": {"tokens": np.zeros(3, np.uint16), "doc_ends": np.array([3], np.int32)},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_named(tmp_path, damage):
    path = tmp_path / "tokens-00000.safetensors"
    save_file(DAMAGES[damage], path)
    with pytest.raises(InputError) as caught:
        TokenSet(tmp_path)
    assert caught.value.where == str(path)


def test_bytes_after_the_last_array_are_damage(tmp_path):
    write(tmp_path, [range(30)])
    path = tmp_path / "tokens-00000.safetensors"
    path.write_bytes(path.read_bytes() + b"\0\0")
    with pytest.raises(InputError, match="2 bytes follow"):
        TokenSet(tmp_path)


def test_a_missing_shard_is_missed(tmp_path):
    write(tmp_path, [range(30)], shard_tokens=10)
    (tmp_path / "tokens-00001.safetensors").unlink()
    with pytest.raises(InputError, match="00001 is missing"):
        TokenSet(tmp_path)


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(InputError, match="no token shards"):
        TokenSet(tmp_path)
