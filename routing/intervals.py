"""How sure a share is, and whether two shares of the same samples differ.

scipy.stats has both and takes two seconds and 100 MB to import, in every process that only shows them. The tests hold
these against it.
"""

from decimal import Decimal
from math import sqrt
from statistics import NormalDist

# Two-sided 95 %.
Z = NormalDist().inv_cdf(0.975)
# Of fewer a sum of skewed amounts is not near enough to normal.
LEAST_PAIRS = 30


def wilson(correct: int, n: int) -> tuple[float, float] | None:
    """Return the bounds of a share's 95 % score interval, within 0 and 1; None of none.

    E.B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if not n:
        return None
    share, z2 = correct / n, Z * Z / n
    middle = (share + z2 / 2) / (1 + z2)
    half = Z / (1 + z2) * sqrt((share * (1 - share) + z2 / 4) / n)
    return (max(0.0, middle - half) if correct else 0.0), (min(1.0, middle + half) if correct < n else 1.0)


def mcnemar(gained: int, lost: int) -> float:
    """Return the exact two-sided p-value that two answerers of the same samples are equally often right.

    `gained` samples only the first has right, `lost` only the second. Q. McNemar, Psychometrika 12 (1947), exact
    binomial form.
    """
    differ = gained + lost
    ways, tail = 1, 1
    for k in range(min(gained, lost)):
        ways = ways * (differ - k) // (k + 1)
        tail += ways
    return min(1.0, tail / (1 << differ) * 2)


def paired_mean(total: Decimal, squares: Decimal, n: int) -> tuple[Decimal, Decimal] | None:
    """Return the bounds of the mean of n paired differences, 95 %; None of fewer than 30.

    `total` is the sum of the differences, `squares` that of their squares. The normal interval, mean ± z s/√n, with s
    the sample's standard deviation; by the central limit theorem.
    """
    if n < LEAST_PAIRS:
        return None
    mean = total / n
    variance = max((squares - total * mean) / (n - 1), Decimal(0))
    half = Decimal(Z) * (variance / n).sqrt()
    return mean - half, mean + half
