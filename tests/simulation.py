"""Simulated studies by the thousand, and the textbook intervals of each, as arrays: what measures are held against.

A judge's verdicts are right where d + z_group + z_question + z_new ± bias > 0: normal, of variances that sum to one,
with + in the first of two orders. So the chance of each verdict, and of two at once, is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm, t

STUDIES = 2000


def verdicts(
    draw: Any,
    groups: int,
    each: int,
    d: float,
    alike: tuple[float, float] = (0.1, 0.2),
    place: float = 0.0,
    samples: int = 1,
    shared: tuple[Any, Any] | None = None,
) -> Any:
    """Whether each verdict is right: (studies, groups, questions, 2 orders, samples).

    `alike` are the shares of a group and of a question in the noise; `shared` gives their draws, for an arm that
    is asked the same questions.
    """
    of_group, of_question = shared or difficulty(draw, groups, each)
    new = np.sqrt(1 - sum(alike)) * draw.normal(size=(STUDIES, groups, each, 2, samples))
    fixed = np.sqrt(alike[0]) * of_group + np.sqrt(alike[1]) * of_question
    return d + fixed + new + np.array([place, -place])[:, None] > 0


def difficulty(draw: Any, groups: int, each: int) -> tuple[Any, Any]:
    """What a group and what a question adds: (studies, groups, questions or 1, 1, 1)."""
    return draw.normal(size=(STUDIES, groups, 1, 1, 1)), draw.normal(size=(STUDIES, groups, each, 1, 1))


def mean_intervals(sums: Any, sizes: Any) -> tuple[Any, Any, Any]:
    """Mean and its clustered t interval (Miller 2024, with G / (G − 1)) of groups' sums, (studies, groups)."""
    n, g = sizes.sum(axis=1), (sizes > 0).sum(axis=1)
    mean = sums.sum(axis=1) / n
    rest = sums - sizes * mean[:, None]
    half = t.ppf(0.975, g - 1) * np.sqrt(g / (g - 1) * (rest**2).sum(axis=1)) / n
    return mean, mean - half, mean + half


def share_intervals(right: Any, decided: Any) -> tuple[Any, Any, Any]:
    """Of shares: the same, or Wilson's with an effective n where fewer than ten are right, or wrong, by it; and where
    it is the same."""
    n, g = decided.sum(axis=1), (decided > 0).sum(axis=1)
    share, low, high = mean_intervals(right, decided)
    quantile = t.ppf(0.975, g - 1)
    error = (high - share) / quantile
    with np.errstate(all="ignore"):
        size = n * np.minimum(1, share * (1 - share) / n / error**2) * (norm.ppf(0.975) / quantile) ** 2
    size = np.where(error < 1e-12, np.minimum(g, n), size)
    z = norm.ppf(0.975)
    middle = (share * size + z * z / 2) / (size + z * z)
    half = z / (size + z * z) * np.sqrt(share * (1 - share) * size + z * z / 4)
    plain = (size * np.minimum(share, 1 - share) >= 10) & (low > 0) & (high < 1) & (error > 1e-12)
    low = np.where(plain, low, np.maximum(0, middle - half))
    return low, np.where(plain, high, np.minimum(1, middle + half)), plain


def logistic_intervals(x: Any, y: Any, place: Any) -> tuple[Any, Any]:
    """Coefficients of a logistic regression and half their t intervals with clustered errors: x of shape (studies, n,
    columns), y (studies, n) of 0 and 1, place (n,) the groups; both (studies, columns). Not finite where separated."""
    studies, n, columns = x.shape
    groups = int(place.max()) + 1
    beta = np.zeros((studies, columns))
    with np.errstate(all="ignore"):
        for _ in range(30):
            p = 1 / (1 + np.exp(-np.einsum("snk,sk->sn", x, beta)))
            curve = np.einsum("snk,snl->skl", x * (p * (1 - p))[..., None], x) + 1e-12 * np.eye(columns)
            step = np.linalg.solve(curve, np.einsum("snk,sn->sk", x, y - p)[..., None])[..., 0]
            beta = beta + np.clip(step, -2, 2)
        scores = np.zeros((studies, groups, columns))
        np.add.at(scores, (slice(None), place), x * (y - p)[..., None])
        inverse = np.linalg.inv(curve)
        middle = np.einsum("sgk,sgl->skl", scores, scores)
        cov = inverse @ middle @ inverse * groups / (groups - 1) * (n - 1) / (n - columns)
        error = np.sqrt(np.einsum("skk->sk", cov))
    return beta, t.ppf(0.975, groups - 1) * error


def covered(low: Any, high: Any, truth: Any) -> float:
    """The share of intervals that hold the truth."""
    return float(np.mean((low <= truth) & (truth <= high)))
