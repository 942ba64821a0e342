"""The shapes from which laws are made: columns phi(x; theta) in which a law is linear, with their derivatives.

Each shape takes theta (B, Q) and its rows of the variables x (R, N), centred, and returns phi (B, N); with `order` 1 or
2 also d phi (B, Q, N) and d2 phi (B, Q, Q, N) with respect to theta. A whole batch of exponents is one call, because
the scan, the bootstrap and leave-one-out are batches.
"""

from collections.abc import Callable

import numpy as np

Jet = tuple[np.ndarray, ...]
Shape = Callable[[np.ndarray, np.ndarray, int], Jet]


def power(theta: np.ndarray, x: np.ndarray, order: int = 0) -> Jet:
    """exp(-theta x): with x = ln N, the power N^-theta."""
    minus = -x[0]
    phi = np.exp(theta[:, :1] * minus)
    if not order:
        return (phi,)
    slope = phi * minus
    return (phi, slope[:, None]) if order == 1 else (phi, slope[:, None], (slope * minus)[:, None, None])


def sigmoid(theta: np.ndarray, x: np.ndarray, order: int = 0) -> Jet:
    """s(k (x - m)) / s(-k m) for theta = (k, m), with the logistic function s: one at x = 0, whatever the middle m, so
    that far from its middle, where it is exp(k x), the law keeps its digits and does not depend on m."""
    from scipy.special import log_expit

    k, m = theta[:, :1], theta[:, 1:]
    away = x[0] - m
    along, middle = log_expit(k * away), log_expit(-k * m)
    phi = np.exp(along - middle)
    if not order:
        return (phi,)
    s, s0 = np.exp(along), np.exp(middle)
    by_k, by_m = (1 - s) * away + (1 - s0) * m, k * (s - s0)  # of the logarithm
    inner = np.stack([by_k, by_m], axis=1)
    if order == 1:
        return phi, phi[:, None] * inner
    bell, bell0 = s * (1 - s), s0 * (1 - s0)
    mixed = k * (bell * away + bell0 * m) + s - s0
    rows = [bell0 * m**2 - bell * away**2, mixed, mixed, k**2 * (bell0 - bell)]
    curved = np.stack(rows, axis=1).reshape(len(theta), 2, 2, -1)
    return phi, phi[:, None] * inner, phi[:, None, None] * (inner[:, :, None] * inner[:, None] + curved)


def crossover(theta: np.ndarray, x: np.ndarray, order: int = 0) -> Jet:
    """ln(exp(s - r x_0) + exp(-x_1)) for theta = (r, s): the inside of Kaplan's law, from one regime to the other."""
    left, right = theta[:, 1:] - theta[:, :1] * x[0], -x[1]
    phi = np.logaddexp(left, right)
    if not order:
        return (phi,)
    share = np.exp(left - phi)
    inner = np.stack([np.broadcast_to(-x[0], share.shape), np.ones_like(share)], axis=1)
    if order == 1:
        return phi, share[:, None] * inner
    return phi, share[:, None] * inner, (share * (1 - share))[:, None, None] * inner[:, :, None] * inner[:, None]


def identity(theta: np.ndarray, x: np.ndarray, order: int = 0) -> Jet:
    """x itself: a straight line, without exponents."""
    size, n = len(theta), x.shape[1]
    phi = np.broadcast_to(x[0], (size, n))
    return (phi, np.zeros((size, 0, n)), np.zeros((size, 0, 0, n)))[: order + 1]
