"""Steps of a recipe that score pages by a fastText model, as the stage `quality` does."""

from vlmkit.core.curate.operations import Operation, Page, Setting
from vlmkit.core.curate.quality import MODEL, Classifier
from vlmkit.core.curate.rules import Found
from vlmkit.core.errors import InputError

KEY = "fasttext_hq_prob"


def classify_fasttext_hq_prob_enricher(
    setting: Setting, model_filename: str = MODEL, key: str = KEY, overwrite: bool = False
) -> Operation:
    """Notes the probability that a page is good: of `hq`, or of the label beside `cc`, as DCLM asks its models."""
    classifier = Classifier(setting.find(model_filename, what="classify_fasttext_hq_prob_enricher"), label=None)

    def operation(page: Page) -> None:
        if key in page and not overwrite:
            raise InputError(f"the key {key} is taken", where="overwrite", fix="another key, or overwrite: true")
        page[key] = classifier.score(page["text"])

    return operation


def fasttext_filter(setting: Setting, model_filename: str, threshold: float, label: str | None = None) -> Operation:
    """Keeps pages to which a fastText model gives a label with a probability of at least a threshold."""
    classifier = Classifier(setting.find(model_filename, what="fasttext_filter"), label=label)

    def operation(page: Page) -> Found:
        return Found("fasttext_filter", classifier.score(page["text"]), low=threshold)

    return operation
