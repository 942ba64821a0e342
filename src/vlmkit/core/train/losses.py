"""The loss of a language model: next-token cross-entropy plus z-loss (OpenLM: z · mean lse², masked tokens too)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vlmkit.core.ops.linear_cross_entropy import linear_cross_entropy
from vlmkit.core.train.data import Batch
from vlmkit.core.train.loop import Loss
from vlmkit.cuda.cross_entropy import cross_entropy


def next_token(model: PreTrainedModel, *, z_weight: float = 0.0) -> Loss:
    """The loss of predicting `targets` (B, S) from `input_ids` (B, S), for any causal model of transformers.

    Where a model's logits are a plain matrix product of its hidden states (tried on a few tokens), they are never
    written out whole.
    """
    fused = splits(model)

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        del generator  # nothing here is drawn
        targets = batch["targets"].reshape(-1)
        if fused:
            assert isinstance(model, PreTrainedModel)
            hidden = model.base_model(input_ids=batch["input_ids"], use_cache=False).last_hidden_state
            head = model.get_output_embeddings()
            total, nll, z = linear_cross_entropy(hidden.flatten(0, 1), head.weight, targets, z_weight=z_weight)
        else:
            logits = model(input_ids=batch["input_ids"], use_cache=False).logits
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            total, nll = cross_entropy(logits.flatten(0, 1), targets, z_weight=z_weight)
            z = total.detach() - nll
        return total, {"cross_entropy": nll, "z_loss": z}

    return loss


def splits(model: PreTrainedModel) -> bool:
    """Whether a model's logits are its last hidden states times its output matrix, without bias, scale or cap."""
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.bias is not None or model.base_model is model:
        return False
    ids = torch.arange(8, device=head.weight.device)[None] % len(head.weight)
    training = model.training
    model.eval()
    with torch.no_grad():
        output = model.base_model(input_ids=ids, use_cache=False)
        logits = model(input_ids=ids, use_cache=False).logits
    model.train(training)
    hidden = getattr(output, "last_hidden_state", None)
    return hidden is not None and torch.allclose(head(hidden).to(logits.dtype), logits, rtol=1e-4, atol=1e-5)
