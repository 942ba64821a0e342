"""`vlmkit fit-scaling`: scaling laws with honest intervals."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.fit_scaling import FitScalingConfig, FitScalingPredictConfig
from vlmkit.core.configs.fit_scaling_compare import FitScalingCompareConfig, FitScalingTasksConfig
from vlmkit.core.configs.fit_scaling_plan import FitScalingFrontierConfig, FitScalingPlanConfig

app = actions("fit-scaling", default="fit")


@command(app, FitScalingConfig)
def fit(config: FitScalingConfig) -> object:
    """Fit a law."""
    from vlmkit.core.recipes.fit_scaling import run

    return run(config)


@command(app, FitScalingPredictConfig)
def predict(config: FitScalingPredictConfig) -> object:
    """Predict from a law."""
    from vlmkit.core.recipes.fit_scaling_predict import run

    return run(config)


@command(app, FitScalingFrontierConfig)
def frontier(config: FitScalingFrontierConfig) -> object:
    """Compute-optimal runs."""
    from vlmkit.core.recipes.fit_scaling_frontier import run

    return run(config)


@command(app, FitScalingPlanConfig)
def plan(config: FitScalingPlanConfig) -> object:
    """What to train."""
    from vlmkit.core.recipes.fit_scaling_plan import run

    return run(config)


@command(app, FitScalingCompareConfig)
def compare(config: FitScalingCompareConfig) -> object:
    """Laws beside one another."""
    from vlmkit.core.recipes.fit_scaling_compare import run

    return run(config)


@command(app, FitScalingTasksConfig)
def tasks(config: FitScalingTasksConfig) -> object:
    """Tasks that can be predicted."""
    from vlmkit.core.recipes.fit_scaling_tasks import run

    return run(config)
