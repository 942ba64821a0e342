"""The studies among the actions of `vlmkit attack`."""

import typer

from vlmkit.cli.options import command
from vlmkit.core.configs.attack_certify import AttackCertifyConfig
from vlmkit.core.configs.attack_features import AttackFeaturesConfig
from vlmkit.core.configs.attack_patch_fool import AttackPatchFoolConfig
from vlmkit.core.configs.attack_spectrum import AttackSpectrumConfig
from vlmkit.core.configs.attack_transfer import AttackTransferConfig


def add_studies(app: typer.Typer) -> None:
    """Register them with the command."""

    @command(app, AttackTransferConfig)
    def transfer(config: AttackTransferConfig) -> object:
        from vlmkit.core.recipes.attack_transfer import run

        return run(config)

    @command(app, AttackSpectrumConfig)
    def spectrum(config: AttackSpectrumConfig) -> object:
        from vlmkit.core.recipes.attack_spectrum import run

        return run(config)

    @command(app, AttackCertifyConfig)
    def certify(config: AttackCertifyConfig) -> object:
        from vlmkit.core.recipes.attack_certify import run

        return run(config)

    @command(app, AttackFeaturesConfig)
    def features(config: AttackFeaturesConfig) -> object:
        from vlmkit.core.recipes.attack_features import run

        return run(config)

    @command(app, AttackPatchFoolConfig)
    def patch_fool(config: AttackPatchFoolConfig) -> object:
        from vlmkit.core.recipes.attack_patch_fool import run

        return run(config)
