import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    ViTConfig,
    ViTForImageClassification,
)

from vlmkit.core.errors import CapabilityError, InputError
from vlmkit.core.io.files import files_below
from vlmkit.core.models.load import load_causal_lm, read_lineage, resolve_device, resolve_dtype, save_model
from vlmkit.core.models.presets import build_causal_lm
from vlmkit.core.models.tokenizers import load_tokenizer, train_tokenizer

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
TOKENS = torch.arange(24).reshape(2, 12)
OPEN = """
import sys, torch
from transformers import AutoModelForCausalLM
import vlmkit
vlmkit.register()
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
print(model(torch.arange(24).reshape(2, 12)).logits.double().sum().item())
"""


def llama(seed=0, **changes):
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**SHAPE, vocab_size=50, bos_token_id=None, eos_token_id=None, **changes)).eval()


@pytest.fixture
def folder(tmp_path):
    """A checkpoint as another program would leave it: two shards, an index, no tokenizer."""
    llama().save_pretrained(tmp_path / "mine", max_shard_size="40KB")
    assert len(list((tmp_path / "mine").glob("model-*.safetensors"))) > 1
    return tmp_path / "mine"


@pytest.mark.parametrize("arch", ["open_lm", "llama", "qwen3"])
def test_what_is_saved_is_loaded(tmp_path, arch):
    model = build_causal_lm(arch, "tiny", vocab_size=300, seed=0).eval()
    save_model(model, tmp_path / "run" / "model")
    for path in (tmp_path / "run" / "model", tmp_path / "run"):
        loaded = load_causal_lm(path)
        assert not loaded.training
        with torch.no_grad():
            torch.testing.assert_close(loaded(TOKENS).logits, model(TOKENS).logits, atol=1e-6, rtol=0)
    assert (tmp_path / "run" / "model" / "README.md").exists() == (arch == "open_lm")


def test_transformers_opens_our_architecture_after_register(tmp_path):
    model = build_causal_lm("open_lm", "tiny", vocab_size=300, seed=0).eval()
    save_model(model, tmp_path)
    assert "vlmkit.register()" in (tmp_path / "README.md").read_text()
    with torch.no_grad():
        expected = model(TOKENS).logits
        torch.testing.assert_close(
            AutoModelForCausalLM.from_pretrained(tmp_path)(TOKENS).logits, expected, atol=1e-6, rtol=0
        )
    done = subprocess.run([sys.executable, "-c", OPEN, tmp_path], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(expected.double().sum().item(), rel=1e-6)


def test_a_sharded_checkpoint_of_the_user_is_loaded_without_a_tokenizer(folder):
    with torch.no_grad():
        assert torch.equal(load_causal_lm(folder)(TOKENS).logits, llama()(TOKENS).logits)
    with pytest.raises(InputError, match="no tokenizer"):
        load_tokenizer(folder)


def test_the_stored_number_format_is_kept_unless_another_is_asked_for(tmp_path):
    llama().bfloat16().save_pretrained(tmp_path)
    assert load_causal_lm(tmp_path).dtype == torch.bfloat16
    assert load_causal_lm(tmp_path, dtype=torch.float32).dtype == torch.float32
    with torch.no_grad():
        expected = llama().bfloat16().float()(TOKENS).logits
        torch.testing.assert_close(load_causal_lm(tmp_path, dtype=torch.float32)(TOKENS).logits, expected)


def test_nothing_is_asked_of_the_network(folder, monkeypatch):
    def refuse(*words, **more):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    load_causal_lm(folder)
    with pytest.raises(InputError):
        load_causal_lm(folder.parent / "gpt2")
    with pytest.raises(InputError):
        load_tokenizer(folder)


def test_an_attention_may_be_chosen(folder):
    assert load_causal_lm(folder, attention="vlmkit_twice").config._attn_implementation == "vlmkit_twice"
    with pytest.raises(InputError, match="vlmkit_twise"):
        load_causal_lm(folder, attention="vlmkit_twise")


def test_pickled_weights_are_loaded(tmp_path):
    model = llama()
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with torch.no_grad():
        assert torch.equal(load_causal_lm(tmp_path)(TOKENS).logits, model(TOKENS).logits)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def edit(path, **words):
    path.write_text(json.dumps(json.loads(path.read_text()) | words))


def shards(folder):
    return sorted(folder.glob("model-*.safetensors"))


def weights_gone(folder):
    for path in folder.glob("model*"):
        path.unlink()


DAMAGES = {  # what is done to a good folder -> (a word of the error, the name that it points to)
    "a shard is cut off": (lambda f: cut(shards(f)[-1]), "damaged", "model-0"),
    "a shard is missing": (lambda f: shards(f)[0].unlink(), "no such file", "model-00001"),
    "a shard is no tensor file": (lambda f: shards(f)[0].write_text("<html>"), "damaged", "model-00001"),
    "the index is broken": (lambda f: (f / "model.safetensors.index.json").write_text("{"), "index", "index.json"),
    "there are no weights": (weights_gone, "no weights", "mine"),
    "the config is missing": (lambda f: (f / "config.json").unlink(), "no model", "mine"),
    "the config is broken": (lambda f: (f / "config.json").write_text("{,"), "cannot be read", "config.json"),
    "the config names no type": (lambda f: (f / "config.json").write_text("{}"), "model_type", "config.json"),
    "the type is unknown": (lambda f: edit(f / "config.json", model_type="lamma"), "lamma", "config.json"),
    "there are more layers than weights": (lambda f: edit(f / "config.json", num_hidden_layers=3), "missing", "mine"),
    "the weights have another shape": (lambda f: edit(f / "config.json", intermediate_size=64), "shape", "mine"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_one_clear_error(folder, damage, capfd):
    act, word, where = DAMAGES[damage]
    act(folder)
    with pytest.raises(InputError) as caught:
        load_causal_lm(folder)
    assert word in caught.value.what
    assert where in str(caught.value.where)
    assert caught.value.fix
    assert capfd.readouterr() == ("", "")


def test_what_is_no_causal_language_model_is_refused(tmp_path):
    ViTForImageClassification(ViTConfig(**SHAPE, image_size=8, patch_size=4)).save_pretrained(tmp_path / "vit")
    BertForMaskedLM(BertConfig(**SHAPE, vocab_size=50)).save_pretrained(tmp_path / "bert")
    LlamaModel(LlamaConfig(**SHAPE, vocab_size=50)).save_pretrained(tmp_path / "body")
    for name, word in (("vit", "not a causal"), ("bert", "looks ahead"), ("body", "lm_head")):
        with pytest.raises(InputError, match=word):
            load_causal_lm(tmp_path / name)


@pytest.mark.parametrize("name", ["nothing", "file.csv"])
def test_what_is_no_folder_is_refused(tmp_path, name):
    (tmp_path / "file.csv").write_text("a,b\n")
    with pytest.raises(InputError):
        load_causal_lm(tmp_path / name)


def test_tensors_that_belong_to_nothing_are_reported(folder, caplog):
    edit(folder / "config.json", num_hidden_layers=1)
    load_causal_lm(folder)
    assert "ignored" in caplog.text


def test_lineage_is_kept_in_the_header_and_bytes_are_the_same(tmp_path):
    model = build_causal_lm("open_lm", "tiny", vocab_size=300, seed=0)
    lineage = {"tokens": "abc", "parent": "def", "command": "pretrain"}
    for name in "ab":
        save_model(model, tmp_path / name, lineage=dict(sorted(lineage.items(), reverse=name == "b")))
    assert read_lineage(tmp_path / "a") == lineage
    with safe_open(tmp_path / "a" / "model.safetensors", "pt") as file:
        assert file.metadata().keys() == {"format", "vlmkit"}
    names = [p.relative_to(tmp_path / "a") for p in files_below(tmp_path / "a")]
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)
    assert all(str(tmp_path) not in (tmp_path / "a" / n).read_text(errors="replace") for n in names)
    assert read_lineage(tmp_path / "none") == {}


def test_a_loaded_model_is_saved_with_the_same_bytes(tmp_path):
    save_model(build_causal_lm("open_lm", "tiny", vocab_size=300, seed=0), tmp_path / "a")
    save_model(load_causal_lm(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert str(tmp_path) not in (tmp_path / "b/config.json").read_text()


def test_the_tokenizer_is_saved_beside_and_generation_ends_with_it(tmp_path):
    tokenizer = train_tokenizer(["some text"], vocab_size=300)
    save_model(build_causal_lm("llama", "tiny", vocab_size=300, seed=0), tmp_path, tokenizer=tokenizer)
    assert load_tokenizer(tmp_path)("text")["input_ids"] == tokenizer("text")["input_ids"]
    assert load_causal_lm(tmp_path).generation_config.eos_token_id == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip


def test_saving_over_an_older_model_leaves_one_model(tmp_path):
    llama().save_pretrained(tmp_path, max_shard_size="40KB")
    save_model(llama(seed=1), tmp_path)
    with torch.no_grad():
        assert torch.equal(load_causal_lm(tmp_path)(TOKENS).logits, llama(seed=1)(TOKENS).logits)
    assert not list(tmp_path.glob("model-*"))


def test_a_device_is_found_or_refused():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("gpu", "cuda:x", "mps"):
        with pytest.raises(InputError, match="unknown device"):
            resolve_device(name)
    absent = f"cuda:{torch.cuda.device_count()}" if torch.cuda.is_available() else "cuda"
    with pytest.raises(CapabilityError, match="CUDA"):
        resolve_device(absent)


def test_number_formats_have_names():
    cpu = torch.device("cpu")
    assert resolve_dtype("auto", cpu) == torch.float32
    assert resolve_dtype("bfloat16", cpu) == torch.bfloat16
    assert resolve_dtype("float64", cpu) == torch.float64
    with pytest.raises(InputError, match="float32"):
        resolve_dtype("float31", cpu)
