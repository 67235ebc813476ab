"""The Chinook sample shop with its personal data protected: for driver tests, benchmarks and the demo."""

from __future__ import annotations

from typing import Any

PHONE, EMAIL, ADDRESS = "phone", "email", "address"


def columns(*, born: bool = False) -> dict[str, Any]:
    """Those of a person; the domains are shared by customers and employees, so that they join."""
    chosen: dict[str, Any] = {
        "first_name": {"domain": "first_name"},
        "last_name": {"domain": "last_name"},
        "address": {"domain": ADDRESS},
        "phone": {"domain": PHONE},
        "fax": {"domain": PHONE},
        "email": {"domain": EMAIL},
    }
    return chosen | ({"birth_date": {}} if born else {})


TABLES: dict[str, Any] = {
    "public.customer": {"subject": "customer_id", "columns": columns()},
    "public.employee": {"columns": columns(born=True)},
    "public.invoice": {
        "subject": "customer_id",
        "subject_table": "public.customer",
        "columns": {"billing_address": {"domain": ADDRESS}},
    },
}

PROTECTED: dict[str, tuple[str, ...]] = {
    "customer": ("first_name", "last_name", "address", "phone", "fax", "email"),
    "employee": ("first_name", "last_name", "address", "phone", "fax", "email", "birth_date"),
    "invoice": ("billing_address",),
}
"""Table → its protected columns."""

ORDERED = {"customer": "customer_id", "employee": "employee_id", "invoice": "invoice_id"}
"""Table → its primary key."""
