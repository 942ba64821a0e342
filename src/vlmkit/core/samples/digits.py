"""Scikit-learn's 1,797 scanned digits (Alpaydin and Kaynak, 1998) as images of 8 by 8 grey pixels."""

import numpy as np

HELD_OUT = 397  # the last images, which the classifiers of `vlmkit sample` are not trained on; by other writers
RADIUS = 0.1  # of the ball that they are hardened in, max norm, pixels in [0, 1]


def load() -> tuple[np.ndarray, np.ndarray]:
    """Images (N, Y, X) uint8 in [0, 255] and labels (N,) in [0, 9]."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return np.rint(found.images * (255 / 16)).astype(np.uint8), found.target.astype(np.int64)  # 17 levels of grey
