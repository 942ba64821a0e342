"""Faults that users found, each once: what went wrong names the test."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, vlmkit):
    """A small curated corpus with tokens."""
    root = tmp_path_factory.mktemp("corpus")
    words = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "seven", "owls", "watch"]
    text = "\n\n".join(" ".join(words[(i * k) % len(words)] for k in range(1, 90)) for i in range(1, 60))
    (root / "page.txt").write_text(text)
    made = vlmkit("curate", root / "page.txt", "--stages", "extract,tokenize", "--tokenizer", "train",
                  "--vocab-size", 300, "--out", root / "clean")  # fmt: skip
    assert made.code == 0, made.err
    return root / "clean"


NANO = ("--size", "nano", "--tokens", "2000", "--seq-len", "64", "--json")


@pytest.mark.parametrize(
    "words",
    [
        ("--seed", "-1"), ("--seed", "99999999999999999999"), ("--tokens", "1e30"), ("--lr", "nan"), ("--lr", "inf"),
        ("--vocab-size", "1e9"), ("--cooldown", "0.5"), ("--init", "x", "--arch", "llama"),
        ("--val", "a=x", "--val", "a=y"),
    ],
)  # fmt: skip
def test_numbers_and_settings_that_cannot_be_are_refused_before_anything_is_made(vlmkit, corpus, tmp_path, words):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    done = vlmkit("pretrain", corpus, *NANO, *words, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.json["error"]["code"] == done.code == 2
    assert not (tmp_path / "out").exists()


def test_a_missing_gpu_leaves_nothing_behind(vlmkit, corpus, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here, so nothing is missing")
    done = vlmkit("pretrain", corpus, *NANO, "--device", "cuda", "--out", tmp_path / "out")
    assert done.json["error"]["code"] == done.code == 3
    assert not (tmp_path / "out").exists()


def test_an_absurd_vocabulary_does_not_kill_the_process(vlmkit, tmp_path):
    (tmp_path / "a.txt").write_text("one two three")
    done = vlmkit("curate", tmp_path / "a.txt", "--tokenizer", "train", "--vocab-size", "1e9", "--out", tmp_path / "o")
    assert done.code == 2
    assert "--vocab-size" in done.err
    assert not (tmp_path / "o").exists()


def test_empty_files_are_in_the_drop_log(vlmkit, tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    for name in ("a.warc.gz", "b.jsonl", "c.txt"):
        (inside / name).write_bytes(b"")
    (inside / "d.txt").write_text("something to read")
    found = vlmkit("curate", inside, "--stages", "extract", "--out", tmp_path / "out", "--json").json
    assert found["documents"] == 1
    assert found["rules"] == {"empty_file": 3}


def test_an_interrupted_run_with_json_says_so_in_json(corpus, tmp_path):
    words = [
        "pretrain",
        corpus,
        "--size",
        "nano",
        "--tokens",
        "5e7",
        "--seq-len",
        "64",
        "--json",
        "--out",
        tmp_path / "o",
    ]
    command = [sys.executable, "-m", "vlmkit", *map(str, words)]
    for sign, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not (tmp_path / "o" / ".vlmkit").is_dir() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(2)
        process.send_signal(sign)
        out, err = process.communicate(timeout=30)
        assert process.returncode == code, err
        assert json.loads(out)["error"]["code"] == code
        assert "Traceback" not in err


def test_a_damaged_artifact_is_not_handed_back(vlmkit, corpus, tmp_path):
    words = ("pretrain", corpus, *NANO, "--out", tmp_path / "lm")
    assert vlmkit(*words).code == 0
    assert vlmkit(*words).json["reused"] is True
    (tmp_path / "lm" / "run.parquet").unlink()
    done = vlmkit(*words)
    assert done.code == 2
    assert "damaged" in done.json["error"]["what"]
    assert vlmkit(*words, "--overwrite").code == 0


def test_verify_finds_one_changed_byte_in_any_file_from_any_folder(vlmkit, corpus, tmp_path):
    made = vlmkit("pretrain", os.path.relpath(corpus, tmp_path), *NANO, "--out", "lm", cwd=tmp_path)
    assert made.code == 0, made.err
    artifact = tmp_path / "lm"
    assert vlmkit("verify", artifact, cwd="/").code == 0
    for path in sorted(p for p in artifact.rglob("*") if p.is_file() and p.name != "manifest.json"):
        whole = path.read_bytes()
        path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        done = vlmkit("verify", artifact, "--json", cwd="/")
        assert done.code == 1
        assert [fault["file"] for fault in done.json["faults"]] == [path.relative_to(artifact).as_posix()]
        path.write_bytes(whole)
    part = next((corpus / "documents").glob("part-*.parquet"))
    whole = part.read_bytes()
    part.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    done = vlmkit("verify", artifact, "--json", cwd="/")  # up the chain, although the input was named relatively
    part.write_bytes(whole)
    assert done.code == 1
    assert done.json["faults"][0]["file"] == part.relative_to(corpus).as_posix()


@pytest.mark.parametrize("words", ["inspect .", "curate --help", "kernels list --json"])
def test_a_reader_that_leaves_early_is_no_failure(tmp_path, words):
    line = f"set -o pipefail; {sys.executable} -m vlmkit {words} | head -c 1 > /dev/null"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_inspect_shows_an_archive_and_no_raw_bytes(vlmkit, tmp_path):
    from vlmkit.core.io.warc import Response, write_warc

    write_warc(tmp_path / "a.warc.gz", [Response("https://a.example/1", b"<p>one</p>")], software="test")
    found = vlmkit("inspect", tmp_path / "a.warc.gz", "--json").json
    assert found["kind"] == "archive"
    assert found["records"]["response"] == 1
    assert found["first pages"][0]["url"] == "https://a.example/1"
    (tmp_path / "b.bin").write_bytes(b"\x1b[31m\x00")
    assert "\x1b" not in vlmkit("inspect", tmp_path / "b.bin").out


TABLE = "N,D,loss,flag,note\n" + "".join(
    f"{n:g},{n * m:g},{1.7 + 400 / n**0.34 + 500 / (n * m) ** 0.3},{m == 20},x\n"
    for n in (1e8, 3e8, 1e9)
    for m in (5, 20, 80)
)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--loss-column", "note"), "note"),
        (("--where", "(" * 5000 + "N > 1" + ")" * 5000), "nested too deeply"),
        (("--where", "flag == 0"), "a condition by itself"),
        (("--where", "N / 0 > 1"), ""),  # chooses no row
        (("--delta", "5"), "Huber"),
    ],
)
def test_tables_and_expressions_that_make_no_sense_are_refused(vlmkit, tmp_path, words, what):
    (tmp_path / "runs.csv").write_text(TABLE)
    done = vlmkit("fit-scaling", tmp_path / "runs.csv", *words, "--out", tmp_path / "law", "--json")
    assert done.code == 2
    assert what in done.json["error"]["what"] + done.json["error"]["fix"]
    assert not (tmp_path / "law").exists()


def test_a_column_of_text_and_numbers_is_named(vlmkit, tmp_path):
    (tmp_path / "runs.csv").write_text(TABLE + "2e9,4e10,oops,True,x\n")
    done = vlmkit("fit-scaling", tmp_path / "runs.csv", "--out", tmp_path / "law", "--json")
    assert done.code == 2
    assert "loss" in done.json["error"]["what"]


def test_an_m_that_is_not_d_over_n_is_said_aloud(vlmkit, tmp_path):
    rows = TABLE.splitlines()
    (tmp_path / "runs.csv").write_text("\n".join([rows[0] + ",M", *(f"{row},999" for row in rows[1:])]))
    done = vlmkit("fit-scaling", tmp_path / "runs.csv", "--out", tmp_path / "law", "--json")
    assert done.code == 0
    assert any(text.startswith("M is not D / N in 9 rows") for text in done.json["warnings"])


def test_a_table_in_the_place_of_a_law_is_an_input_error(vlmkit, tmp_path):
    (tmp_path / "runs.csv").write_text(TABLE)
    done = vlmkit("fit-scaling", "predict", tmp_path / "runs.csv", "--predict", "1e9,2e10")
    assert done.code == 2


def test_the_environment_may_ask_for_json(vlmkit, tmp_path):
    assert vlmkit("inspect", tmp_path, env={"VLMKIT_JSON": "1"}).json["kind"] == "folder"
    assert vlmkit("inspect", tmp_path / "absent", env={"VLMKIT_JSON": "1"}).json["error"]["code"] == 2
