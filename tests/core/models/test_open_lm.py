import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import vlmkit
from vlmkit.core.models.open_lm import OpenLMConfig, OpenLMForCausalLM, from_open_lm, to_open_lm

vlmkit.register()
SHAPE = {"vocab_size": 131, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def tiny(seed=0, **changes):
    torch.manual_seed(seed)
    return OpenLMForCausalLM(OpenLMConfig.from_dict(SHAPE | changes)).eval()


def some_tokens(*shape, seed=1):
    return torch.randint(0, 131, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("attention", ["sdpa", "eager", "vlmkit_plain", "vlmkit_twice"])
def test_logits_are_those_of_the_original_code(attention, shared):
    vectors = shared("open-lm-vectors")
    model, expected = tiny(), load_file(vectors / "expected.safetensors")
    model.load_state_dict(from_open_lm(load_file(vectors / "weights.safetensors")))
    model.set_attn_implementation(attention)
    with torch.no_grad():
        out = model(expected["input_ids"], labels=expected["input_ids"])
    torch.testing.assert_close(out.logits, expected["logits"], atol=1e-5, rtol=0)
    torch.testing.assert_close(out.loss, expected["loss"][0], atol=1e-5, rtol=0)
    assert sum(p.numel() for p in model.parameters()) == 148_416  # of the original model


def test_names_go_to_open_lm_and_back():
    state = tiny().state_dict()
    original = to_open_lm(state)
    assert "layers.1.attention.in_proj.weight" in original
    assert from_open_lm({f"module.{name}": tensor for name, tensor in original.items()}).keys() == state.keys()


def test_first_weights_have_the_published_spread():
    model = tiny(hidden_size=256, num_hidden_layers=4, vocab_size=1000)
    d, hidden = 256, model.config.intermediate_size
    expected = {"model.tok_embeddings.weight": d**-0.5, "output.weight": d**-0.5}
    for i in range(4):
        layer = f"model.layers.{i}."
        expected[f"{layer}attention.in_proj.weight"] = expected[f"{layer}feed_forward.w12.weight"] = d**-0.5
        expected[f"{layer}attention.out_proj.weight"] = d**-0.5 / math.sqrt(2 * (i + 1))
        expected[f"{layer}feed_forward.w3.weight"] = hidden**-0.5 / math.sqrt(2 * (i + 1))
    for name, parameter in model.named_parameters():
        if name in expected:
            std = expected.pop(name)
            assert parameter.abs().max() <= 3 * std  # the normal is cut at three sigma
            assert abs(parameter.std() / (0.98658 * std) - 1) < 0.02  # which makes it a little narrower
        else:
            assert (parameter == 1).all(), name
    assert not expected


def test_the_feed_forward_is_as_wide_as_published():
    widths = {96: 256, 512: 1536, 576: 1536, 1024: 2816, 2048: 5632, 2560: 6912, 4096: 11008}
    assert {d: OpenLMConfig(hidden_size=d).intermediate_size for d in widths} == widths


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(side):
    model, tokens = tiny(), some_tokens(1, 7)
    padding = torch.zeros(1, 4, dtype=torch.long)
    parts = [(padding, padding), (tokens, torch.ones_like(tokens))]
    words, mask = (torch.cat(p, dim=1) for p in zip(*(parts if side == "left" else parts[::-1]), strict=True))
    with torch.no_grad():
        padded = model(words, attention_mask=mask).logits[mask.bool()]
        torch.testing.assert_close(padded, model(tokens).logits[0], atol=1e-5, rtol=0)


def test_a_cache_gives_the_same_logits_token_by_token():
    model, tokens = tiny(), some_tokens(2, 9)
    whole, cache, steps = model(tokens).logits, None, []
    with torch.no_grad():
        for i in range(9):
            out = model(tokens[:, i : i + 1], past_key_values=cache, use_cache=True)
            cache, _ = out.past_key_values, steps.append(out.logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-5, rtol=0)


def test_generation_is_greedy_and_batches_may_be_padded():
    model, prompt = tiny(), some_tokens(1, 5)
    words = prompt
    for _ in range(6):
        words = torch.cat((words, model(words).logits[:, -1:].argmax(-1)), dim=1)
    generated = model.generate(prompt, max_new_tokens=6, do_sample=False, pad_token_id=0)
    assert torch.equal(generated, words)
    batch, mask = torch.cat((torch.zeros(1, 3, dtype=torch.long), prompt), dim=1), torch.ones(1, 8, dtype=torch.long)
    mask[:, :3] = 0
    padded = model.generate(batch, attention_mask=mask, max_new_tokens=6, do_sample=False, pad_token_id=0)
    assert torch.equal(padded[:, 3:], words)


@pytest.mark.parametrize("attention", ["sdpa", "eager", "vlmkit_twice"])
def test_positions_that_start_again_keep_documents_apart(attention):
    model, first, second = tiny(), some_tokens(1, 5), some_tokens(1, 8, seed=2)
    model.set_attn_implementation(attention)
    row, positions = torch.cat((first, second), dim=1), torch.cat((torch.arange(5), torch.arange(8)))[None]
    with torch.no_grad():
        packed = model(row, position_ids=positions, use_cache=False).logits
        apart = torch.cat((model(first).logits, model(second).logits), dim=1)
        torch.testing.assert_close(packed, apart, atol=1e-5, rtol=0)
        assert (model(row).logits - apart).abs().max() > 0.01  # by default attention crosses, as in OpenLM


def test_labels_give_the_loss_of_the_next_token_and_ignore_what_is_masked():
    model, tokens = tiny(), some_tokens(2, 9)
    labels = tokens.masked_fill(torch.arange(9) < 3, -100)
    out = model(tokens, labels=labels)
    torch.testing.assert_close(
        out.loss, F.cross_entropy(out.logits[:, 2:-1].reshape(-1, 131), tokens[:, 3:].reshape(-1))
    )


def test_only_the_logits_asked_for_are_computed():
    model, tokens = tiny(), some_tokens(2, 9)
    every = model(tokens).logits
    torch.testing.assert_close(model(tokens, logits_to_keep=2).logits, every[:, -2:])
    torch.testing.assert_close(model(tokens, logits_to_keep=torch.tensor([0, 4])).logits, every[:, [0, 4]])


def test_checkpointed_layers_give_the_same_gradients():
    model, tokens = tiny().train(), some_tokens(2, 9)
    grads = []
    for checkpointing in (False, True):
        model.zero_grad()
        if checkpointing:
            model._set_gradient_checkpointing(
                True, lambda f, *a, **k: torch.utils.checkpoint.checkpoint(f, *a, use_reentrant=False, **k)
            )
        model(tokens, labels=tokens).loss.backward()
        grads.append([p.grad.clone() for p in model.parameters()])
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_hidden_states_and_maps_may_be_asked_for():
    model = tiny()
    model.set_attn_implementation("eager")
    out = model(some_tokens(2, 9), output_hidden_states=True, output_attentions=True)
    assert [tuple(h.shape) for h in out.hidden_states] == [(2, 9, 64)] * 3
    assert [tuple(a.shape) for a in out.attentions] == [(2, 4, 9, 9)] * 2


def test_logits_are_float32_in_low_precision():
    model, tokens = tiny(), some_tokens(2, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(tokens).logits.dtype == torch.float32
    assert model.bfloat16()(tokens).logits.dtype == torch.float32


def test_training_makes_no_cache():
    assert tiny().train()(some_tokens(1, 4)).past_key_values is None


def test_norms_of_queries_and_keys_can_be_left_out():
    with_norm, without = tiny(), tiny(qk_norm=False)
    assert sum(p.numel() for p in with_norm.parameters()) - sum(p.numel() for p in without.parameters()) == 2 * 2 * 64


def test_tied_embeddings_are_one_matrix():
    model = tiny(tie_word_embeddings=True)
    assert model.output.weight is model.model.tok_embeddings.weight


def test_new_words_may_be_added():
    model = tiny()
    model.resize_token_embeddings(140, mean_resizing=False)
    assert model(some_tokens(1, 4)).logits.shape == (1, 4, 140)


def test_neither_or_both_inputs_are_refused():
    with pytest.raises(ValueError, match="either"):
        tiny()()
