"""Whether the residuals of a fit are what its intervals suppose: of one width, and normal (statsmodels)."""

import numpy as np

from vlmkit.core.scaling.fitting import Fit

FEW_DOF = 4  # fewer are too few for either test
SAME = 1e-9  # relative, of a direction in which the variables do not vary


def diagnose(fitted: Fit) -> dict[str, float | None]:
    """Probabilities of residuals as uneven (Breusch and Pagan, Koenker's form, against the variables) and as far from
    normal (Jarque and Bera) as these if they were even and normal; None with too few degrees of freedom."""
    if fitted.dof < FEW_DOF or not fitted.rss > 0:
        return {"breusch_pagan_p": None, "jarque_bera_p": None, "skew": None, "kurtosis": None}
    from statsmodels.stats.diagnostic import het_breuschpagan
    from statsmodels.stats.stattools import jarque_bera
    from statsmodels.tools.tools import add_constant

    axes, lengths, _ = np.linalg.svd(fitted.problem.x.T, full_matrices=False)  # N and D may move on one line
    variables = add_constant(axes[:, lengths > SAME * lengths[0]], has_constant="add")
    uneven = het_breuschpagan(fitted.residuals, variables)[1]
    _, normal, skew, kurtosis = jarque_bera(fitted.residuals)
    found = {"breusch_pagan_p": uneven, "jarque_bera_p": normal, "skew": skew, "kurtosis": kurtosis}
    return {name: float(value) if np.isfinite(value) else None for name, value in found.items()}
