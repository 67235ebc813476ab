"""Codes of an order index: texts in the order of the values that they stand for, and never changed once given.

A code is a fraction between 0 and 1, its digits in base 64 with the characters of ``DIGITS``, which stand in the order of
their bytes; without zeros at its end. Between any two fractions there are others, so that a value that comes later gets a
code between those of its neighbours, and none that was given has to change (after the labels of O'Neil et al., "ORDPATHs:
insert-friendly XML node labels", SIGMOD 2004). What an attacker learns from codes is what mutable order-preserving encoding
gives away: the order (Popa, Li and Zeldovich, "An ideal-security protocol for order-preserving encoding", S&P 2013); and
besides, from their lengths and gaps, roughly in which order values of one neighbourhood came.

Codes of values in random order grow with the logarithm of their number. No encoding that never changes a code can
promise that for every order of arrival: some sequence costs a bit per value (Cohen, Kaplan and Milo, "Labeling dynamic XML
trees", PODS 2002). What applications really do, one value after another in ascending or descending order, is recognized.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from math import ceil, log2

DIGITS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
END = "~"
"""Behind every code of a tenant, as its empty fraction is before every one."""
LONGEST = 1000
"""Characters of the longest code; an entry of a B-tree must fit a third of a page."""
UNEVEN = 200
"""A code of this length tells that codes should be given anew, evenly."""

_VALUES = {digit: value for value, digit in enumerate(DIGITS)}
_BASE = len(DIGITS)
_APPENDED = 8  # digits of codes before the first and behind the last: room for 2^40 of them
_STEP = _BASE
_RUN = 1024  # the share of a gap that a value of an ascending or descending run takes
_REMEMBERED = 256
_CERTAIN = 8  # steps in one direction that make a run
_SLACK = 64  # codes between two that are given in bulk


def tenant_prefix(tenant: int) -> str:
    """What the codes of a tenant begin with: its number, in digits after their count, so that tenants keep apart."""
    digits = ""
    while tenant or not digits:
        tenant, digit = divmod(tenant, _BASE)
        digits = DIGITS[digit] + digits
    return DIGITS[len(digits)] + digits


def evenly(count: int) -> list[str]:
    """Fractions for ``count`` values, all of a length but for zeros, with room between, before and behind them."""
    width = ceil((log2(max(count, 1)) + log2(_SLACK) + 1) / log2(_BASE))
    whole = _BASE**width
    return [_text(whole // 4 + whole // 2 * n // max(count, 1), width) for n in range(1, count + 1)]


def between(low: str, high: str, count: int, *, rising: bool = False, falling: bool = False) -> list[str]:
    """``count`` fractions between two, in ascending order. ``low`` may be '' (0), ``high`` ``END`` (1).

    ``rising``: values come in ascending order, each behind the one before, so the next is likely to come behind these;
    ``falling``: the other way round.
    """
    if rising and high == END and low and (appended := _behind(low, count)) is not None:
        return appended
    if falling and low == "" and high != END and (prepended := _before(high, count)) is not None:
        return prepended
    width = max(len(low), len(high)) if high != END else len(low)
    wanted = (count + 1) * 4 if not (rising or falling) else (count + 1) * _RUN * 2
    width = max(width, 1)
    while (gap := _number(high, width) - (first := _number(low, width))) < wanted:
        width += 1
    if rising or falling:
        step = max(gap // _RUN // count, 1)
        start = first + step if rising else first + gap - step * count
        return [_text(start + step * n, width) for n in range(count)]
    if count == 1:
        return [_shortest(first + gap // 4, first + gap - gap // 4, width)]
    return [_text(first + gap * n // (count + 1), width) for n in range(1, count + 1)]


def probes(low: str, high: str, count: int) -> list[str]:
    """Up to ``count`` fractions that divide the gap between two, for looking where codes are."""
    width = max(len(low), len(high)) if high != END else len(low)
    width = max(width, 1)
    while (gap := _number(high, width) - (first := _number(low, width))) <= count:
        width += 1
    return [_text(first + gap * n // (count + 1), width) for n in range(1, count + 1)]


def _behind(low: str, count: int) -> list[str] | None:
    start = _number(low[:_APPENDED], _APPENDED) // _STEP * _STEP + _STEP
    if start + _STEP * count >= _BASE**_APPENDED:
        return None
    return [_text(start + _STEP * n, _APPENDED) for n in range(count)]


def _before(high: str, count: int) -> list[str] | None:
    start = (_number(high[:_APPENDED], _APPENDED) - 1) // _STEP * _STEP - _STEP * (count - 1)
    if start <= 0:
        return None
    return [_text(start + _STEP * n, _APPENDED) for n in range(count)]


def _number(fraction: str, width: int) -> int:
    if fraction == END:
        return int(_BASE**width)
    number = 0
    for digit in fraction:
        number = number * _BASE + _VALUES[digit]
    return int(number * _BASE ** (width - len(fraction)))


def _text(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, _BASE)
        digits.append(DIGITS[digit])
    return "".join(reversed(digits)).rstrip(DIGITS[0])


def _shortest(low: int, high: int, width: int) -> str:
    """The shortest fraction from ``low`` to ``high``, that in the middle if there are several."""
    unit = 1
    while (low + unit * _BASE - 1) // (unit * _BASE) <= high // (unit * _BASE):
        unit *= _BASE
    first, last = (low + unit - 1) // unit, high // unit
    return _text((first + last) // 2 * unit, width)


def is_ascending(codes: Sequence[str]) -> bool:
    """Whether codes are in strictly ascending order of their bytes."""
    return all(one < other for one, other in pairwise(codes))


class Runs:
    """Recognizes where values come one behind the other, also while others come elsewhere."""

    def __init__(self) -> None:
        # The code that was given last in a place → how many had come before it in that direction.
        self._rising: OrderedDict[str, int] = OrderedDict()
        self._falling: OrderedDict[str, int] = OrderedDict()

    def given(self, codes: Sequence[str], low: str, high: str) -> None:
        """Between these two codes, those were given."""
        for runs, before, now in ((self._rising, low, codes[-1]), (self._falling, high, codes[0])):
            runs[now] = runs.pop(before, -1) + 1
            if len(runs) > _REMEMBERED:
                runs.popitem(last=False)

    def rising(self, low: str) -> bool:
        """Whether what comes behind that code goes on a run."""
        return self._rising.get(low, 0) >= _CERTAIN

    def falling(self, high: str) -> bool:
        """Whether what comes before that code goes on a run."""
        return self._falling.get(high, 0) >= _CERTAIN

    def running(self, low: str, high: str) -> bool:
        """Whether what comes between two codes goes on a run."""
        return self.rising(low) or self.falling(high)
