"""Models of images and texts (CLIP, SigLIP) as classifiers: a class is a text, its logit a scaled cosine.

Radford et al., Learning transferable visual models from natural language supervision (2021), section 3.1; SigLIP adds
a bias (Zhai et al., 2023).
"""

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoModelForZeroShotImageClassification, AutoTokenizer, PreTrainedConfig, PreTrainedModel

from vlmkit.core.errors import InputError
from vlmkit.core.io.artifacts import missing
from vlmkit.core.io.progress import log
from vlmkit.core.io.tensors import load_tensors, tensor_metadata
from vlmkit.core.models.load import FAULTS, gist, load_model, quiet

PROMPT = "a photo of a {}."  # CLIP, section 3.1.4
BATCH = 64  # prompts a forward pass
WHAT = ("a model of images and texts", "leave out --classes: a model with a head has its own classes")


class ZeroShot(nn.Module):
    """From what the image tower takes to logits (B, V): scale * cosine to the embeddings (V, D) of classes + bias."""

    embeddings: Tensor

    def __init__(self, model: PreTrainedModel, embeddings: Tensor, names: list[str] | None) -> None:
        super().__init__()
        self.model, self.names = model, names
        self.register_buffer("embeddings", normalize(embeddings.float(), dim=-1), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Logits of preprocessed images (B, C, Y, X)."""
        features = normalize(features_of(self.model, "image", pixel_values=values).float(), dim=-1)
        scale = torch.as_tensor(self.model.logit_scale).float().exp()
        logits = scale * features @ self.embeddings.T
        bias = getattr(self.model, "logit_bias", None)
        return logits if bias is None else logits + bias.float()


def load_zero_shot(
    folder: Path, config: PreTrainedConfig, classes: Path, *, device: str, dtype: torch.dtype
) -> ZeroShot:
    """A model of images and texts with its classes.

    Args:
        classes: a text file with a name on each line, or a safetensors file with `embeddings` (V, D).

    Raises:
        InputError: the folder or the file will not do.
    """
    if not classes.is_file():
        raise missing(classes)
    table = classes.suffix == ".safetensors"
    names = None if table else read_names(classes)
    stored = read_embeddings(classes) if table else None
    model = load_model(AutoModelForZeroShotImageClassification, folder, config, what=WHAT, device=device, dtype=dtype)
    lacks = [name for name in ("get_image_features", "get_text_features", "logit_scale") if not hasattr(model, name)]
    if lacks:
        raise InputError(
            f"'{config.model_type}' has no {lacks[0]}", where=str(folder), fix="give a CLIP or SigLIP model"
        )
    if stored is None:
        assert names is not None
        embeddings = embed(model, folder, [PROMPT.format(name) for name in names])
    else:
        embeddings, names = stored
        width = features_of(model, "text", input_ids=torch.zeros(1, 1, dtype=torch.int64, device=model.device)).shape[
            -1
        ]
        if embeddings.shape[1] != width:
            raise InputError(
                f"the embeddings have {embeddings.shape[1]} numbers, the model's {width}",
                where=str(classes),
                fix="make them with this model",
            )
    return ZeroShot(model, embeddings.to(model.device), names)


def read_names(path: Path) -> list[str]:
    """The names of classes in a text file, one on each line.

    Raises:
        InputError: fewer than two, or an empty line between them, after which every class would have a wrong number.
    """
    if not path.is_file():
        raise missing(path)
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise InputError("not a text file in UTF-8", where=str(path), fix="a name on each line") from error
    if "" in names:
        raise InputError(f"line {names.index('') + 1} is empty", where=str(path), fix="a name on each line")
    if len(names) < 2:
        raise InputError(f"{len(names)} classes", where=str(path), fix="two or more names, one on each line")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        log.warning("%s: the name '%s' stands for several classes, of which only the first can win", path, twice[0])
    return names


def read_embeddings(path: Path) -> tuple[Tensor, list[str] | None]:
    """Embeddings (V, D) of classes, and their names if the file's metadata has them (`names`, a JSON list)."""
    tensors = load_tensors(path)
    found = tensors.get("embeddings")
    if found is None or found.ndim != 2 or len(found) < 2 or not bool(torch.isfinite(found).all()):
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise InputError(
            "no embeddings of classes", where=f"{path} (it has: {shapes})", fix="a tensor 'embeddings' (V, D), finite"
        )
    try:
        names = json.loads(tensor_metadata(path).get("names", "null"))
    except ValueError as error:
        raise InputError("the metadata 'names' is no JSON", where=str(path), fix="a JSON list of names") from error
    if names is not None and len(names) != len(found):
        raise InputError(f"{len(names)} names for {len(found)} embeddings", where=str(path), fix="a name for each")
    return found, names


@torch.no_grad()
def embed(model: PreTrainedModel, folder: Path, prompts: list[str]) -> Tensor:
    """The embeddings (V, D) of texts."""
    text = model.config.text_config
    length = int(text.max_position_embeddings)
    filled = str(model.config.model_type).startswith("siglip")  # trained on texts filled up to the full length
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        made = tokenizer(
            prompts,
            padding="max_length" if filled else True,
            truncation=True,
            max_length=length,
            return_tensors="pt",
            return_attention_mask=not filled,
        ).to(model.device)
    except FAULTS as error:
        raise InputError(
            f"the tokenizer cannot be used: {gist(error)}",
            where=str(folder),
            fix="copy the tokenizer's files here, or give --classes FILE.safetensors with embeddings",
        ) from error
    pieces = ({name: rows[i : i + BATCH] for name, rows in made.items()} for i in range(0, len(prompts), BATCH))
    return torch.cat([features_of(model, "text", **piece).float() for piece in pieces])


def features_of(model: PreTrainedModel, tower: str, **inputs: Tensor) -> Tensor:
    """The features (B, D) of images ("image") or texts ("text"); some versions of transformers wrap them."""
    found = getattr(model, f"get_{tower}_features")(**inputs)
    features = found if isinstance(found, Tensor) else getattr(found, "pooler_output", None)
    assert isinstance(features, Tensor)
    return features
