import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from sklearn.datasets import load_sample_images
from transformers import (
    AutoModelForImageClassification,
    CLIPConfig,
    CLIPModel,
    ConvNextConfig,
    ConvNextForImageClassification,
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    ResNetConfig,
    ResNetForImageClassification,
    SiglipConfig,
    SiglipModel,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from vlmkit.core.errors import InputError
from vlmkit.core.io.tensors import save_tensors
from vlmkit.core.models.classifier import load_classifier
from vlmkit.core.models.preprocess import read_preprocessing
from vlmkit.core.ops.resample import resize

STD = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PROCESSORS = [  # as the published folders have them, old forms included
    {"feature_extractor_type": "ViTFeatureExtractor", "do_normalize": True, "do_resize": True, "size": 224,
     "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    {"image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.875, "size": {"shortest_edge": 224},
     "resample": 3, **STD},
    {"image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.95, "size": {"shortest_edge": 384}, **STD},
    {"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "resample": 3, "crop_size": 224,
     "do_center_crop": True, "image_mean": [0.48145466, 0.4578275, 0.40821073],
     "image_std": [0.26862954, 0.26130258, 0.27577711]},
    {"feature_extractor_type": "DeiTFeatureExtractor", "size": 256, "crop_size": 224, "do_center_crop": True, **STD},
    {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 96}, "do_center_crop": True,
     "crop_size": {"height": 121, "width": 90}, "resample": 1, "do_normalize": False},
    {"image_processor_type": "ViTImageProcessor", "do_resize": False, "do_rescale": False, **STD},
    {"image_processor_type": "EfficientNetImageProcessor", "size": {"height": 60, "width": 50}, "resample": 0, **STD},
    {"image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 72},
     "crop_size": {"height": 64, "width": 64}},
    {"image_processor_type": "LevitImageProcessor", **STD},
    {"image_processor_type": "PoolFormerImageProcessor", "crop_pct": 0.9, **STD},
]  # fmt: skip
TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
CONV = {"hidden_sizes": [8, 12], "depths": [1, 1], "num_labels": 5}
MODELS = {
    "vit": lambda: ViTForImageClassification(ViTConfig(**TINY, image_size=32, patch_size=8, num_labels=5)),
    "deit": lambda: DeiTForImageClassificationWithTeacher(
        DeiTConfig(**TINY, image_size=32, patch_size=8, num_labels=5)
    ),
    "swin": lambda: SwinForImageClassification(
        SwinConfig(image_size=32, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4, num_labels=5)
    ),
    "convnext": lambda: ConvNextForImageClassification(ConvNextConfig(num_stages=2, **CONV)),
    "resnet": lambda: ResNetForImageClassification(ResNetConfig(embedding_size=8, layer_type="basic", **CONV)),
}
SQUARE = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "resample": 3, **STD}
CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layer = nn.Linear(width, 3)
    def forward(self, x):
        return self.layer(x.flatten(1)[:, :4])

def net(): return Net()
def plain(x): return torch.stack([x.mean((1, 2, 3)), x.amax((1, 2, 3))], 1)
def dictionary(): return lambda x: {"logits": plain(x)}
def one_each(): return lambda x: x.mean((1, 2, 3))
def nan(): return lambda x: plain(x) / 0 * 0
def classes(): return lambda x: plain(x).argmax(1)
def late():
    def fails(x):
        return torch.zeros(3) @ x
    return fails
def batch(): return lambda x: plain(x - x.mean(0))
def in_place(): return lambda x: plain(x.sub_(0.1))
def noisy(): return lambda x: plain(x) + torch.randn(len(x), 2)
number = 7
"""


def photographs():
    """Real photographs (scikit-learn's two) and noise, uint8 (Y, X, 3), wide and narrow, larger and smaller."""
    china, flower = load_sample_images().images
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, size, dtype=np.uint8) for size in ((48, 131, 3), (90, 61, 3), (700, 90, 3))]
    return [china, flower[:, 100:300], *noise]


def as_pixels(image):
    return torch.from_numpy(np.moveaxis(image, -1, 0) / 255).float()[None]


def save(model, folder, processor=None, **files):
    torch.manual_seed(0)
    model.eval().save_pretrained(folder)
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("words", PROCESSORS, ids=lambda words: f"{next(iter(words.values()))} {words.get('size')}")
def test_what_we_make_of_an_image_is_what_its_processor_makes(tmp_path, words):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(words))
    ours = read_preprocessing(tmp_path, None, channels=3)
    theirs = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    for image in photographs():
        wanted = theirs(Image.fromarray(image), return_tensors="pt")["pixel_values"]
        made = ours(as_pixels(image))
        assert made.shape == wanted.shape
        unit = torch.tensor(ours.gain)[:, None, None] / 255
        assert ((made - wanted).abs() / unit).max() < 1.2  # Pillow rounds to 1/255 twice


@pytest.mark.parametrize("resample", range(6))
def test_resampling_is_pillows_at_any_size(resample):
    random = np.random.default_rng(resample)
    for _ in range(25):
        old, new = (tuple(int(n) for n in random.integers(1, 90, 2)) for _ in range(2))
        image = random.integers(0, 2, old, dtype=np.uint8) * 255  # black and white overshoots the most
        wanted = np.asarray(Image.fromarray(image).resize(new[::-1], resample=resample)) / 255
        made = resize(torch.from_numpy(image / 255)[None, None], new, resample=resample)[0, 0]
        assert np.abs(made.numpy() - wanted).max() < 1.2 / 255


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_model_after_its_processor(tmp_path, name):
    save(MODELS[name](), tmp_path, SQUARE)
    ours = load_classifier(tmp_path)
    image = photographs()[1]
    values = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")(image, return_tensors="pt")
    with torch.no_grad():
        wanted = AutoModelForImageClassification.from_pretrained(tmp_path)(**values).logits
        rounded = ours.compute(values["pixel_values"]).logits
    pixels = as_pixels(image).requires_grad_()
    logits = ours(pixels)
    torch.testing.assert_close(rounded, wanted)
    assert (logits - wanted).abs().max() < 0.02 * wanted.abs().max() + 0.02  # of the rounding to 1/255
    assert (ours.num_classes, ours.channels, ours.labels, ours.kind) == (5, 3, None, "transformers")
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), pixels)
    assert gradient.shape == pixels.shape
    assert gradient.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in ours.parameters())
    assert not ours.training


def test_the_gradient_of_the_preprocessing_is_that_of_finite_differences(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSORS[3] | {"size": 6, "crop_size": 8}))
    ours = read_preprocessing(tmp_path, None, channels=3)
    pixels = torch.rand(1, 3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    assert torch.autograd.gradcheck(ours, pixels.requires_grad_())


def test_grey_images_are_repeated_and_colour_ones_refused_by_a_grey_model(tmp_path):
    colour = load_classifier(save(MODELS["vit"](), tmp_path / "colour", SQUARE))
    grey = torch.rand(2, 1, 20, 30)
    torch.testing.assert_close(colour(grey), colour(grey.repeat(1, 3, 1, 1)))
    config = ViTConfig(**TINY, image_size=8, patch_size=4, num_channels=1, id2label={0: "no", 1: "yes"})
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}}
    one = load_classifier(save(ViTForImageClassification(config), tmp_path / "grey", processor))
    assert (one.labels, one.channels) == (["no", "yes"], 1)
    assert one(grey).shape == (2, 2)
    with pytest.raises(InputError, match="3 channels, the model takes 1"):
        one(torch.rand(2, 3, 8, 8))
    processor |= {"image_mean": [0.4, 0.5, 0.6], "image_std": [1, 1, 1]}
    with pytest.raises(InputError, match="image_mean has 3 numbers, the model 1"):
        load_classifier(save(ViTForImageClassification(config), tmp_path / "grey", processor))


def test_a_folder_that_will_not_do_is_refused_at_the_door(tmp_path, caplog):
    unnamed = save(MODELS["vit"](), tmp_path / "a")
    assert load_classifier(unnamed)(torch.rand(1, 3, 32, 32)).shape == (1, 5)
    assert "no preprocessor_config.json" in caplog.text
    with pytest.raises(InputError, match="the model fails: ValueError") as caught:
        load_classifier(unnamed)(torch.rand(1, 3, 40, 32))
    assert "given pixels (1, 3, 40, 32)" in caught.value.where
    broken = MODELS["vit"]()
    broken.classifier.weight.data[2] = float("nan")
    with pytest.raises(InputError, match="2 of 10 logits are not finite"):
        load_classifier(save(broken, tmp_path / "b", SQUARE))
    with pytest.raises(InputError, match="2 weights are missing"):
        load_classifier(save(broken.vit, tmp_path / "c", SQUARE))
    (tmp_path / "a" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match="damaged"):
        load_classifier(unnamed)
    for words, what in (
        ({"image_processor_type": "PerceiverImageProcessor"}, "does more than resize, crop and normalise"),
        ({"image_processor_type": "ViTImageProcessor", "size": {"longest_edge": 9}}, "resized by {'longest_edge': 9}"),
        ({"image_processor_type": "ViTImageProcessor", "image_std": [0.5, 0.0, 0.5]}, "image_std is "),
        ({"image_processor_type": "ImageGPTImageProcessor"}, "cannot be used"),
    ):
        with pytest.raises(InputError, match=what):
            load_classifier(save(MODELS["vit"](), tmp_path / "d", words))


def two_towers(kind, words):
    text = {**TINY, "vocab_size": len(words) + 3, "max_position_embeddings": 16, "pad_token_id": 0, "eos_token_id": 2,
            "bos_token_id": 1}  # fmt: skip
    vision = {**TINY, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    if kind == "clip":
        return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).eval()
    return SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).eval()


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_classes_may_be_texts_or_their_embeddings(tmp_path, kind):
    words = ["a", "photo", "of", "cat", "dog", "red", "bus", "."]
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=word_level(words), pad_token="<pad>")
    folder, names = tmp_path / kind, tmp_path / "names.txt"
    model = two_towers(kind, words)
    save(model, folder, SQUARE)
    tokenizer.save_pretrained(folder)
    names.write_text("cat\ndog\nred bus\n")
    ours = load_classifier(folder, classes=str(names))
    pixels = torch.rand(2, 3, 32, 32)
    padding = {"padding": "max_length", "max_length": 16} if kind == "siglip" else {"padding": True}
    prompts = tokenizer([f"a photo of a {name}." for name in ours.labels], return_tensors="pt", **padding)
    prompts = {k: v for k, v in prompts.items() if k == "input_ids" or (k == "attention_mask" and kind == "clip")}
    with torch.no_grad():
        wanted = model(pixel_values=ours.prepare(pixels), **prompts).logits_per_image
    torch.testing.assert_close(ours(pixels), wanted, rtol=1e-4, atol=1e-5)
    assert (ours.kind, ours.labels, ours.num_classes) == ("zero-shot", ["cat", "dog", "red bus"], 3)
    stored = tmp_path / "classes.safetensors"
    save_tensors(stored, {"embeddings": ours.compute.embeddings * 7}, metadata={"names": '["x", "y", "z"]'})
    again = load_classifier(folder, classes=str(stored))
    torch.testing.assert_close(again(pixels), ours(pixels))
    assert again.labels == ["x", "y", "z"]
    save_tensors(stored, {"embeddings": torch.rand(3, 5)})
    for classes, what in ((stored, "have 5 numbers, the model's"), (None, "has no classes of its own")):
        with pytest.raises(InputError, match=what):
            load_classifier(folder, classes=classes and str(classes))
    names.write_text("cat\n\ndog\n")
    with pytest.raises(InputError, match="line 2 is empty"):
        load_classifier(folder, classes=str(names))


def word_level(words):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["<pad>", "<s>", "</s>", *words])}, unk_token="<s>"))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return made


def test_a_function_in_a_file_gives_the_model(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(CODE)
    pixels = torch.rand(2, 1, 4, 4)
    for name, classes in (("net", 3), ("Net", 3), ("plain", 2), ("dictionary", 2)):
        model = load_classifier(f"{file}:{name}")
        model.probe(pixels)
        assert (model.num_classes, model.kind) == (classes, "function")
    (tmp_path / "names.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="3 logits for 2 classes"):
        load_classifier(f"{file}:net", classes=str(tmp_path / "names.txt"))(pixels)
    load_classifier(f"{file}:noisy").probe(pixels)  # noise is for the reliability checks to judge
    for name, what in (
        ("one_each", r"gives \(2,\) for 2 images"),
        ("nan", "not finite"),
        ("classes", "gives torch.int64, no logits"),
        ("late", "the model fails: RuntimeError"),
        ("batch", "depend on the other images"),
        ("in_place", "changes its input"),
    ):
        with pytest.raises(InputError, match=what) as caught:
            load_classifier(f"{file}:{name}").probe(pixels)
        assert str(file) in caught.value.where
    with pytest.raises(InputError) as caught:
        load_classifier(f"{file}:late")(pixels)
    assert f"line {1 + CODE.splitlines().index('        return torch.zeros(3) @ x')}" in caught.value.where
    for word, what in ((":number", "gives int, no model"), (":nett", "has no 'nett'"), ("", "which function")):
        with pytest.raises(InputError, match=what):
            load_classifier(f"{file}{word}")


class Several(torch.nn.Module):
    """Logits and what lies before them, as transformers' models give where they are traced."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x), x.flatten(1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_files_are_models_and_weights_alone_are_not(tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3))
    pixels = torch.rand(2, 1, 8, 8)
    torch.jit.script(net).save(tmp_path / "net.pt")
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.export.save(torch.export.export(net, (pixels,), dynamic_shapes=({0: batch},)), tmp_path / "net.pt2")
    for name, kind in (("net.pt", "torchscript"), ("net.pt2", "exported")):
        model = load_classifier(tmp_path / name)
        model.probe(pixels)
        torch.testing.assert_close(model(pixels), net(pixels))
        leaf = pixels.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)
        assert gradient.abs().max() > 0
        assert model.kind == kind
    torch.export.save(torch.export.export(Several(net), (pixels[:1].expand(3, -1, -1, -1),)), tmp_path / "three.pt2")
    torch.jit.trace(Several(net), pixels).save(tmp_path / "several.pt")
    for name in ("three.pt2", "several.pt"):  # for three images alone; logits and more
        model, leaf = load_classifier(tmp_path / name), torch.rand(7, 1, 8, 8, requires_grad=True)
        model.probe(pixels)
        torch.testing.assert_close(model(leaf), net(leaf))
        gradients = [torch.autograd.grad(some(leaf)[:, 0].sum(), leaf)[0] for some in (model, net)]
        torch.testing.assert_close(*gradients)
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match="not TorchScript"):
        load_classifier(tmp_path / "weights.pt")
    (tmp_path / "weights.pth").write_bytes(b"")
    with pytest.raises(InputError, match="is no model"):
        load_classifier(tmp_path / "weights.pth")
