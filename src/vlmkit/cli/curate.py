"""`vlmkit curate`: web pages to a training corpus."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.curate import CurateConfig
from vlmkit.core.configs.curate_compare import CurateCompareConfig
from vlmkit.core.configs.curate_explain import ExplainConfig
from vlmkit.core.configs.curate_quality import TrainQualityConfig
from vlmkit.core.configs.curate_retune import RetuneConfig

app = actions("curate", default="run")


@command(app, CurateConfig)
def run(config: CurateConfig) -> object:
    """Curate."""
    from vlmkit.core.recipes.curate import run

    return run(config)


@command(app, TrainQualityConfig)
def train_quality(config: TrainQualityConfig) -> object:
    """Train a quality classifier."""
    from vlmkit.core.recipes.curate_quality import run

    return run(config)


@command(app, ExplainConfig)
def explain(config: ExplainConfig) -> object:
    """What became of a page."""
    from vlmkit.core.recipes.curate_explain import run

    return run(config)


@command(app, CurateCompareConfig)
def compare(config: CurateCompareConfig) -> object:
    """Corpora beside one another."""
    from vlmkit.core.recipes.curate_compare import run

    return run(config)


@command(app, RetuneConfig)
def retune(config: RetuneConfig) -> object:
    """A corpus by other bounds."""
    from vlmkit.core.recipes.curate_retune import run

    return run(config)
