"""Items of tasks in documents: planted ones are found, nothing else is touched, templates drop nothing, the report."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import regex

from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.curate.decontaminate import Index, Seeker, build_index, seek
from vlmkit.core.curate.grams import gram_hashes, words_of
from vlmkit.core.curate.items import Item, read_tasks
from vlmkit.core.curate.left import Document
from vlmkit.core.errors import InputError
from vlmkit.core.recipes.curate import run

EVAL = Path(__file__).parents[4] / "shared/data/eval"
PLAYS = Path(__file__).parents[4] / "shared/data/text"
VOCABULARY = [
    f"{a}{b}" for a in ("mar", "tol", "sen", "vik", "pra", "lun", "gos") for b in ("ta", "ri", "no", "ke", "su")
]


def prose(seed: int, words: int) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(VOCABULARY) for _ in range(words))


def look(tasks: dict[str, list[Item]], texts: list[str], *, threshold: float = 0.5):
    index, looks = build_index(tasks, size=13)
    return index, looks, look_by(index, texts, threshold=threshold)


def look_by(index: Index, texts: list[str], *, threshold: float = 0.5):
    documents = [Document(row, f"doc-{row}", "s", text, "") for row, text in enumerate(texts)]
    return seek(Seeker(index, threshold=threshold), documents)


@pytest.fixture(scope="module")
def evaluation():
    """DCLM's task files: items, their index, and what can be looked for."""
    if not EVAL.is_dir():
        pytest.skip(f"{EVAL} is not here")
    tasks = read_tasks([EVAL])
    return tasks, *build_index(tasks, size=13)


def write_lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def disguised(text: str, rng: random.Random) -> str:
    """The same words with other case, punctuation and line breaks."""
    words = regex.findall(r"[\p{L}\p{N}\p{M}\p{Cf}]+", text)
    ends = [" ", "\n", ", ", "… ", "; ", "\r\n\r\n", " — ", "\t"]
    return "".join(rng.choice([str.upper, str.lower, str.title])(word) + rng.choice(ends) for word in words)


def test_words_and_their_runs_do_not_depend_on_case_punctuation_form_or_batch():
    texts = ["Don't “stop”, x_y 3.14!", "", "ﬁne ha\u00adppy naïve", "日本語のtext。हिन्दी"]
    words = words_of(texts)
    parts = [words.between(*map(int, (sum(words.texts < k), sum(words.texts <= k)))) for k in range(4)]
    assert parts == ["don t stop x y 3 14", "", "fine happy naïve", "日 本 語 の text हिन्दी"]
    alone = [words_of([text]).hashes.tolist() for text in texts]
    assert [h for row in alone for h in row] == words.hashes.tolist()
    assert words_of(["DON’T, (stop): x y; 3/14"]).hashes.tolist() == alone[0]
    runs = dict(gram_hashes(words_of(["a b c d a b c"]).hashes, [2, 3]))
    assert runs[3][0] == runs[3][4]
    assert len({*runs[2].tolist(), *runs[3].tolist()}) == len({"ab", "bc", "cd", "da"}) + len(
        {"abc", "bcd", "cda", "dab"}
    )


def test_every_planted_item_of_every_task_is_found_whatever_its_dress(evaluation):
    rng = random.Random(0)
    tasks, index, looks = evaluation
    assert len(tasks) == 43
    planted, texts = [], []
    for task, items in tasks.items():
        testable = [item for item in items if item.number in looks[task].testable]
        for item in rng.sample(testable, min(20, len(testable))):
            planted.append((task, item.number))
            whole = " ".join(text for _, text in item.pieces)
            texts.append(f"{prose(len(texts), 60)} {disguised(whole, rng)} {prose(5000 + len(texts), 60)}")
    found = look_by(index, [*texts, *(prose(10_000 + k, 300) for k in range(50))])
    caught = {
        (int(row), index.about[piece].task, item)
        for row, piece in zip(found["row"], found["piece"], strict=True)
        for item in index.about[piece].items
    }
    assert len(planted) > 700
    assert [one for row, one in enumerate(planted) if (row, *one) not in caught] == []
    assert found["row"].max() < len(planted)


def test_plays_hold_no_items(evaluation):
    if not PLAYS.is_dir():
        pytest.skip(f"{PLAYS} is not here")
    texts = [path.read_text(errors="ignore") for path in sorted(PLAYS.glob("*.txt"))]
    found = look_by(evaluation[1], [text[k : k + 5000] for text in texts for k in range(0, len(text), 5000)])
    assert found["row"].size == 0


def question(number: int, text: str, answer: str = "") -> Item:
    return Item(number, (("question", text),), (answer,) if answer else ())


def test_the_share_is_of_words_that_lie_in_common_runs():
    item = prose(1, 40).split()
    tasks = {"t": [question(0, " ".join(item))]}
    for held in (12, 13, 19, 20, 30, 40):
        text = f"{prose(2, 50)} xx {' '.join(item[:held])} yy {prose(3, 50)}"
        _, _, found = look(tasks, [text], threshold=0.5)
        assert found["row"].size == (held >= 20)
        if held >= 20:
            assert found["share"][0] == pytest.approx(held / 40)
    edited = [*item]
    edited[20] = "other"
    assert look(tasks, [" ".join(edited)])[2]["share"].tolist() == [pytest.approx(39 / 40)]


def test_runs_do_not_cross_documents():
    item = prose(1, 16).split()
    assert look({"t": [question(0, " ".join(item))]}, [" ".join(item[:8]), " ".join(item[8:])])[2]["row"].size == 0


def test_short_items_are_found_whole_and_shorter_ones_are_told():
    tasks = {"t": [question(0, prose(1, 8)), question(1, prose(2, 7)), question(2, "")]}
    _, looks, found = look(tasks, [f"x {prose(1, 8)} y", f"x {prose(2, 7)} y", prose(1, 7)])
    assert (looks["t"].testable, looks["t"].short) == ({0}, 2)
    assert found["row"].tolist() == [0]


@pytest.mark.parametrize("count", [6, 200])
def test_the_template_of_a_task_drops_nothing(count):
    template = prose(99, 60)
    items = [question(k, f"{template} {prose(k, 20)}") for k in range(count)]
    _, looks, found = look(
        {"t": items}, [f"{prose(9001, 30)} {template} {prose(9002, 30)}", f"{prose(9003, 9)} {prose(3, 20)}"]
    )
    assert len(looks["t"].testable) == count
    assert (found["row"].tolist(), found["item"].tolist()) == ([1], [3])


def test_a_question_that_many_items_share_is_told_by_their_contexts():
    stem = "which one of the following best expresses the main idea of the passage"
    items = [Item(k, (("context", prose(k, 40)), ("question", stem)), ()) for k in range(30)]
    index, looks, found = look({"t": items}, [f"{prose(9001, 20)} {stem}?", f"aa {prose(4, 40)} bb"])
    assert len(looks["t"].testable) == 30
    assert found["row"].tolist() == [1]
    assert index.about[found["piece"][0]].kind == "context"


def test_an_answer_is_told_when_it_follows():
    tasks = {"t": [question(0, prose(1, 20), "the Blue heron")]}
    _, _, found = look(tasks, [f"{prose(1, 20)}? A: The blue HERON.", f"The blue heron. {prose(1, 20)}? No."])
    assert found["answered"].tolist() == [True, False]


FORMS = {  # name -> row, words of what is looked for, words of the answer
    "llm-foundry": ({"query": "Question: Which is it?\nA. one\nB. two three\nAnswer:", "choices": ["A", "B"],
                     "gold": 1},
                    "Which is it?", "two three"),
    "arc": ({"id": "x", "question": "Which is it?", "choices": {"text": ["one", "two"], "label": ["A", "B"]},
             "answerKey": "B"}, "Which is it?", "two"),
    "mmlu": ({"question": "Which is it?", "choices": ["one", "two"], "answer": 0}, "Which is it?", "one"),
    "hellaswag": ({"ctx": "A man sits", "endings": ["up", "down"], "label": "1"}, "A man sits", "down"),
    "squad": ({"context": "Long ago.", "question": "When?", "answers": {"text": ["ago"], "answer_start": [5]}},
              "When?", "ago"),
    "gsm8k": ({"context": "How many?", "answer": "18", "aliases": []}, "How many?", "18"),
    "logged": ({"doc": {"goal": "To sit", "sol1": "chair", "sol2": "lamp", "label": 0}, "target": "x"},
               "To sit", "chair"),
    "spaced names": ({"Question": "Which?", "Correct Answer": "this"}, "Which?", "this"),
    "schema": ({"context_options": ["It fell as it", "It fell as he"], "continuation": "broke.", "gold": 0},
               "It fell as it broke.", "It fell as it"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_rows_of_many_forms(tmp_path, name):
    row, text, answer = FORMS[name]
    (tasks,) = read_tasks([write_lines(tmp_path / "t.jsonl", [row])]).values()
    assert ("question", text) in tasks[0].pieces
    assert answer in tasks[0].answers


def test_task_files_of_all_kinds_and_their_names(tmp_path, caplog):
    folder = tmp_path / "tasks"
    (folder / "mmlu").mkdir(parents=True)
    pq.write_table(pa.table({"question": ["a b", "c d"], "answer": ["x", "y"]}), folder / "mmlu/test.parquet")
    (folder / "big.json").write_text(json.dumps({"name": "n", "examples": [{"input": "a", "target": "b"}] * 3}))
    (folder / "own.txt").write_text("first item\n\nsecond item\n")
    (folder / "settings.json").write_text(json.dumps([{"task": "a", "shots": 3}]))
    (folder / "README.md").write_text("no task")
    tasks = read_tasks([folder])
    assert {name: [item.number for item in items] for name, items in tasks.items()} == {
        "big": [0, 1, 2], "mmlu/test": [0, 1], "own": [0, 2],
    }  # fmt: skip
    assert "settings.json" in caplog.text
    with pytest.raises(InputError, match="no item"):
        read_tasks([folder / "settings.json"])
    with pytest.raises(InputError, match="two tasks"):
        read_tasks([folder, folder / "own.txt"])


def test_the_stage_drops_reports_and_gives_the_same_bytes_for_two_workers(tmp_path, monkeypatch):
    monkeypatch.setattr("vlmkit.core.io.sources.SMALLEST_PART", 4000)
    monkeypatch.setattr("vlmkit.core.io.sources.LARGEST_PART", 4000)
    items = [{"question": prose(k, 20), "answer": f"answer{k}"} for k in range(40)]
    task = write_lines(tmp_path / "quiz.jsonl", [*items, {"question": "Too short", "answer": "?"}])
    texts = [prose(1000 + k, 80) for k in range(60)]
    texts[7] += f" {items[3]['question'].upper()}: answer3. {prose(5, 9)}"
    texts[41] += f" {items[8]['question']} {items[9]['question']}"
    corpus = write_lines(tmp_path / "c.jsonl", [{"id": f"d{k}", "text": text} for k, text in enumerate(texts)])

    def curate(out: str, workers: int):
        return run(CurateConfig(inputs=(corpus,), out=tmp_path / out, stages=("extract", "decontaminate"),
                                decontaminate=(task,), workers=workers))  # fmt: skip

    result = curate("one", 1)
    told = result.values["decontamination"]["quiz"]
    assert {key: value for key, value in told.items() if key != "examples"} == {
        "items": 41, "testable": 40, "short": 1, "common": 0, "found": 3, "with_answer": 1, "question_only": 2,
        "context_only": 0, "documents": 2,
    }  # fmt: skip
    assert [(one["item"], one["id"]) for one in told["examples"]] == [(3, "d7"), (8, "d41"), (9, "d41")]
    dropped = pq.read_table(tmp_path / "one/dropped").to_pylist()
    assert [(row["id"], row["rule"], row["value"], row["threshold"], row["matched_id"]) for row in dropped] == [
        ("d7", "contaminated", 1.0, 0.5, "quiz#3"), ("d41", "contaminated", 1.0, 0.5, "quiz#8"),
    ]  # fmt: skip
    kept = pq.read_table(tmp_path / "one/documents").to_pylist()
    assert [row["text"] for row in kept] == [text for k, text in enumerate(texts) if k not in (7, 41)]
    (row,) = pq.read_table(tmp_path / "one/decontamination").to_pylist()
    assert (row["task"], len(row["matches"])) == ("quiz", 3)
    curate("two", 2)
    digests = [json.loads((tmp_path / out / "manifest.json").read_text())["content_digest"] for out in ("one", "two")]
    assert digests[0] == digests[1]


def test_nothing_to_look_for_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to go by"):
        CurateConfig(inputs=(Path("in"),), out=tmp_path / "o", stages=("extract", "decontaminate"))
    for settings in ({"decontaminate_ngram": 2}, {"decontaminate_threshold": 0.0}):
        with pytest.raises(InputError, match=r"words|share"):
            CurateConfig(inputs=(Path("in"),), out=tmp_path / "o", **settings)
