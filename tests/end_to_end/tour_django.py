"""What an application does with Django's ORM, on unmanaged models of the tables that are there."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings
from django.db import IntegrityError, connections, models, transaction
from django.db.models import Count, F, Max, Prefetch, Q, Sum, Value
from django.db.models.functions import Coalesce, Concat

APP = "tour_django"  # this module: Django finds reverse relations only among installed applications


def _configure() -> None:
    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "unused"}},
            INSTALLED_APPS=[APP],
            USE_TZ=False,
        )
        django.setup()


_configure()  # before the models: their definition reads the settings


class Employee(models.Model):  # type: ignore[misc]
    employee_id = models.IntegerField(primary_key=True)
    last_name = models.CharField(max_length=20)
    first_name = models.CharField(max_length=20)
    reports_to = models.ForeignKey("self", models.DO_NOTHING, null=True, db_column="reports_to")
    birth_date = models.DateTimeField(null=True)
    phone = models.CharField(max_length=24, null=True)
    email = models.CharField(max_length=60, null=True)

    class Meta:
        app_label, db_table, managed = APP, "employee", False


class Customer(models.Model):  # type: ignore[misc]
    customer_id = models.IntegerField(primary_key=True)
    first_name = models.CharField(max_length=40)
    last_name = models.CharField(max_length=20)
    address = models.CharField(max_length=70, null=True)
    country = models.CharField(max_length=40, null=True)
    phone = models.CharField(max_length=24, null=True)
    fax = models.CharField(max_length=24, null=True)
    email = models.CharField(max_length=60)
    support_rep = models.ForeignKey(Employee, models.DO_NOTHING, null=True, related_name="customers")

    class Meta:
        app_label, db_table, managed = APP, "customer", False


class Invoice(models.Model):  # type: ignore[misc]
    invoice_id = models.IntegerField(primary_key=True)
    customer = models.ForeignKey(Customer, models.DO_NOTHING, related_name="invoices")
    invoice_date = models.DateTimeField()
    billing_address = models.CharField(max_length=70, null=True)
    total = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        app_label, db_table, managed = APP, "invoice", False


def tour(dsn: str) -> list[object]:
    """The whole tour; every object, count and error in order."""
    seen: list[object] = []
    with connected(dsn) as alias:
        for part in (_read, _relate, _aggregate, _write, _iterate, _errors):
            seen.append(part.__name__)
            part(alias, seen)
    return seen


@contextmanager
def connected(dsn: str) -> Iterator[str]:
    """The alias of a database connection of Django's, for ``using``."""
    url = urlsplit(dsn)
    alias = f"tour_{url.port}_{url.path.strip('/')}"
    connections.databases[alias] = connections.databases["default"] | {
        "NAME": url.path.strip("/"),
        "USER": url.username,
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname,
        "PORT": url.port,
    }
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections.databases[alias]


def _fields(one: Any) -> dict[str, object]:
    return {f.attname: getattr(one, f.attname) for f in one._meta.concrete_fields}


def _read(alias: str, seen: list[object]) -> None:
    customers = Customer.objects.using(alias).order_by("customer_id")
    seen.append([_fields(c) for c in customers])
    seen.append([_fields(e) for e in Employee.objects.using(alias).order_by("pk")])
    seen.append(_fields(customers.get(email="luisg@embraer.com.br")))
    seen.append(list(customers.filter(last_name="Tremblay").values("email", "phone", "customer_id")))
    seen.append(
        list(customers.filter(email__in=["luisg@embraer.com.br", "x@y.z"]).values_list("email", flat=True))
    )
    seen.append(list(customers.exclude(last_name__in=["Tremblay", "Gruber"]).values_list("pk", "last_name")))
    seen.append(list(customers.filter(fax__isnull=True).values_list("email", "fax")))
    seen.append(list(customers.exclude(fax=None).values_list("fax", flat=True)))
    either = (
        Q(email="luisg@embraer.com.br")
        | Q(last_name="Gruber", first_name="Astrid")
        | ~Q(country="USA") & Q(fax="")
    )
    seen.append(list(customers.filter(either).values_list("email", flat=True)))
    seen.append(customers.filter(email="luisg@embraer.com.br").exists())
    seen.append(customers.filter(email="nobody@x.org").first())
    seen.append(customers.filter(last_name="Tremblay").count())
    born = Employee.objects.using(alias).filter(birth_date=datetime.datetime(1962, 2, 18))
    seen.append([_fields(e) for e in born])
    seen.append(sorted(customers.order_by().values_list("last_name", flat=True).distinct()))
    seen.append(_fields(customers.only("email").get(pk=4)))
    seen.append(list(customers.defer("email", "phone").filter(pk__lte=2).values_list("pk", flat=True)))
    seen.append(customers.in_bulk([1, 2])[1].email)
    seen.append([_fields(c) for c in Customer.objects.using(alias).raw("SELECT * FROM customer WHERE email = %s",
                                                                       ["luisg@embraer.com.br"])])  # fmt: skip


def _relate(alias: str, seen: list[object]) -> None:
    invoices = Invoice.objects.using(alias).order_by("invoice_id")
    joined = invoices.select_related("customer__support_rep").filter(customer__last_name="Tremblay")
    seen.append([(i.billing_address, i.customer.email, i.customer.support_rep.birth_date) for i in joined])
    agents = Employee.objects.using(alias).order_by("pk")
    ordered = Prefetch("customers", Customer.objects.using(alias).order_by("pk"))
    seen.append([(e.email, [c.email for c in e.customers.all()]) for e in agents.prefetch_related(ordered)])
    seen.append([c.email for c in agents.get(pk=4).customers.order_by("pk")])
    seen.append(list(invoices.filter(billing_address=F("customer__address")).values_list("pk", flat=True)))
    seen.append(
        list(invoices.filter(customer__email="ftremblay@gmail.com").values_list("pk", "billing_address"))
    )
    seen.append(
        list(agents.filter(customers__email__in=["luisg@embraer.com.br"]).values_list("email", flat=True))
    )
    rich = Customer.objects.using(alias).filter(invoices__total__gt=20).distinct().order_by("pk")
    seen.append([c.email for c in rich])
    inner = invoices.filter(total__gt=15).values("billing_address")
    seen.append([c.email for c in Customer.objects.using(alias).filter(address__in=inner).order_by("pk")])


def _aggregate(alias: str, seen: list[object]) -> None:
    customers = Customer.objects.using(alias)
    seen.append(
        list(customers.values("country").annotate(n=Count("email", distinct=True)).order_by("country"))
    )
    seen.append(sorted(customers.values_list("last_name").annotate(n=Count("pk"))))
    spent = customers.annotate(n=Count("invoices"), spent=Sum("invoices__total")).order_by("-spent", "pk")
    seen.append([(c.email, c.n, c.spent) for c in spent])
    seen.append(customers.aggregate(n=Count("fax"), top=Max("customer_id")))
    named = customers.annotate(
        full=Concat("first_name", Value(" "), "last_name"), any=Coalesce("fax", "phone")
    )
    seen.append(list(named.order_by("pk").values_list("full", "any")))


def _write(alias: str, seen: list[object]) -> None:
    customers = Customer.objects.using(alias)
    one = customers.create(
        customer_id=7000, first_name="Çelik", last_name="O'D", email="a@django.example", fax=""
    )
    one.refresh_from_db()
    seen.append(_fields(one))
    one.email, one.phone = "b@django.example", None
    one.save()
    seen.append(_fields(customers.get(email="b@django.example")))
    one.save(update_fields=["phone"])
    many = [Customer(customer_id=7000 + n, first_name=f"F{n}", last_name="Bulk", email=f"{n}@django.example")
            for n in range(1, 60)]  # fmt: skip
    seen.append(len(customers.bulk_create(many, batch_size=25)))
    upserted = [Customer(customer_id=7001, first_name="U", last_name="Up", email="up@django.example")]
    customers.bulk_create(
        upserted, update_conflicts=True, unique_fields=["customer_id"], update_fields=["email"]
    )
    for changed in many[10:14]:
        changed.email = f"changed{changed.pk}@django.example"
    seen.append(customers.bulk_update(many[10:14], ["email", "last_name"]))
    seen.append(customers.filter(email="5@django.example").update(last_name="Dated", fax="1"))
    found, made = customers.get_or_create(email="6@django.example", defaults={"customer_id": 1})
    seen.append((_fields(found), made))
    found, made = customers.update_or_create(
        customer_id=7500, defaults={"email": "n@django.example", "last_name": "N"}
    )
    seen.append((_fields(found), made))
    seen.append(
        list(customers.filter(pk__gte=7000).order_by("pk").values_list("pk", "email", "last_name", "fax"))
    )
    born = Employee.objects.using(alias).create(employee_id=700, first_name="A", last_name="B",
                                               birth_date=datetime.datetime(2001, 2, 3, 4, 5))  # fmt: skip
    born.refresh_from_db()
    seen.append(_fields(born))
    seen.append(Employee.objects.using(alias).filter(birth_date=born.birth_date).delete())
    with transaction.atomic(using=alias):
        customers.filter(pk=7000).update(email="c@django.example")
        transaction.set_rollback(True, using=alias)
    seen.append(customers.get(pk=7000).email)
    locked = customers.select_for_update().filter(pk=7000)
    with transaction.atomic(using=alias):
        seen.append([c.email for c in locked])
    seen.append(
        customers.filter(last_name="Bulk", pk__lt=7005).order_by("pk").values_list("email", flat=True)[:3][0]
    )
    # Invoices refer to customers with DO_NOTHING, so a plain DELETE is what Django sends.
    seen.append(customers.filter(pk__gte=7000)._raw_delete(alias))


def _iterate(alias: str, seen: list[object]) -> None:
    customers = Customer.objects.using(alias).order_by("pk")
    seen.append([c.email for c in customers.iterator(chunk_size=9)])
    with transaction.atomic(using=alias):
        seen.append([c.phone for c in customers.filter(country="USA").iterator(chunk_size=2)])
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT email, phone FROM customer WHERE last_name = %s", ["Tremblay"])
        seen.append((cursor.fetchall(), [c[:2] for c in cursor.description]))


def _errors(alias: str, seen: list[object]) -> None:
    try:
        with transaction.atomic(using=alias):
            Customer.objects.using(alias).create(customer_id=1, first_name="a", last_name="b", email="c")
    except IntegrityError as error:
        seen.append(str(error))
    seen.append(Customer.objects.using(alias).get(pk=1).email)
