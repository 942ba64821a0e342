import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import vlmkit
from vlmkit.core.errors import InputError
from vlmkit.core.models.attention import IMPLEMENTATIONS, plain_attention, recorded, set_attention, using_attention
from vlmkit.core.models.open_lm import OpenLMConfig, OpenLMForCausalLM

vlmkit.register()
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
TEXT = SHAPE | {"vocab_size": 50, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
CLIP = {"text_config": TEXT | {"eos_token_id": 49}, "vision_config": SHAPE | {"image_size": 8, "patch_size": 4}}
ENCODERS, DECODERS = ("bert",), ("llama", "qwen3", "mistral", "open_lm")


def model_of(name, **changes):
    makers = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**TEXT, **changes)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**TEXT, num_key_value_heads=2, head_dim=8, **changes)),
        "mistral": lambda: MistralForCausalLM(
            MistralConfig(**TEXT, num_key_value_heads=1, sliding_window=3, **changes)
        ),
        "open_lm": lambda: OpenLMForCausalLM(
            OpenLMConfig(**{k: v for k, v in TEXT.items() if k != "intermediate_size"})
        ),
        "bert": lambda: BertModel(BertConfig(**TEXT, **changes)),
        "vit": lambda: ViTForImageClassification(
            ViTConfig(**SHAPE, image_size=8, patch_size=4, num_labels=3, **changes)
        ),
        "clip": lambda: CLIPModel(CLIPConfig(**CLIP)),
    }
    torch.manual_seed(0)
    model = makers[name]().eval()
    with torch.no_grad():  # large weights, so that attention is far from uniform and a wrong mask shows
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.2)
    return model


def batch_of(name, *, side="left"):
    torch.manual_seed(1)
    if name == "vit":
        return {"pixel_values": torch.randn(3, 3, 8, 8)}, None
    real = torch.ones(3, 9, dtype=torch.long)
    for row, length in enumerate((9, 5, 2)):
        real[row, : 9 - length] = side != "left"
        real[row, length:] = side == "left" or length == 9
        real[row] = (torch.arange(9) >= 9 - length if side == "left" else torch.arange(9) < length).long()
    words = {"input_ids": torch.randint(0, 49, (3, 9)), "attention_mask": real}
    if name == "clip":
        words["input_ids"][:, -1 if side == "left" else 1] = 49
        return words | {"pixel_values": torch.randn(3, 3, 8, 8)}, None
    return words, real.bool()


def output_of(model, batch, real):
    out = model(**batch)
    if "logits_per_image" in out:
        return out.logits_per_image
    values = out.logits if "logits" in out else out.last_hidden_state
    return values if real is None else values[real]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", [*DECODERS, *ENCODERS, "vit", "clip"])
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_padded_batches_equal_eager(name, kind, side):
    model, (batch, real) = model_of(kind), batch_of(kind, side=side)
    with torch.no_grad():
        set_attention(model, "eager")
        expected = output_of(model, batch, real)
        set_attention(model, name)
        torch.testing.assert_close(output_of(model, batch, real), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [*DECODERS, *ENCODERS])
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_what_stands_in_the_padding_does_not_matter(name, kind):
    model, (batch, real) = model_of(kind), batch_of(kind)
    set_attention(model, name)
    other = batch | {"input_ids": batch["input_ids"].where(real, (batch["input_ids"] + 7) % 49)}
    with torch.no_grad():
        assert torch.equal(output_of(model, batch, real), output_of(model, other, real))


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_gradients_of_a_padded_batch_equal_eager(name):
    gradients = {}
    for implementation in ("eager", name):
        model, (batch, real) = model_of("qwen3"), batch_of("qwen3")
        set_attention(model, implementation)
        output_of(model, batch, real).square().mean().backward()
        gradients[implementation] = {n: p.grad for n, p in model.named_parameters()}
    for parameter, gradient in gradients["eager"].items():
        torch.testing.assert_close(gradients[name][parameter], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "open_lm"])
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_autocast_gives_the_gradients_of_eager(name, kind):
    batch, real = batch_of(kind)
    gradients = {}
    for implementation in ("float32", "eager", name):
        model = model_of(kind)
        set_attention(model, "eager" if implementation == "float32" else implementation)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=implementation != "float32"):
            loss = output_of(model, batch, real).float().square().mean()
        loss.backward()
        gradients[implementation] = torch.cat([p.grad.flatten() for p in model.parameters()])
    error = {name: (g - gradients["float32"]).norm() for name, g in gradients.items()}
    assert error[name] < 2 * error["eager"]


def squared_input_gradient(model, pixels):
    loss = model(pixel_values=pixels).logits.logsumexp(-1).sum()
    return torch.autograd.grad(loss, pixels, create_graph=True)[0].square().sum()


def test_the_gradient_of_a_gradient_exists_where_torch_has_none():
    model, (batch, _) = model_of("vit").double(), batch_of("vit")
    pixels, weights = batch["pixel_values"].double().requires_grad_(), list(model.parameters())
    grads = {}
    for name in ("eager", "vlmkit_plain", "vlmkit_twice"):
        with using_attention(model, name):
            grads[name] = torch.autograd.grad(squared_input_gradient(model, pixels), weights, allow_unused=True)
    for twice, plain, eager in zip(grads["vlmkit_twice"], grads["vlmkit_plain"], grads["eager"], strict=True):
        torch.testing.assert_close(twice, plain, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(twice, eager, rtol=1e-3, atol=1e-5)  # eager's softmax is float32 in a float64 model
    with using_attention(model, "sdpa"), pytest.raises(RuntimeError, match="not implemented"):
        torch.autograd.grad(squared_input_gradient(model, pixels), weights, allow_unused=True)


def test_the_gradient_of_a_gradient_is_the_central_difference():
    model, (batch, _) = model_of("vit").double(), batch_of("vit")
    pixels, weights = batch["pixel_values"].double().requires_grad_(), list(model.parameters())
    set_attention(model, "vlmkit_twice")
    torch.manual_seed(3)
    direction, step = [torch.randn_like(w) for w in weights], 1e-5
    grads = torch.autograd.grad(squared_input_gradient(model, pixels), weights, allow_unused=True)
    slope = sum((g * d).sum() for g, d in zip(grads, direction, strict=True) if g is not None)
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            moved = {n: p + sign * step * d for (n, p), d in zip(model.named_parameters(), direction, strict=True)}
        call = torch.func.functional_call(model, moved, kwargs={"pixel_values": pixels})
        (gradient,) = torch.autograd.grad(call.logits.logsumexp(-1).sum(), pixels)
        ends.append(gradient.square().sum())
    torch.testing.assert_close(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "open_lm"])
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_generation_with_a_cache_equals_eager(name, kind):
    model, (batch, _) = model_of(kind), batch_of(kind)
    words = {}
    for implementation in ("eager", name):
        set_attention(model, implementation)
        words[implementation] = model.generate(**batch, max_new_tokens=6, do_sample=False, pad_token_id=0)
    assert torch.equal(words["eager"], words[name])


@pytest.mark.parametrize("kind", [*DECODERS, *ENCODERS, "vit"])
def test_recorded_maps_are_those_of_eager(kind):
    model, (batch, real) = model_of(kind), batch_of(kind)
    set_attention(model, "eager")
    expected = model(**batch, output_attentions=True).attentions
    with recorded(model) as maps:
        model(**batch)
    assert model.config._attn_implementation == "eager"
    assert len(maps) == len(expected) == 2
    for (weights,), eager in zip(maps.values(), expected, strict=True):
        assert weights.requires_grad
        seen = slice(None) if real is None else real[:, None, :].expand(weights.shape[:3])
        torch.testing.assert_close(weights[seen], eager[seen], atol=1e-6, rtol=1e-5)


def test_maps_are_recorded_by_module_and_call_and_only_inside_the_block():
    model, (batch, _) = model_of("llama"), batch_of("llama")
    with torch.no_grad(), recorded(model) as maps:
        model(**batch)
        model(**batch)
    model(**batch)
    assert {name: len(calls) for name, calls in maps.items()} == {f"model.layers.{i}.self_attn": 2 for i in range(2)}
    assert not maps["model.layers.0.self_attn"][0].requires_grad


def test_another_models_maps_are_not_recorded():
    model, other = model_of("llama"), model_of("llama")
    set_attention(other, "vlmkit_record")
    with recorded(model) as maps:
        other(**batch_of("llama")[0])
    assert not maps


@pytest.mark.parametrize("name", ["vlmkit_plain", "vlmkit_record"])
def test_dropout_drops_what_eager_drops(name):
    model, (batch, real) = model_of("llama", attention_dropout=0.3).train(), batch_of("llama", side="right")
    results = {}
    for implementation in ("eager", name):
        set_attention(model, implementation)
        torch.manual_seed(5)
        results[implementation] = output_of(model, batch, real)
    torch.testing.assert_close(results[name], results["eager"], atol=1e-5, rtol=1e-5)


def test_dropout_is_refused_where_there_is_none():
    model, (batch, _) = model_of("llama", attention_dropout=0.3).train(), batch_of("llama")
    set_attention(model, "vlmkit_twice")
    with pytest.raises(InputError, match="no dropout"):
        model(**batch)
    model.eval()(**batch)


def test_arguments_that_change_the_result_are_refused():
    q = torch.randn(1, 2, 3, 4)
    with pytest.raises(InputError, match="softcap"):
        plain_attention(torch.nn.Identity(), q, q, q, None, softcap=30.0)


def test_every_attention_has_a_mask_under_its_name():
    for name in IMPLEMENTATIONS:
        assert name in ALL_ATTENTION_FUNCTIONS
        assert name in ALL_MASK_ATTENTION_FUNCTIONS


def test_registering_again_changes_nothing():
    before = dict(ALL_ATTENTION_FUNCTIONS.items())
    vlmkit.register()
    assert dict(ALL_ATTENTION_FUNCTIONS.items()) == before


def test_an_unknown_attention_is_refused_and_a_near_name_suggested():
    with pytest.raises(InputError, match="vlmkit_twice"):
        set_attention(model_of("llama"), "vlmkit_twise")


def test_the_attention_is_put_back_after_an_error():
    model = model_of("clip")
    set_attention(model, "eager")
    with pytest.raises(InputError), using_attention(model, "vlmkit_twice"):
        model(**batch_of("clip")[0], softcap=1.0)
    assert model.config._attn_implementation == model.text_model.config._attn_implementation == "eager"
    assert model.vision_model.config._attn_implementation == "eager"


def test_our_attentions_serve_gpt2():
    torch.manual_seed(0)
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel(
        GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=50, bos_token_id=0, eos_token_id=0)
    ).eval()
    batch, real = batch_of("llama")
    with torch.no_grad():
        expected = output_of(model, batch, real)
        for name in IMPLEMENTATIONS:
            with using_attention(model, name):
                torch.testing.assert_close(output_of(model, batch, real), expected, atol=1e-5, rtol=1e-5)
