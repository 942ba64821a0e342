"""`vlmkit pretrain` end to end: what it makes, that it resumes to the same bits, what it refuses."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import vlmkit
from vlmkit.core.configs.pretrain import PretrainConfig
from vlmkit.core.errors import CapabilityError, InputError
from vlmkit.core.io.manifest import read_manifest
from vlmkit.core.io.tables import read_tables
from vlmkit.core.io.tokens import TokenSet
from vlmkit.core.models.load import read_lineage
from vlmkit.core.models.tokenizers import train_tokenizer, write_tokens
from vlmkit.core.recipes.pretrain import run
from vlmkit.core.train.data import split

FAST = {"vocab_size": 320, "seq_len": 32, "batch_size": 4, "tokens": 3001, "holdout": 0.1}
OPTIONS = {"--vocab-size": "320", "--seq-len": "32", "--batch-size": "4", "--tokens": "20001", "--holdout": "0.1"}
WORDS = [*(word for pair in OPTIONS.items() for word in pair), "--json"]


def corpus(folder: Path, *, documents: int = 60, seed: int = 0) -> Path:
    draw = random.Random(seed)
    words = [
        "the",
        "a",
        "cat",
        "dog",
        "sat",
        "ran",
        "on",
        "under",
        "mat",
        "hill",
        "and",
        "then",
        "while",
        "it",
        "was",
        "quite",
        "very",
        "red",
        "old",
    ]
    rows = [" ".join(draw.choices(words, k=60)) + "." for _ in range(documents)]
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"id": [str(i) for i in range(documents)], "text": rows}), folder / "part-00000.parquet")
    return folder


def token_folder(folder: Path, *, vocab_size: int = 300, seed: int = 0) -> Path:
    texts = read_tables(corpus(folder / "text", seed=seed), columns=["text"])["text"].to_pylist()
    write_tokens(texts, train_tokenizer(texts, vocab_size=vocab_size), folder / "tokens")
    return folder / "tokens"


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain")
    data = corpus(folder / "pages")
    torch.set_num_threads(1)
    return data, folder / "run", run(PretrainConfig(data=(data,), out=folder / "run", **FAST))


def test_the_keys_are_those_of_the_contract(made):
    _, _, result = made
    keys = {"params", "tokens", "multiplier", "flops", "loss", "losses", "tokens_per_second", "mfu"}
    assert keys <= result.values.keys()
    assert result.values["tokens"] == 3001
    assert result.values["flops"] == 6 * result.values["params"] * 3001
    assert result.values["mfu"] is None
    assert result.values["losses"] == {"heldout": result.values["loss"]}


def test_the_run_row_and_the_log(made):
    _, out, result = made
    (row,) = read_tables(out / "run.parquet").to_pylist()
    values = result.values
    assert (row["N"], row["D"], row["C"]) == (values["params"], 3001, values["flops"])
    assert row["loss_heldout"] == values["loss"]
    assert row["dataset"] == "pages"
    assert row["name"].startswith("open_lm-tiny-3001-")
    log = read_tables(out / "metrics.parquet").to_pydict()
    assert log["step"] == list(range(1, values["steps"] + 1))
    assert log["tokens"][-1] == 3001
    assert {"loss", "lr", "grad_norm", "z_loss", "cross_entropy", "tokens_per_second"} <= log.keys()
    assert log["cross_entropy"][-1] < log["cross_entropy"][0]
    manifest = read_manifest(out)
    assert manifest.logs == ["metrics.parquet"]
    assert not (out / ".vlmkit").exists()


def test_the_model_opens_in_transformers_and_its_loss_is_the_one_reported(made):
    data, out, result = made
    vlmkit.register()
    model = AutoModelForCausalLM.from_pretrained(out / "model")
    tokenizer = AutoTokenizer.from_pretrained(out / "model")
    texts = read_tables(data, columns=["text"])["text"].to_pylist()
    write_tokens(texts, tokenizer, out.parent / "again")
    _, held = split([TokenSet(out.parent / "again")], fraction=0.1, seed=0)
    ids = torch.from_numpy(held.read(0, len(held)))
    nats = 0.0
    with torch.no_grad():
        for start in range(0, len(ids) - 1, 32):
            part = ids[start : start + 33]
            logits = model(input_ids=part[None, :-1]).logits[0].double()
            nats += torch.nn.functional.cross_entropy(logits, part[1:], reduction="sum").item()
    assert result.values["loss"] == pytest.approx(nats / (len(ids) - 1), rel=1e-5)


def test_the_lineage_of_the_data_is_in_the_weights(made):
    _, out, _ = made
    (given,) = read_manifest(out).inputs
    assert read_lineage(out / "model")["data"] == given.content_digest


def test_a_finished_run_is_handed_back_and_another_one_refused(made):
    data, out, result = made
    again = run(PretrainConfig(data=(data,), out=out, **FAST))
    assert again.reused
    assert again.values == result.values
    with pytest.raises(InputError, match="another run"):
        run(PretrainConfig(data=(data,), out=out, **FAST, lr=1e-3))


def test_equal_runs_are_equal_to_the_bit_and_another_seed_differs(made, tmp_path):
    data, out, _ = made
    digests = []
    for name, seed in (("a", 0), ("b", 1)):
        run(PretrainConfig(data=(data,), out=tmp_path / name, seed=seed, checkpoint_every=3, **FAST))
        digests.append(read_manifest(tmp_path / name).content_digest)
    first = read_manifest(out).content_digest
    assert digests[0] == first
    assert digests[1] != first


def test_a_dry_run_writes_nothing(made, tmp_path):
    data, _, result = made
    before = sorted(tmp_path.rglob("*"))
    plan = run(PretrainConfig(data=(data,), out=tmp_path / "lm", dry_run=True, **FAST)).values["plan"]
    assert sorted(tmp_path.rglob("*")) == before
    assert plan["params"] == result.values["params"]
    assert (plan["tokens"], plan["steps"], plan["flops"]) == (3001, result.values["steps"], result.values["flops"])
    assert plan["memory_bytes"] > 16 * plan["params"]


def test_tokens_a_curated_folder_and_several_inputs(tmp_path):
    tokens = token_folder(tmp_path / "clean")
    other = corpus(tmp_path / "more", seed=1)
    config = {key: FAST[key] for key in ("seq_len", "batch_size", "tokens")}
    a = run(PretrainConfig(data=(tokens,), out=tmp_path / "a", val={"more": other}, **config))
    b = run(PretrainConfig(data=(tmp_path / "clean",), out=tmp_path / "b", val={"more": other}, **config))
    assert a.values["losses"].keys() == {"more"}
    assert a.values["loss"] == b.values["loss"]
    both = run(PretrainConfig(data=(tmp_path / "clean", other), out=tmp_path / "c", **config))
    assert read_tables(tmp_path / "c" / "run.parquet")["dataset"].to_pylist() == ["clean+more"]
    assert both.values["epochs"] < a.values["epochs"]


def test_another_architecture_and_a_model_trained_further(made, tmp_path):
    data, out, result = made
    llama = run(PretrainConfig(data=(data,), out=tmp_path / "llama", arch="llama", **FAST))
    assert llama.values["loss"] < 6
    more = {"seq_len": 32, "batch_size": 4, "tokens": 2000, "holdout": 0.1}
    further = run(PretrainConfig(data=(data,), init=out, out=tmp_path / "further", **more))
    assert further.values["loss"] < result.values["loss"] + 0.1 < llama.values["loss"] + 0.5  # words at random: a floor
    assert read_lineage(tmp_path / "further" / "model")["init"] == read_manifest(out).content_digest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "neither tokens nor documents"),
        ({"data": "tokens", "vocab_size": 299}, "the vocabulary is to have 299"),
        ({"data": "tokens", "seq_len": 10**6}, "fewer than one sequence"),
        ({"data": "tokens", "init": "bare"}, "no tokenizer here"),
        ({"data": "tokens", "init": "model"}, "another tokenizer"),
        ({"data": "documents", "init": "model", "seq_len": 4096}, "takes at most"),
        ({"data": "documents", "warmup": 10**6}, "a warm-up of"),
        ({"data": "documents", "val": "missing"}, "does not exist"),
        ({"data": "nocolumn"}, "column 'text' is missing"),
        ({"data": "blank"}, "no text"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(made, tmp_path, options, words):
    _, out, _ = made
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "model": out, "missing": tmp_path / "missing", "bare": tmp_path / "bare"}
    places |= {"tokens": tmp_path / "t" / "tokens", "documents": tmp_path / "t" / "text"}
    token_folder(tmp_path / "t")
    for name, table in (("nocolumn", {"body": ["x"]}), ("blank", {"text": ["", None]})):
        places[name] = tmp_path / name
        places[name].mkdir()
        pq.write_table(pa.table(table), places[name] / "part-00000.parquet")
    AutoModelForCausalLM.from_pretrained(out / "model").save_pretrained(tmp_path / "bare")
    given = dict(options)
    given["data"] = (places[given.get("data", "empty")],)
    if "val" in given:
        given["val"] = {"set": places[given["val"]]}
    if "init" in given:
        given["init"] = places[given["init"]]
    with pytest.raises(InputError) as caught:
        run(PretrainConfig(out=tmp_path / "lm", **({"tokens": 500} | given)))
    assert words in str(caught.value)
    assert caught.value.where
    assert caught.value.fix
    assert not (tmp_path / "lm").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"tokens": 5, "multiplier": 2.0}, {"tokens": 0}, {"holdout": 1.0}, {"batch_size": -1}, {"dtype": "float16"},
        {"arch": "opne_lm"}, {"clip": -1.0}, {"nproc": 0}, {"beta2": 1.5},
        {"val": {"a/b": Path("x")}}, {"val": {"heldout": Path("x")}, "holdout": 0.1},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(options):
    with pytest.raises(InputError) as caught:
        PretrainConfig(data=(Path("clean"),), out=Path("lm"), **options)
    assert caught.value.where.startswith("--")
    assert caught.value.fix


def vlmkit_process(*words: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "vlmkit", "pretrain", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        command, env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}, **pipes
    )


def finished(*words: object) -> dict:
    process = vlmkit_process(*words)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return json.loads(out)


def until_training(folder: Path, process: subprocess.Popen) -> None:
    """Wait for the first checkpoint."""
    while process.poll() is None and not list(folder.glob(".vlmkit/checkpoints/step-*")):
        time.sleep(0.01)


def kill_and_compare(tmp_path: Path, moments: list[float]) -> None:
    data = corpus(tmp_path / "documents")
    finished(data, *WORDS, "--out", tmp_path / "whole")
    for index, moment in enumerate(moments):
        out = tmp_path / f"killed{index}"
        words = (data, *WORDS, "--checkpoint-every", 3, "--out", out)
        process = vlmkit_process(*words)
        if moment >= 0:
            until_training(out, process)
        time.sleep(abs(moment))
        process.kill()
        process.communicate()
        finished(*words)
        assert read_manifest(out).content_digest == read_manifest(tmp_path / "whole").content_digest
        steps = read_tables(out / "metrics.parquet")["step"].to_pylist()
        assert steps == list(range(1, len(steps) + 1))
        assert not list(out.rglob("*.tmp-*"))


def test_killed_and_run_again_the_digest_is_that_of_a_whole_run(tmp_path):
    kill_and_compare(tmp_path, [0.3])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_many_moments_the_digest_is_that_of_a_whole_run(tmp_path):
    draw = random.Random(0)
    kill_and_compare(tmp_path, [-3.0, -5.0, -6.0, -7.0, *(draw.uniform(0, 1.5) for _ in range(6))])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_so_and_can_go_on(tmp_path, number, code):
    data, out = corpus(tmp_path / "documents"), tmp_path / "lm"
    words = (data, *WORDS, "--tokens", 10**7, "--checkpoint-every", 5, "--out", out)
    process = vlmkit_process(*words)
    until_training(out, process)
    time.sleep(0.2)
    begin = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - begin < 5
    assert "the same words go on from here" in err
    (saved,) = (out / ".vlmkit" / "checkpoints").glob("step-*")
    assert json.loads((saved / "state.json").read_text())["step"] > 5


@pytest.mark.parametrize("how", ["nproc", "torchrun"])
def test_two_processes_reach_the_loss_of_one(made, tmp_path, how):
    data, _, result = made
    if how == "nproc":
        config = PretrainConfig(data=(data,), out=tmp_path / "two", nproc=2, parallel="fsdp", **FAST)
        values = run(config).values
    else:
        options = [word for key, value in FAST.items() for word in ("--" + key.replace("_", "-"), str(value))]
        module = "-m torch.distributed.run --standalone --nproc-per-node 2 -m vlmkit pretrain"
        script = [sys.executable, *module.split()]
        words = [*script, str(data), *options, "--json", "--out", str(tmp_path / "two")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
        values = json.loads(done.stdout)  # one object: the second process is silent
    assert values["loss"] == pytest.approx(result.values["loss"], rel=1e-3)
    assert values["tokens"] == result.values["tokens"]
    vlmkit.register()
    a, b = (AutoModelForCausalLM.from_pretrained(folder / "model") for folder in (made[1], tmp_path / "two"))
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=5e-3)


def test_no_gpu_is_a_missing_capability(made, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(CapabilityError, match="no CUDA device"):
        run(PretrainConfig(data=(made[0],), out=tmp_path / "lm", device="cuda", **FAST))
