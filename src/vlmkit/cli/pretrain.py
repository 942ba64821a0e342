"""`vlmkit pretrain`: a language model from documents or tokens."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.pretrain import PretrainConfig

app = actions("pretrain", default="run")


@command(app, PretrainConfig)
def run(config: PretrainConfig) -> object:
    """Train a language model."""
    from vlmkit.core.recipes.pretrain import run

    return run(config)
