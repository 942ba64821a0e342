"""`vlmkit eval`: in-context tasks, CORE and EXTENDED."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.eval import AggregateConfig, EvalConfig

app = actions("eval", default="run")


@command(app, EvalConfig)
def run(config: EvalConfig) -> object:
    """Score models."""
    from vlmkit.core.recipes.eval import run

    return run(config)


@command(app, AggregateConfig)
def aggregate(config: AggregateConfig) -> object:
    """Aggregate per-task scores."""
    from vlmkit.core.recipes.eval_aggregate import run

    return run(config)
