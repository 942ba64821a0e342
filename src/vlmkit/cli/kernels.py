"""`vlmkit kernels`: the compiled operations."""

from vlmkit.cli.options import actions, command
from vlmkit.core.configs.kernels import KernelsBuildConfig, KernelsCheckConfig, KernelsListConfig

app = actions("kernels", default="list")


@command(app, KernelsListConfig)
def list_(config: KernelsListConfig) -> object:
    """Show what is compiled, and for what."""
    from vlmkit.core.recipes.kernels import list_all

    return list_all(config)


@command(app, KernelsBuildConfig)
def build(config: KernelsBuildConfig) -> object:
    """Compile everything."""
    from vlmkit.core.recipes.kernels import build

    return build(config)


@command(app, KernelsCheckConfig)
def check(config: KernelsCheckConfig) -> object:
    """Compare with the references."""
    from vlmkit.core.recipes.kernels import check

    return check(config)
