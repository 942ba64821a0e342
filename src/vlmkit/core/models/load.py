"""Loading and saving transformers folders: the user's own checkpoints and ours, never from the network.

What is wrong with a folder is said at the door: no config, no weights, a damaged or missing shard, weights that do not
fit.
"""

import json
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from huggingface_hub.errors import HFValidationError, StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.auto_factory import _BaseAutoModelClass
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from vlmkit.core.errors import CapabilityError, InputError, nearest
from vlmkit.core.io.artifacts import find
from vlmkit.core.io.files import atomic, remove, write_text
from vlmkit.core.io.header import read_header, restamp
from vlmkit.core.io.progress import log
from vlmkit.core.models.register import OURS, register
from vlmkit.core.models.tokenizers import save_tokenizer

CONFIG = "config.json"
TRANSFORMERS = "give a config.json as transformers writes it"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
CAUSAL = ("a causal language model", "give a model that predicts next tokens")
FAULTS = (  # what transformers raises when a folder is not what it says
    OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, EOFError,
    pickle.UnpicklingError, SafetensorError, HFValidationError, StrictDataclassError,
)  # fmt: skip
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
README = """This model's architecture, `{model_type}`, comes with vlmkit. Tell transformers about it before loading:

    import vlmkit
    from transformers import AutoModelForCausalLM

    vlmkit.register()
    model = AutoModelForCausalLM.from_pretrained("this folder")
"""


def load_causal_lm(
    path: Path, *, device: str = "cpu", dtype: torch.dtype | None = None, attention: str | None = None
) -> PreTrainedModel:
    """Load a causal language model from a transformers folder, or from a run folder that holds `model/`.

    Args:
        dtype: number format of the weights; None keeps the stored one.
        attention: name of an attention (`eager`, `sdpa`, `vlmkit_twice`, …); None takes the model's default.

    Raises:
        InputError: the folder holds no such model, or it is damaged.
    """
    register()
    folder = find(path, "model")
    config = read_config(folder)
    model = load_model(
        AutoModelForCausalLM, folder, config, what=CAUSAL, device=device, dtype=dtype, attention=attention
    )
    if getattr(config, "is_decoder", True) is False:
        raise InputError(
            f"'{config.model_type}' looks ahead, it is not {CAUSAL[0]}", where=str(folder), fix="give a decoder"
        )
    return model


def load_model(
    auto: type[_BaseAutoModelClass],
    folder: Path,
    config: PreTrainedConfig,
    *,
    what: tuple[str, str],
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    attention: str | None = None,
) -> PreTrainedModel:
    """Load a transformers folder as one of transformers' automatic classes, in eval mode.

    Args:
        what: what such a model is, and what to give in the place of one that is not.

    Raises:
        InputError: the folder holds no such model, it is damaged, or parts of the model would be left at random.
    """
    check_weights(folder)
    place = resolve_device(device)
    with quiet():
        try:
            loaded = auto.from_pretrained(
                folder,
                config=config,
                dtype=dtype or "auto",
                attn_implementation=attention,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # _check_fit refuses them, by name
            )
        except torch.OutOfMemoryError:
            raise
        except FAULTS as error:
            raise _cannot_load(folder, config, error, what) from error
    model, report = cast(tuple[PreTrainedModel, dict[str, set[str]]], loaded)
    _check_fit(folder, report)
    return cast(PreTrainedModel, model.to(place)).eval()  # type: ignore[arg-type]


def save_model(
    model: PreTrainedModel,
    folder: Path,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    lineage: dict[str, str] | None = None,
) -> None:
    """Write a model as a transformers folder, each file whole or not at all, with its tokenizer beside.

    Args:
        lineage: where the model comes from (digests of data, of its parent …), kept in the header of its weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None and model.generation_config is not None:
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    written: set[str] = set()
    with quiet(), tempfile.TemporaryDirectory(dir=folder, prefix=".model.tmp-") as scratch:
        model.save_pretrained(scratch)
        for source in sorted(p for p in Path(scratch).iterdir() if p.is_file()):
            if source.suffix == ".safetensors":
                stamp = {"vlmkit": json.dumps(lineage, sort_keys=True)} if lineage else {}
                restamp(source, {"format": "pt"} | stamp)
            with atomic(folder / source.name) as temporary:
                source.rename(temporary)
            written.add(source.name)
    for stale in folder.glob("model*.safetensors*"):  # of an earlier model: two sets of weights never mix
        if stale.name not in written:
            remove(stale)
    if tokenizer is not None:
        save_tokenizer(tokenizer, folder)
    if model.config.model_type in OURS:
        write_text(folder / "README.md", README.format(model_type=model.config.model_type))


def read_lineage(folder: Path) -> dict[str, str]:
    """The lineage in the header of a model's weights; empty where nothing was kept."""
    for path in sorted(folder.glob("model*.safetensors")):
        return json.loads(read_header(path).metadata.get("vlmkit", "{}"))
    return {}


def read_config(path: Path) -> PreTrainedConfig:
    """The configuration in a transformers folder, or in a JSON file of its form.

    Raises:
        InputError: it is missing, cannot be read, or names an architecture that transformers does not know.
    """
    register()
    file = path / CONFIG if path.is_dir() else path
    try:
        words = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"the configuration cannot be read: {gist(error)}", where=str(file), fix=TRANSFORMERS
        ) from error
    if not isinstance(words, dict) or not isinstance(words.get("model_type"), str):
        raise InputError("'model_type' is missing", where=str(file), fix=TRANSFORMERS)
    try:
        return AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except FAULTS as error:
        name, known = words["model_type"], (*OURS, *CONFIG_MAPPING_NAMES)
        hint = "correct the configuration" if name in known else nearest(name, known)
        raise InputError(f"model_type '{name}' cannot be used: {gist(error)}", where=str(file), fix=hint) from error


def check_weights(folder: Path) -> None:
    """Refuse a folder without weights, with a missing shard, or with a file that is cut off."""
    files = sorted(folder.glob("*.safetensors"))
    for index in folder.glob("*.safetensors.index.json"):
        try:
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "the index of the weights cannot be read", where=str(index), fix="copy the folder again"
            ) from error
        files = sorted({*files, *(folder / shard for shard in shards)})
    for path in files:
        read_header(path)
    if not files and not any((folder / name).is_file() for name in PICKLES):
        raise InputError(
            "the model has a config.json but no weights",
            where=str(folder),
            fix="copy model.safetensors (or all of its shards) here",
        )


def resolve_device(name: str) -> torch.device:
    """The device of a name: auto (a GPU if there is one), cpu, cuda or cuda:N.

    Raises:
        CapabilityError: there is no such device here.
    """
    available = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"unknown device '{name}'", where="--device", fix="auto, cpu, cuda or cuda:N") from error
    if device.type not in {"cpu", "cuda", "meta"}:
        raise InputError(f"unknown device '{name}'", where="--device", fix="auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not available:
        raise CapabilityError(
            "no CUDA device is available", where=f"--device {name}", fix="--device cpu, or a CUDA build of torch"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise CapabilityError(
            f"there are {count} CUDA devices", where=f"--device {name}", fix=f"cuda:0 to cuda:{count - 1}"
        )
    return device


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """The number format of a name; auto is bfloat16 on a GPU that has it, else float32."""
    bfloat16 = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and bfloat16 else torch.float32
    if name not in DTYPES:
        raise InputError(f"unknown number format '{name}'", where="--dtype", fix=nearest(name, DTYPES))
    if name == "bfloat16" and not bfloat16:
        raise CapabilityError("this GPU has no bfloat16", where="--dtype bfloat16", fix="--dtype float32 or float16")
    return DTYPES[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and reports off the terminal for a while."""
    bars, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def gist(error: BaseException) -> str:
    """What an error says in at most 200 letters: its first line, and the next where that one announces it."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    return " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])[:200]


def _cannot_load(folder: Path, config: PreTrainedConfig, error: BaseException, what: tuple[str, str]) -> InputError:
    if "Unrecognized configuration class" in str(error):
        return InputError(f"'{config.model_type}' is not {what[0]}", where=str(folder), fix=what[1])
    return InputError(f"this model cannot be loaded: {gist(error)}", where=str(folder), fix="copy the folder again")


def _check_fit(folder: Path, report: dict[str, set[str]]) -> None:
    """Refuse weights that leave parts of the model at random."""
    for what, names in (("missing", report["missing_keys"]), ("of another shape", report["mismatched_keys"])):
        if names:
            shown = ", ".join(str(name) for name in sorted(names, key=str)[:3])
            raise InputError(
                f"{len(names)} weights are {what}: {shown}",
                where=str(folder),
                fix="give the folder that belongs to this config.json",
            )
    if report["unexpected_keys"]:
        log.warning("%s: %d tensors are not part of the model and were ignored", folder, len(report["unexpected_keys"]))
