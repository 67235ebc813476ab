"""Query features of Django's ORM on protected columns. Each step begins with the same rows and is rolled back."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connections, models, transaction
from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    F,
    Func,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    Subquery,
    Value,
    When,
    Window,
)  # fmt: skip
from django.db.models.functions import (
    Cast,
    Coalesce,
    Concat,
    ExtractMonth,
    ExtractYear,
    Greatest,
    Left,
    Length,
    Lower,
    NullIf,
    Rank,
    Replace,
    Right,
    RowNumber,
    StrIndex,
    Substr,
    Trim,
    TruncMonth,
    TruncYear,
    Upper,
)  # fmt: skip
from features import Refused, Steps, in_order
from tour_django import APP, Customer, Employee, Invoice, connected


class Profile(models.Model):  # type: ignore[misc]
    id = models.IntegerField(primary_key=True)
    customer = models.OneToOneField(Customer, models.DO_NOTHING, related_name="profile")
    born = models.DateField(null=True)
    nick = models.TextField(null=True)
    doc = models.JSONField(null=True)
    extra = models.JSONField(null=True)
    score = models.IntegerField(null=True)

    class Meta:
        app_label, db_table, managed = APP, "profile", False


STEPS = Steps()
step = STEPS.step


@dataclass(frozen=True, slots=True)
class Shop:
    """The managers of one database."""

    alias: str

    @property
    def customers(self) -> Any:
        return Customer.objects.using(self.alias)

    @property
    def employees(self) -> Any:
        return Employee.objects.using(self.alias)

    @property
    def invoices(self) -> Any:
        return Invoice.objects.using(self.alias)

    @property
    def profiles(self) -> Any:
        return Profile.objects.using(self.alias)


def run(dsn: str) -> dict[str, object]:
    """Every step's result, error or refusal."""
    got: dict[str, object] = {}
    with connected(dsn) as alias:
        shop = Shop(alias)
        for name, function in STEPS.found.items():
            try:
                with transaction.atomic(using=alias):
                    got[name] = function(shop)
                    transaction.set_rollback(True, using=alias)
            except DatabaseError as error:
                state = getattr(error.__cause__, "sqlstate", None)
                got[name] = Refused(str(error)) if state == "0A000" else (state, type(error).__name__)
    return got


def _lookups() -> None:
    """One step for each lookup of a text column, a date column and a nullable one."""
    texts: dict[str, dict[str, Any]] = {
        "exact": {"email": "luisg@embraer.com.br"},
        "exact, none found": {"email": "nobody@example.org"},
        "exact, None": {"fax": None},
        "iexact": {"email__iexact": "LUISG@embraer.com.BR"},
        "contains": {"email__contains": "gmail"},
        "contains, wildcards in it": {"address__contains": "%"},
        "icontains": {"last_name__icontains": "SON"},
        "startswith": {"phone__startswith": "+1 ("},
        "istartswith": {"first_name__istartswith": "mAr"},
        "endswith": {"email__endswith": ".br"},
        "iendswith": {"email__iendswith": ".COM"},
        "in": {"last_name__in": ["Tremblay", "Gruber", "Nobody"]},
        "in, empty": {"last_name__in": []},
        "range": {"last_name__range": ("G", "Kz")},
        "regex": {"email__regex": r"^[a-f].*\.(ca|fr)$"},
        "iregex": {"last_name__iregex": r"^(mc|o')?.*(EZ|ER)$"},
        "isnull": {"fax__isnull": True},
        "not null": {"phone__isnull": False, "fax__isnull": True},
        "gt": {"last_name__gt": "Smith"},
        "lte": {"first_name__lte": "Bob"},
        "length": {"last_name__length__gt": 9},
        "lower, exact": {"last_name__lower": "tremblay"},
    }
    CharField.register_lookup(Length)
    CharField.register_lookup(Lower)
    for name, filters in texts.items():
        step(f"filter {name}")(
            lambda shop, f=filters: in_order(shop.customers.filter(**f).values_list("pk", "email"))
        )
        step(f"exclude {name}")(
            lambda shop, f=filters: in_order(shop.customers.exclude(**f).values_list("pk", "email"))
        )
    day = datetime.date(1962, 9, 13)
    dates: dict[str, dict[str, Any]] = {
        "exact": {"born": day},
        "gt": {"born__gt": day},
        "lt": {"born__lt": day},
        "range": {"born__range": (day, datetime.date(1966, 1, 1))},
        "in": {"born__in": [day, datetime.date(1962, 12, 19)]},
        "year": {"born__year": 1963},
        "year, gte": {"born__year__gte": 1970},
        "month": {"born__month": 3},
        "week day": {"born__week_day": 2},
        "isnull": {"born__isnull": True},
    }
    for name, filters in dates.items():
        step(f"date {name}")(
            lambda shop, f=filters: in_order(shop.profiles.filter(**f).values_list("pk", "born"))
        )
    when = datetime.datetime(1968, 1, 1)
    times: dict[str, dict[str, Any]] = {
        "gt": {"birth_date__gt": when}, "date": {"birth_date__date": datetime.date(1973, 8, 29)},
        "year": {"birth_date__year": 1973}, "hour": {"birth_date__hour": 0},
    }  # fmt: skip
    for name, filters in times.items():
        step(f"timestamp {name}")(
            lambda shop, f=filters: in_order(shop.employees.filter(**f).values_list("pk", "birth_date"))
        )


_lookups()

QUERIES: dict[str, Callable[[Shop], object]] = {
    "Q: or, and, not": lambda s: in_order(
        s.customers.filter(Q(email__contains="gmail") & ~Q(last_name="Tremblay") | Q(phone=None)).values_list("pk")
    ),
    "F: columns of one domain": lambda s: in_order(s.customers.filter(phone=F("fax")).values_list("pk")),
    "F: across a join": lambda s: in_order(
        s.invoices.filter(billing_address=F("customer__address")).values_list("pk", "billing_address")
    ),
    "order_by": lambda s: list(s.customers.order_by("last_name", "first_name").values_list("pk", "last_name")),
    "order_by descending, nulls last": lambda s: list(
        s.customers.order_by(F("fax").desc(nulls_last=True), "pk").values_list("pk", "fax")
    ),
    "order_by, sliced": lambda s: list(s.customers.order_by("email")[5:12].values_list("email", flat=True)),
    "order_by a date": lambda s: list(s.profiles.order_by("-born").values_list("pk", flat=True)),
    "order_by lower": lambda s: list(s.customers.order_by(Lower("email"), "pk").values_list("pk", flat=True)),
    "order_by across a join": lambda s: list(
        s.invoices.order_by("customer__last_name", "pk").values_list("pk", flat=True)[:50]
    ),
    "first and last by name": lambda s: (
        s.customers.order_by("last_name", "pk").first().email, s.customers.order_by("last_name", "pk").last().email
    ),
    "latest and earliest": lambda s: (s.profiles.latest("born").pk, s.profiles.earliest("born").pk),
    "reverse": lambda s: [c.pk for c in s.customers.order_by("first_name", "pk").reverse()[:9]],
    "distinct": lambda s: in_order(s.customers.values_list("first_name", "country").distinct()),
    "distinct on": lambda s: list(
        s.customers.order_by("country", "pk").distinct("country").values_list("email", flat=True)
    ),
    "distinct on a protected column": lambda s: list(
        s.customers.order_by("first_name", "pk").distinct("first_name").values_list("pk", "first_name")
    ),
    "values and count": lambda s: in_order(s.customers.values("first_name").annotate(n=Count("pk")).values_list()),
    "having": lambda s: in_order(
        s.customers.values("first_name").annotate(n=Count("pk")).filter(n__gt=1).values_list("first_name", "n")
    ),
    "aggregate count": lambda s: s.customers.aggregate(n=Count("fax"), d=Count("first_name", distinct=True)),
    "aggregate min and max": lambda s: s.customers.aggregate(a=Min("email"), b=Max("last_name")),
    "aggregate min and max of dates": lambda s: s.profiles.aggregate(a=Min("born"), b=Max("born")),
    "min by group": lambda s: in_order(
        s.customers.values("country").annotate(first=Min("last_name")).values_list("country", "first")
    ),
    "filtered aggregate": lambda s: s.customers.aggregate(n=Count("pk", filter=Q(email__endswith=".com"))),
    "annotate Case": lambda s: in_order(
        s.customers.annotate(
            kind=Case(When(email__endswith=".com", then=Value("com")), default=Value("other"))
        ).values_list("pk", "kind")
    ),
    "annotate Case with the column": lambda s: in_order(
        s.customers.annotate(reach=Case(When(fax=None, then=F("phone")), default=F("fax"))).values_list("pk", "reach")
    ),
    "Upper": lambda s: in_order(s.customers.annotate(x=Upper("last_name")).values_list("pk", "x")),
    "Lower": lambda s: in_order(s.customers.annotate(x=Lower("email")).values_list("pk", "x")),
    "Length": lambda s: in_order(s.customers.annotate(x=Length("email")).values_list("pk", "x")),
    "Substr": lambda s: in_order(s.customers.annotate(x=Substr("phone", 2, 4)).values_list("pk", "x")),
    "Left and Right": lambda s: in_order(
        s.customers.annotate(x=Left("last_name", 1), y=Right("phone", 4)).values_list("pk", "x", "y")
    ),
    "Replace": lambda s: in_order(
        s.customers.annotate(x=Replace("phone", Value(" "), Value(""))).values_list("pk", "x")
    ),
    "Trim": lambda s: in_order(s.customers.annotate(x=Trim("address")).values_list("pk", "x")),
    "StrIndex": lambda s: in_order(s.customers.annotate(x=StrIndex("email", Value("@"))).values_list("pk", "x")),
    "Concat": lambda s: in_order(
        s.customers.annotate(x=Concat("first_name", Value(" "), "last_name")).values_list("pk", "x")
    ),
    "Concat with Upper": lambda s: in_order(
        s.customers.annotate(x=Concat(Upper("last_name"), Value(", "), "first_name")).values_list("pk", "x")
    ),
    "Coalesce": lambda s: in_order(s.customers.annotate(x=Coalesce("fax", "phone")).values_list("pk", "x")),
    "NullIf": lambda s: in_order(s.customers.annotate(x=NullIf("phone", "fax")).values_list("pk", "x")),
    "Greatest": lambda s: in_order(s.customers.annotate(x=Greatest("phone", "fax")).values_list("pk", "x")),
    "Cast to text": lambda s: in_order(
        s.profiles.annotate(x=Cast("born", CharField())).values_list("pk", "x")
    ),
    "Func": lambda s: in_order(
        s.customers.annotate(x=Func("last_name", function="initcap")).values_list("pk", "x")
    ),
    "ExtractYear": lambda s: in_order(
        s.profiles.annotate(y=ExtractYear("born"), m=ExtractMonth("born")).values_list("pk", "y", "m")
    ),
    "TruncMonth": lambda s: in_order(s.profiles.annotate(x=TruncMonth("born")).values_list("pk", "x")),
    "count by year": lambda s: in_order(
        s.profiles.annotate(y=TruncYear("born")).values("y").annotate(n=Count("pk")).values_list("y", "n")
    ),
    "dates": lambda s: list(s.profiles.dates("born", "year")),
    "dates, latest first": lambda s: list(s.profiles.dates("born", "month", order="DESC")),
    "datetimes": lambda s: list(s.employees.datetimes("birth_date", "year")),
    "count by extracted year": lambda s: list(
        s.profiles.annotate(y=ExtractYear("born")).values("y").annotate(n=Count("pk")).order_by("-n", "y")
    ),
    "count by first letter": lambda s: list(
        s.customers.values(x=Left("last_name", 1)).annotate(n=Count("pk")).order_by("x").values_list("x", "n")
    ),
    "count by lower, having": lambda s: in_order(
        s.customers.annotate(x=Lower("first_name")).values("x").annotate(n=Count("pk")).filter(n__gt=1).values_list("x", "n")
    ),
    "count by length, filtered": lambda s: list(
        s.customers.annotate(x=Length("email")).filter(x__gt=20).values("x").annotate(n=Count("pk")).order_by("x")
    ),
    "distinct lower": lambda s: in_order(s.customers.annotate(x=Lower("first_name")).values_list("x").distinct()),
    "distinct upper, ordered": lambda s: list(
        s.customers.annotate(x=Upper("first_name")).values_list("x", flat=True).distinct().order_by("-x")
    ),
    "count of distinct results": lambda s: s.customers.aggregate(n=Count(Lower("first_name"), distinct=True)),
    "count of a distinct query": lambda s: s.customers.annotate(x=Left("last_name", 1)).values("x").distinct().count(),
    "window by result": lambda s: in_order(
        s.customers.annotate(n=Window(Count("pk"), partition_by=Left("last_name", 1))).values_list("pk", "n")
    ),
    "union of results": lambda s: in_order(
        s.customers.filter(pk__lt=9).annotate(x=Lower("last_name")).values_list("x").union(
            s.customers.filter(pk__gt=6).annotate(x=Lower("last_name")).values_list("x")
        )
    ),
    "to_char": lambda s: in_order(
        s.profiles.annotate(x=Func("born", Value("Mon YYYY"), function="to_char", output_field=CharField())).values_list("x")
    ),
    "window rank": lambda s: in_order(
        s.customers.annotate(r=Window(Rank(), order_by="last_name")).values_list("pk", "r")
    ),
    "window row number within a group": lambda s: in_order(
        s.customers.annotate(
            r=Window(RowNumber(), partition_by="first_name", order_by="pk")
        ).values_list("pk", "r")
    ),
    "Subquery": lambda s: in_order(
        s.customers.annotate(
            last=Subquery(s.invoices.filter(customer=OuterRef("pk")).order_by("-pk").values("billing_address")[:1])
        ).values_list("pk", "last")
    ),
    "Exists": lambda s: in_order(
        s.customers.filter(
            Exists(s.invoices.filter(customer=OuterRef("pk"), billing_address=OuterRef("address"), total__gt=13))
        ).values_list("pk")
    ),
    "in a subquery": lambda s: in_order(
        s.customers.filter(address__in=s.invoices.filter(total__gt=15).values("billing_address")).values_list("email")
    ),
    "contains in a subquery": lambda s: in_order(
        s.invoices.filter(customer__in=s.customers.filter(email__contains="yahoo")).values_list("pk")
    ),
    "lookup across a join": lambda s: in_order(
        s.invoices.filter(customer__last_name__startswith="T", total__lt=1).values_list("pk", "billing_address")
    ),
    "lookup on the other side": lambda s: in_order(
        s.employees.filter(customers__email__icontains="GMAIL").distinct().values_list("pk", "email")
    ),
    "union": lambda s: in_order(s.customers.values_list("email").union(s.employees.values_list("email"))),
    "union, ordered": lambda s: list(
        s.customers.values_list("last_name").union(s.employees.values_list("last_name")).order_by("last_name")
    ),
    "intersection": lambda s: in_order(
        s.customers.values_list("first_name").intersection(s.employees.values_list("first_name"))
    ),
    "difference": lambda s: in_order(
        s.customers.values_list("first_name").difference(s.employees.values_list("first_name"))
    ),
    "select_related": lambda s: [
        (i.pk, i.customer.email, i.customer.support_rep.birth_date)
        for i in s.invoices.select_related("customer__support_rep").order_by("pk")[:30]
    ],
    "prefetch_related": lambda s: [
        (e.pk, [c.email for c in e.customers.all()])
        for e in s.employees.order_by("pk").prefetch_related(
            Prefetch("customers", s.customers.filter(email__endswith=".com").order_by("pk"))
        )
    ],
    "only, defer and in_bulk": lambda s: (
        s.customers.only("email").get(pk=3).email, s.customers.defer("email").get(pk=3).email,
        {k: v.email for k, v in s.customers.in_bulk([1, 5]).items()},
    ),
    "iterator, a cursor of the server": lambda s: [
        c.email for c in s.customers.filter(last_name__gt="A").order_by("pk").iterator(chunk_size=7)
    ],
    "exists, count, contains": lambda s: (
        s.customers.filter(email__contains="@").exists(), s.customers.filter(email__contains="gmail").count(),
        s.customers.filter(last_name="Tremblay").contains(s.customers.get(pk=3)),
    ),
    "values_list named": lambda s: [
        tuple(r) for r in s.customers.order_by("pk").values_list("pk", "email", named=True)[:5]
    ],
    "JSON key of an unprotected document": lambda s: in_order(
        s.profiles.filter(extra__level=3, extra__tags__contains=["a"]).values_list("pk", "nick")
    ),
    "JSON value as a key of the result": lambda s: in_order(s.profiles.values_list("nick", "extra__level")),
    "JSON protected as a whole": lambda s: [p.doc for p in s.profiles.order_by("pk")[:10]],
    "JSON protected, compared as a whole": lambda s: in_order(
        s.profiles.filter(doc={"mail": "luisg@embraer.com.br", "visits": 1}).values_list("pk")
    ),
    "JSON key of a protected document": lambda s: in_order(s.profiles.filter(doc__visits=3).values_list("pk")),
    "extra and raw": lambda s: [
        c.email for c in s.customers.raw("SELECT * FROM customer WHERE email LIKE %s ORDER BY customer_id", ["%.br"])
    ],
    "explain": lambda s: "Scan" in s.customers.filter(email__contains="x").explain(),
}  # fmt: skip
for _name, _query in QUERIES.items():
    step(_name)(_query)


def _people(s: Shop) -> list[object]:
    return list(
        s.customers.filter(pk__gte=9000)
        .order_by("pk")
        .values_list("pk", "first_name", "last_name", "email", "fax")
    )


def _person(number: int, **more: object) -> Customer:
    values = {"first_name": f"F{number}", "last_name": "L", "email": f"{number}@django.example", **more}
    return Customer(customer_id=number, **values)


@step("bulk_create and bulk_update")
def _bulk(s: Shop) -> object:
    many = [_person(9000 + n) for n in range(30)]
    s.customers.bulk_create(many, batch_size=13)
    for each in many[::3]:
        each.email = f"new{each.pk}@django.example"
        each.fax = None
    return s.customers.bulk_update(many[::3], ["email", "fax"], batch_size=4), _people(s)


@step("bulk_create with conflicts")
def _conflicts(s: Shop) -> object:
    s.customers.bulk_create([_person(9000), _person(9001)])
    s.customers.bulk_create(
        [_person(9001, email="two@x"), _person(9002)],
        update_conflicts=True, unique_fields=["customer_id"], update_fields=["email", "last_name"],
    )  # fmt: skip
    s.customers.bulk_create([_person(9002, email="ignored@x"), _person(9003)], ignore_conflicts=True)
    return _people(s)


@step("get_or_create and update_or_create")
def _or_create(s: Shop) -> object:
    made = [
        s.customers.get_or_create(email="g@django.example", defaults={"customer_id": 9000, "last_name": "G"})[
            1
        ],
        s.customers.get_or_create(email="g@django.example", defaults={"customer_id": 9001})[1],
        s.customers.update_or_create(email="g@django.example", defaults={"last_name": "H", "fax": "1"})[1],
        s.customers.update_or_create(customer_id=9005, defaults={"email": "n@django.example"})[1],
    ]
    return made, _people(s)


@step("update by a lookup")
def _update(s: Shop) -> object:
    s.customers.bulk_create([_person(9000 + n, email=f"{'ab'[n % 2]}{n}@django.example") for n in range(8)])
    changed = s.customers.filter(email__startswith="a", pk__gte=9000).update(last_name="A", fax="+1")
    removed = s.customers.filter(email__regex=r"^b[35]@")._raw_delete(s.alias)
    return changed, removed, _people(s)


@step("update from another column of the domain")
def _update_from(s: Shop) -> object:
    s.customers.bulk_create([_person(9000, phone="+1 22"), _person(9001, phone=None)])
    return s.customers.filter(pk__gte=9000).update(fax=F("phone")), _people(s)


@step("update with a computed value")
def _computed(s: Shop) -> object:
    s.customers.bulk_create([_person(9000)])
    return s.customers.filter(pk=9000).update(last_name=Upper("last_name")), _people(s)


@step("savepoints")
def _savepoints(s: Shop) -> object:
    _person(9000).save(using=s.alias, force_insert=True)
    point = transaction.savepoint(using=s.alias)
    s.customers.filter(pk=9000).update(email="gone@x")
    transaction.savepoint_rollback(point, using=s.alias)
    with transaction.atomic(using=s.alias):
        s.customers.filter(pk=9000).update(last_name="Kept")
    return _people(s)


@step("select_for_update")
def _locked(s: Shop) -> object:
    found = s.customers.select_for_update(of=("self",)).filter(last_name="Tremblay").order_by("pk")
    return [c.email for c in found]


@step("a date and documents written")
def _written(s: Shop) -> object:
    s.profiles.filter(pk=1).update(born=datetime.date(2000, 2, 29), doc={"a": [1, None, "é"]}, nick="")
    one = s.profiles.get(pk=1)
    return one.born, one.doc, one.nick


@step("raw cursor with a dictionary")
def _raw(s: Shop) -> object:
    with connections[s.alias].cursor() as cursor:
        cursor.execute(
            "SELECT email, last_name FROM customer WHERE last_name = %(n)s AND email LIKE %(m)s ORDER BY 1",
            {"n": "Tremblay", "m": "%gmail%"},
        )
        return cursor.fetchall(), [c[:2] for c in cursor.description]


STEPS.refused |= {
    "update with a computed value": "the server would compute a value of tokens (limits.md)",
    "JSON key of a protected document": "the document is protected as a whole; protect the path instead",
}
STEPS.check()
