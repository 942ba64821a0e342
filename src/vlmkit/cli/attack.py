"""`vlmkit attack`: how robust image classifiers are."""

from vlmkit.cli.attack_studies import add_studies
from vlmkit.cli.options import actions, command
from vlmkit.core.configs.attack import AttackConfig
from vlmkit.core.configs.attack_compare import CompareConfig

app = actions("attack")


@command(app, AttackConfig)
def run(config: AttackConfig) -> object:
    """Measure robustness."""
    from vlmkit.core.recipes.attack import run

    return run(config)


@command(app, CompareConfig)
def compare(config: CompareConfig) -> object:
    """Runs beside one another."""
    from vlmkit.core.recipes.attack_compare import run

    return run(config)


add_studies(app)
