"""`vlmkit fit-scaling`: scaling laws with honest intervals."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.fit_scaling import FitScalingConfig, FitScalingPredictConfig

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
