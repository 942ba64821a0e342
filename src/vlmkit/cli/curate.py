"""`vlmkit curate`: web pages to a training corpus."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.curate import CurateConfig

app = actions("curate", default="run")


@command(app, CurateConfig)
def run(config: CurateConfig) -> object:
    """Curate."""
    from vlmkit.core.recipes.curate import run

    return run(config)
