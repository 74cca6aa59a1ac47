"""Logistic regression with clustered errors, and whether it has a finite answer at all."""

from __future__ import annotations

import warnings
from typing import Any

SURE = 12.0
"""Log-odds that fits of separated outcomes pass on their way to infinity, and others hardly ever reach."""


def logistic(x: Any, y: Any, groups: Any) -> Any | None:
    """statsmodels' binomial GLM of `y` (0 and 1, shape (n,)) on `x` (n, columns), errors clustered on `groups` (integers);
    None where the outcomes are separated, so that it has no finite coefficients."""
    import numpy as np
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

    # On its way to infinity a separated fit overflows and divides by zero; that it is separated is told below.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        fit = sm.GLM(y, x, family=sm.families.Binomial()).fit(cov_type="cluster", cov_kwds={"groups": groups})
    # A finite maximum proves that nothing is separated (its residuals are the certificate), so only a fit that
    # went far needs the linear programme.
    far = not np.all(np.abs(x @ np.asarray(fit.params)) < SURE)
    return None if far and separated(x, y) else fit


def separated(x: Any, y: Any) -> bool:
    """Whether some combination of the columns of `x` tells the outcomes apart without error, or nearly.

    `x` of shape (n, columns), `y` of shape (n,) of 0 and 1. True where a β ≠ 0 has xᵢβ ≥ 0 wherever yᵢ = 1 and
    xᵢβ ≤ 0 wherever yᵢ = 0, and not 0 everywhere: then likelihood grows without end in its direction
    (Albert and Anderson 1984), and coefficient and error are whatever the fitting stopped at. Found by
    the linear programme of Konis 2007.
    """
    import numpy as np
    from scipy.optimize import linprog

    signed = np.asarray(x, dtype=float) * np.where(np.asarray(y) > 0, 1.0, -1.0)[:, None]
    scale = np.abs(signed).max(axis=0)
    signed = signed[:, scale > 0] / scale[scale > 0]
    if not signed.size:
        return False
    rows = np.unique(signed, axis=0)
    found = linprog(
        -rows.sum(axis=0),
        A_ub=-rows,
        b_ub=np.zeros(len(rows)),
        bounds=[(-1, 1)] * rows.shape[1],
        method="highs",
    )
    return bool(found.status == 0 and -found.fun > 1e-6)
