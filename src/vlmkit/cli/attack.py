"""`vlmkit attack`: how robust image classifiers are."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.attack import AttackConfig

app = actions("attack")


@command(app, AttackConfig)
def run(config: AttackConfig) -> object:
    """Measure robustness."""
    from vlmkit.core.recipes.attack import run

    return run(config)
