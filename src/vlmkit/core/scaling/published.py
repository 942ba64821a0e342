"""Laws that were published with their parameters, under a name for the command line; they come without points."""

from vlmkit.core.scaling.fitting import Fit, published
from vlmkit.core.scaling.laws import CHINCHILLA, GADRE, KAPLAN, Law

PUBLISHED: dict[str, tuple[Law, dict[str, float], str]] = {
    "hoffmann2022": (
        CHINCHILLA, {"E": 1.69337, "A": 406.4, "B": 410.7, "alpha": 0.33917, "beta": 0.28491},
        "Hoffmann et al. 2022, Approach 3, with the digits of its source; it disagrees with their Approaches 1 and 2",
    ),
    "besiroglu2024": (
        CHINCHILLA, {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
        "Besiroglu et al. 2024, the refit of Hoffmann et al.'s Approach 3",
    ),
    "gadre2024-c4": (
        GADRE, {"E": 1.50826, "a": 141.277, "b": 189.516, "eta": 0.121236},
        "Gadre et al. 2024, five runs on C4, loss on C4",
    ),
    "gadre2024-rpj": (
        GADRE, {"E": 1.83665, "a": 212.236, "b": 366.687, "eta": 0.136425},
        "Gadre et al. 2024, five runs on RedPajama, loss on C4",
    ),
    "kaplan2020": (
        KAPLAN, {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
        "Kaplan et al. 2020, N without embeddings",
    ),
}  # fmt: skip


def named(name: str) -> Fit:
    """A published law by its name.

    Raises:
        KeyError: there is none of that name.
    """
    law, params, _ = PUBLISHED[name]
    return published(law, params)
