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
    """1 / (1 + exp(-k (x - m))) for theta = (k, m)."""
    from scipy.special import expit

    k, away = theta[:, :1], x[0] - theta[:, 1:]
    phi = expit(k * away)
    if not order:
        return (phi,)
    bell = phi * (1 - phi)
    inner = np.stack([away, np.broadcast_to(-k, away.shape)], axis=1)  # d(k (x - m)) by k and m
    if order == 1:
        return phi, bell[:, None] * inner
    bend = (bell * (1 - 2 * phi))[:, None, None] * inner[:, :, None] * inner[:, None]
    bend[:, 0, 1] -= bell
    bend[:, 1, 0] -= bell
    return phi, bell[:, None] * inner, bend


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
