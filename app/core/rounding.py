"""Round numbers half up, the way people do: 1.25 is 1.3. One rule for pages, files and sums."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext

# A float has at most 309 digits before its point; Decimal's default precision of 28 refuses to quantize those.
MOST_DIGITS = 400


def round_half_up(value: float, digits: int) -> Decimal:
    """The value with exactly `digits` decimals, and never a negative zero."""
    # `repr` gives the decimal number that was meant. Its binary neighbor may lie below the half: 1.005 is 1.00499…
    # https://docs.python.org/3/tutorial/floatingpoint.html
    with localcontext(prec=MOST_DIGITS):
        found = Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return abs(found) if found.is_zero() else found


def rounded(value: float, digits: int = 2) -> float:
    """The same as a float, for sums and JSON."""
    return float(round_half_up(float(value), digits))
