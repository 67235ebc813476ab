"""The portal as tests use it: a gateway with a small shop behind it, and what a person does on a page."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from pgnym.admin.resources import ROUTES
from support.admin import AdminClient
from support.browser import faults
from support.gateway import Deployment, Gateway

ROWS = """
CREATE TABLE customer
  (customer_id int PRIMARY KEY, email text, first_name text, last_name text, birth_date date, city text);
CREATE TABLE invoice
  (invoice_id int PRIMARY KEY, customer_id int REFERENCES customer, billing_address text, total numeric);
INSERT INTO customer VALUES
  (1, 'ada@example.org', 'Ada', 'Byron', '1815-12-10', 'London'),
  (2, 'grace@example.org', 'Grace', 'Hopper', '1906-12-09', 'New York'),
  (3, 'alan@example.org', 'Alan', 'Turing', '1912-06-23', 'London'),
  (4, 'katherine@example.org', 'Katherine', 'Johnson', '1918-08-26', 'Hampton');
INSERT INTO invoice SELECT n, n, n || ' Mill Road', 19.5 * n FROM generate_series(1, 4) n;
"""
TABLES = {
    "public.customer": {
        "subject": "customer_id",
        "columns": {
            "email": {"domain": "email", "mask": "email"},
            "first_name": {},
            "last_name": {},
            "birth_date": {"tokens": "randomized", "legal_basis": "contract"},
        },
    },
    "public.invoice": {
        "subject": "customer_id",
        "subject_table": "public.customer",
        "columns": {"billing_address": {"tokens": "randomized"}},
    },
}
ROLES = {
    "app": {"users": ["postgres"], "reveal": ["*"], "purposes": ["newsletter", "service", "legal_claims"]}
}
SCREENSHOTS = os.environ.get("PGNYM_SCREENSHOTS")
"""A folder to write pictures to, for the documentation."""


def offered(operation: str) -> pytest.MarkDecorator:
    """Views are there where their operations are; so are their tests."""
    known = {route.operation for route in ROUTES}
    return pytest.mark.skipif(operation not in known, reason=f"there is no operation {operation}")


@dataclass
class World:
    made: Deployment
    gateway: Gateway
    axe: str
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.gateway.admin_host}:{self.gateway.admin_port}/"


def get(world: World, path: str) -> tuple[int, Any]:
    """By the API, as root."""
    answer = AdminClient(world.gateway, world.tokens["root"])("GET", path)
    return answer.status, answer.body


def picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)


def sign_in(page: Page, world: World, role: str) -> None:
    page.goto(world.url)
    page.get_by_label("API token").fill(world.tokens[role])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def visit(page: Page, view: str) -> None:
    page.get_by_role("link", name=view, exact=True).click()
    expect(page.get_by_role("heading", name=view, level=1)).to_be_visible()


def sound(page: Page, world: World) -> None:
    assert faults(page, world.axe) == []


def find(page: Page, by: str, value: str) -> None:
    visit(page, "Persons")
    page.get_by_label("What do you know?").select_option(label=by)
    page.get_by_label("What is it?").fill(value)
    page.get_by_role("button", name="Find").click()
