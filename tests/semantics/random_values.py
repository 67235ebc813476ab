"""Random values of every type, and random calls: with a taste for what goes wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from server_oracle import Case

from pgnym.semantics.binding import Signature
from pgnym.semantics.expression import Call, Collation, Constant, Expression, Value
from pgnym.semantics.types import (
    BOOL,
    BPCHAR,
    BYTEA,
    DATE,
    FLOAT8,
    INET,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NAME,
    NUMERIC,
    TEXT,
    TEXTS,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
    VARCHAR,
)

# Letters of odd case, marks, wide characters; blanks, line ends, and what means something in patterns.
ALPHABET = "aAbBkKsSiIzZ09 _%\\.,-ßẞİıſΣςσKÅåμµéÉ\u0301\u0307🙂😀日本ŁłǅǆǄ\n\t ﬁŉ中ᾳᾼა"
NARROW = "ab%_\\ "
_REGEX_LETTERS = (*"aAbBsSkKiI _%ßİıſΣςσåÅμé\u0301日ǅ", "ab", "a", "b", " ")
_REGEX_ATOMS = (
    ".", "^", "$", "\\d", "\\D", "\\s", "\\S", "\\w", "\\W", "\\m", "\\M", "\\y", "\\Y", "\\A", "\\Z", "\\.", "\\\\", "\\n",
    "\\x41", "\\u00df", "\\60", "\\0", "[[:<:]]", "[[:>:]]", "(?#x)", "\\e", "\\cA", "{", "}", "]", "-", "#", "\\1", "(?=a)",
)  # fmt: skip
_QUANTIFIERS = ("",) * 8 + (
    "*",
    "+",
    "?",
    "*?",
    "+?",
    "??",
    "{2}",
    "{0,1}",
    "{1,}",
    "{0}",
    "{1,2}?",
    "{2,1}",
    "{a",
    "**",
    "{",
)
_BRACKET_ITEMS = (
    *"abAkKiIßſ", "a-z", "A-Z", "0-9", "à-ü", "Α-Ω", "!-/", "-", "^", "]", "\\d", "\\w", "\\S", "\\]",
    "[:alpha:]", "[:lower:]", "[:upper:]", "[:punct:]", "[:space:]", "[:word:]", "[:digit:]",
    "[:blank:]", "[:cntrl:]", "[:print:]", "[:graph:]",
    "[:alnum:]", "[:xdigit:]", "[:ascii:]", "[:nope:]", "[.a.]", "[=a=]", "z-a", "\\n", "_", " ", ".",
)  # fmt: skip
_REGEX_NOISE = "ab()[]{}*+?|^$.\\-,:1=!<#dwmx "
_BITS = {INT2: 16, INT4: 32, INT8: 64}
_ODD_DATES = (
    "infinity", "-infinity", "4713-11-24 BC", "4714-11-24 BC", "5874897-12-31", "294276-12-31", "294277-01-01",
    "0001-01-01 BC", "0001-12-31 BC", "0001-01-01", "10000-01-01", "2000-02-29", "1900-02-28",
)  # fmt: skip
_ADDRESSES = (
    "10.0.0.0/8", "10.0.0.1", "10.0.0.0/16", "10.1.0.0/16", "10.0.0.1/8", "::1", "fe80::/10", "::/0", "0.0.0.0/0",
    "192.168.1.5/24", "192.168.1.5", "255.255.255.255",
)  # fmt: skip
_SPELLINGS = (
    "", " ", "tr", "YES", "o", "on", "of", "0x1F", "1_000", "1e3", ".5", "5.", "-", "1e", "inf", "nan", "-0.00",
    "2020-02-30", "2020-1-1", "20200101", "2020-01-01 10:00", "2020-01-01T10:00:00.5", "2020-01-01 25:00:00",
    "now", "99999999999",
    "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11",
)  # fmt: skip
_INTERVALS = (
    "1 day", "1 mon", "-1 mons", "00:00:01", "1 year 2 mons 3 days 04:05:06.7", "-1 days", "01:00:00", "24:00:00",
    "00:00:00", "-1 years -2 mons +3 days -04:05:06.789", "13 mons", "100 years", "-00:00:00.000001", "400000 days",
)  # fmt: skip
_PATTERNS = (
    "YYYY", "YYY", "YY", "Y", "yyyy", "MM", "mm", "FMMM", "DD", "dd", "FMDD", "DDD", "FMDDD", "D", "ID", "Q", "W",
    "WW", "IW", "IYYY", "IYY", "IY", "I", "HH24", "HH12", "HH", "hh24", "FMHH12", "MI", "mi", "SS", "MS", "US",
    "FMMS", "AM", "pm", "A.M.", "MONTH", "Month", "month", "FMMonth", "Mon", "MON", "mon", "DAY", "Day", "day",
    "FMDay", "Dy", "DY", "dy", "FMYYYY", "T", "é", ".", ":", "CC", "J", "RM", "TMMonth", "DDth", "TZ", "AD", "SSSS",
    "YYYY-MM-DD", "Mon DD, YYYY", "HH24:MI:SS", "x",
)  # fmt: skip
_UNITS = (
    "year", "years", "month", "day", "dow", "isodow", "doy", "quarter", "week", "decade", "century", "millennium", "epoch",
    "isoyear", "hour", "minute", "second", "milliseconds", "microseconds", "julian", "YEAR", "nope", "timezone", "y", "",
)  # fmt: skip
_FLOATS = ("1", "1.5", "-2e+30", "NaN", "Infinity", "-Infinity", "0", "-0", "0.1", "1e-300")


class Maker:
    """A source of values and calls; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._by_type: Mapping[int, Callable[[], str]] = {
            **dict.fromkeys((TEXT, VARCHAR, BPCHAR, NAME), self.text),
            **{t: lambda t=t: self.integer(_BITS[t]) for t in _BITS},  # type: ignore[misc]
            NUMERIC: self.numeric,
            DATE: self.date,
            TIMESTAMP: self.timestamp,
            TIMESTAMPTZ: lambda: self.timestamp("+00"),
            TIME: self.time,
            BOOL: lambda: self.random.choice("tf"),
            UUID: lambda: (
                f"{self.random.getrandbits(9):08x}-0000-4000-8000-{self.random.getrandbits(3):012x}"
            ),
            BYTEA: lambda: "\\x" + self.random.randbytes(self.random.randint(0, 4)).hex(),
            INET: lambda: self.random.choice(_ADDRESSES),
            INTERVAL: lambda: self.random.choice(_INTERVALS),
            FLOAT8: lambda: self.random.choice(_FLOATS),
        }

    def value(self, type_oid: int) -> bytes:
        """A canonical value."""
        return self._by_type[type_oid]().encode()

    def text(self) -> str:
        """Mostly short; from many letters or from few, so that some texts match others."""
        size = self.random.choice((0, 1, 1, 2, 2, 3, 3, 4, self.random.randint(5, 14)))
        return "".join(self.random.choices(ALPHABET if self.random.random() < 0.7 else NARROW, k=size))

    def integer(self, bits: int) -> str:
        """Near zero, at the ends, or anywhere."""
        end = 1 << bits - 1
        return str(self.random.choice((*range(-6, 9), -end, end - 1, self.random.randrange(-end, end))))

    def small(self) -> str:
        """A count that may be asked of the server, too: ``repeat`` of more would fill its memory."""
        return str(self.random.choice((*range(-4, 20), -(1 << 31))))

    def numeric(self) -> str:
        """With few or many digits, before and after the point."""
        pick = self.random.choice
        if self.random.random() < 0.08:
            return pick(("NaN", "Infinity", "-Infinity"))
        digits = str(self.random.randint(0, pick((9, 999, 10**6, 10**20))))
        if self.random.random() < 0.6:
            digits += "." + "".join(self.random.choices("0123456789", k=pick((1, 2, 5, 20))))
        return pick(("", "-")) + digits if digits.strip("0.") else digits

    def date(self) -> str:
        """Of our time, of any, or at an end of what there is."""
        if self.random.random() < 0.12:
            return self.random.choice(_ODD_DATES)
        year = self.random.choice((self.random.randint(1, 3000), self.random.randint(1890, 2040)))
        month, day = self.random.choice(
            (
                (1, 1),
                (1, 3),
                (12, 29),
                (12, 31),
                (2, 28),
                (self.random.randint(1, 12), self.random.randint(1, 28)),
            )
        )
        return f"{year:04d}-{month:02d}-{day:02d}" + (" BC" if self.random.random() < 0.08 else "")

    def time(self) -> str:
        """With and without a fraction of the second."""
        if self.random.random() < 0.2:
            return "00:00:00"
        clock = ":".join(f"{self.random.randint(0, top):02d}" for top in (23, 59, 59))
        fraction = f"{self.random.randint(1, 999999):06d}".rstrip("0")
        return f"{clock}.{fraction}" if self.random.random() < 0.4 else clock

    def timestamp(self, zone: str = "") -> str:
        """A date that a timestamp can be, and a time."""
        while True:
            day, _, era = self.date().partition(" ")
            if day.endswith("infinity"):
                return day
            if int(day.split("-")[0]) <= 294276:
                return f"{day} {self.time()}{zone}" + (" BC" if era else "")

    def spelling(self, type_oid: int) -> str:
        """A text that the type's input may or may not read."""
        text = self.value(type_oid).decode()
        kind = self.random.random()
        if kind < 0.3:
            text = (
                self.random.choice((" ", "", "+", "0"))
                + text
                + self.random.choice((" ", "", "e2", ".", "0", "x"))
            )
        elif kind < 0.4:
            text = self.random.choice(_SPELLINGS)
        return text

    def regex(self) -> str:
        """Mostly valid, of few letters, so that it matches now and then."""
        pick = self.random.choice
        prefix = pick(
            ("",) * 14
            + ("(?i)", "(?n)", "(?p)", "(?w)", "(?x)", "(?q)", "(?xi)", "***=", "***:", "***", "(?z)")
        )
        noise = "".join(self.random.choices(_REGEX_NOISE, k=self.random.randint(0, 6)))
        return prefix + (self._regex(3) if self.random.random() < 0.85 else noise)

    def _regex(self, depth: int) -> str:
        made = []
        for _ in range(self.random.randint(0, 3)):
            kind = self.random.random()
            if kind < 0.15 and depth:
                body = "|".join(self._regex(depth - 1) for _ in range(self.random.randint(1, 3)))
                atom = self.random.choice(("(", "(?:")) + body + ")"
            elif kind < 0.35:
                atom = self._bracket()
            elif kind < 0.5:
                atom = self.random.choice(_REGEX_ATOMS)
            else:
                atom = self.random.choice(_REGEX_LETTERS)
            made.append(atom + self.random.choice(_QUANTIFIERS))
        return "".join(made)

    def _bracket(self) -> str:
        items = self.random.choices(_BRACKET_ITEMS, k=self.random.randint(1, 3))
        return self.random.choice(("[", "[", "[^")) + "".join(items) + "]"

    def case(self, signature: Signature, collations: Sequence[Collation]) -> Case:
        """A call of a signature: one argument is the value, the others are constants. NULL now and then."""
        place = self.random.randrange(len(signature.argument_types))
        collation = self.random.choice(collations)
        given: list[Expression] = []
        constants: list[bytes | None] = []
        value: bytes | None = None
        for at, type_oid in enumerate(signature.argument_types):
            argument = (
                None if self.random.random() < 0.02 else self.argument(signature.function, at, type_oid)
            )
            if at == place:
                value = argument
                given.append(Value(type_oid, collation=collation if type_oid in TEXTS else None))
            else:
                given.append(Constant(len(constants), type_oid))
                constants.append(argument)
        outer = None if signature.argument_types[place] in TEXTS else collation
        return Case(
            Call(signature.function, tuple(given), signature.result_type, outer), tuple(constants), value
        )

    def argument(self, function: str, at: int, type_oid: int) -> bytes:
        """A value of the type that makes sense there, mostly."""
        special = self._special(function, at)
        return self.value(type_oid) if special is None else special.encode()

    def _special(self, function: str, at: int) -> str | None:
        if function in ("repeat", "lpad", "rpad") and at == 1:
            return self.small()
        if function in ("~", "~*", "!~", "!~*", "regexp_like") and at == 1:
            return self.regex()
        if function == "regexp_like" and at == 2:
            return "".join(
                self.random.choices("iicnpwsxtgz", weights=[9] * 9 + [1, 1], k=self.random.randint(0, 2))
            )
        if function in ("extract", "date_part", "date_trunc") and at == 0:
            return self.random.choice(_UNITS)
        if function == "to_char" and at == 1:
            pieces = [self.random.choice(_PATTERNS) for _ in range(self.random.randint(0, 5))]
            return self.random.choice(("", "", "-", " ", "/", '"at"')).join(pieces)
        if function == "similar_to_escape" and at == 0:
            return "".join(self.random.choices('ab%_[]^()|*+?{}1,-.\\"$#', k=self.random.randint(0, 9)))
        if function == "like_escape" and at == 1 and self.random.random() < 0.8:
            return self.random.choice("\\#%_aß")
        return None
