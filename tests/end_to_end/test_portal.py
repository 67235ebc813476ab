"""The portal in Chromium: what a data protection officer does, as they do it, by what is written on the page."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import Error as PlaywrightError

from support.binaries import Unavailable
from support.browser import axe_source, browser
from support.cluster import Cluster
from support.gateway import Gateway, deployment
from support.portal import ROLES, ROWS, TABLES, World, find, get, offered, picture, sign_in, sound, visit
from support.saas import Saas, serving

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    try:
        with browser() as running:
            yield running
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def saas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saas]:
    with serving() as found:
        found.add("hubspot", "77", "ada@example.org", firstname="Countess")
        found.connect(tmp_path_factory.mktemp("secrets"))
        yield found


@pytest.fixture(scope="module")
def world(postgres: Cluster, chromium: Browser, saas: Saas) -> Iterator[World]:
    database = f"test_portal_{os.getpid()}"
    postgres.psql(f"CREATE DATABASE {database} TEMPLATE template0")
    try:
        made = deployment(
            postgres,
            database,
            tables=TABLES,
            roles=ROLES,
            privacy={"settle": 0.5, "restriction": {"purposes": ["legal_claims"]}},
            connectors={"crm": saas.connector},
            tenants={"default": "main", "startup_option": ["postgres"]},
        )
        postgres.psql(ROWS, database)
        made.apply()
        with Gateway(made) as gateway:
            found = World(made, gateway, axe_source())
            for role in ("root", "dpo", "operator"):
                found.tokens[role] = made.pgnym(
                    "token", "create", "--role", role, "--name", f"the {role}"
                ).stdout.strip()
            with psycopg.connect(gateway.url(), options="-c pgnym.tenant=other") as session:
                session.execute("SELECT email FROM customer")  # tokens of main's values, which it can't open
            with psycopg.connect(gateway.url(), autocommit=True) as session:
                for count in range(1, 5):
                    session.execute("SELECT * FROM customer LIMIT %s", [count]).fetchall()
                with pytest.raises(psycopg.Error):
                    session.execute("UPDATE customer SET email = city || '@example.org'")
            yield found
    finally:
        postgres.psql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


@pytest.fixture
def page(world: World, chromium: Browser) -> Iterator[Page]:
    """A page of a browser that has nothing stored. What its console says is an error, unless the network said it."""
    context = chromium.new_context(
        viewport={"width": 1200, "height": 800}, locale="en-GB", timezone_id="Europe/London"
    )
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    said: list[str] = []
    opened.on(
        "console",
        lambda message: said.append(message.text) if "Failed to load resource" not in message.text else None,
    )
    opened.on("pageerror", lambda error: said.append(str(error)))
    requested: list[str] = []
    opened.on("request", lambda request: requested.append(request.url))
    yield opened
    context.close()
    assert said == []
    elsewhere = [url for url in requested if not url.startswith((world.url, "data:", "blob:"))]
    assert elsewhere == [], "nothing is asked of anybody else"


def test_a_wrong_token_is_told_and_not_kept(page: Page, world: World) -> None:
    page.goto(world.url)
    page.get_by_label("API token").fill("pgnym_" + "A" * 43)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("not valid")).to_be_visible()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0
    sound(page, world)
    sign_in(page, world, "root")
    page.reload()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API token")).to_be_visible()
    assert page.evaluate("sessionStorage.length + localStorage.length + document.cookie.length") == 0


def test_what_the_overview_counts(world: World) -> None:
    now = datetime.now(UTC)
    hour = (now - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    status, found = get(world, f"/v1/overview?since={hour}")
    assert status == 200
    assert len(found["parts"]) == 48
    assert [sum(part[name] for part in found["parts"]) for name in ("statements", "values", "refusals")] == [
        4,
        40,
        1,
    ]
    assert sum(each["values"] for each in found["shown"]) == 40
    assert {(each["role"], each["values"]) for each in found["shown"]} == {("app", 10)}
    assert found["gateway"]["workers"] == 1
    status, before = get(world, "/v1/overview?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z")
    assert {part["values"] for part in before["parts"]} == {0}
    assert before["shown"] == []
    status, _ = get(
        world, f"/v1/overview?since={hour}&until={hour.replace('Z', '+00:00').replace('+', '%2B')}"
    )
    assert status == 400
    assert get(world, "/v1/overview?since=1990-01-01T00:00:00Z")[0] == 400
    status, protection = get(world, "/v1/protection")
    assert {(each["column"], each["state"], each["subject"]) for each in protection["items"]} == {
        (column, "protected", "customer_id")
        for column in ("email", "first_name", "last_name", "birth_date", "billing_address")
    }
    assert get(world, "/v1/me")[1]["name"] == "the root"


def test_the_overview(page: Page, world: World) -> None:
    sign_in(page, world, "dpo")
    expect(page.get_by_role("img", name=re.compile("Values shown to clients: 40 in all"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Statements refused: 1 in all"))).to_be_visible()
    page.get_by_text("The numbers as a table").click()
    expect(
        page.get_by_role("region", name="Over time").get_by_role("cell", name="40", exact=True)
    ).to_be_visible()
    protected = page.get_by_role("region", name="What is protected").get_by_role("row")
    expect(protected).to_have_count(6)
    expect(protected.nth(1)).to_contain_text("birth_date")
    sound(page, world)
    picture(page, "portal-overview")


def test_a_token_for_all_tenants_chooses_one(page: Page, world: World) -> None:
    sign_in(page, world, "root")
    expect(page.get_by_role("img", name=re.compile("Statements refused: 1 in all"))).to_be_visible()
    page.get_by_label("Tenant").select_option("other")
    expect(page.get_by_role("img", name="Statements refused: none.")).to_be_visible()
    own = world.made.pgnym("token", "create", "--role", "dpo", "--tenant", "other", "--name", "theirs").stdout
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API token").fill(own)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("theirs (dpo of other)")).to_be_visible()
    expect(page.get_by_label("Tenant")).to_have_count(0)
    find(page, "customer id", "1")
    expect(page.get_by_role("alert")).to_contain_text("Not Found")


def test_only_views_that_the_role_may_see(page: Page, world: World) -> None:
    views = page.get_by_role("navigation", name="Views").get_by_role("link")
    sign_in(page, world, "dpo")
    expect(views.filter(has_text="Audit log")).to_have_count(1)
    expect(views.filter(has_text="Tokens")).to_have_count(0)
    expect(page.get_by_role("button", name="Seal")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, world, "root")
    expect(views.filter(has_text="Tokens")).to_have_count(1)
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, world, "operator")
    expect(views.filter(has_text="Audit log")).to_have_count(0)
    expect(page.get_by_role("button", name="Seal")).to_be_visible()


def test_the_audit_log_is_filtered_and_verified(page: Page, world: World, postgres: Cluster) -> None:
    sign_in(page, world, "dpo")
    visit(page, "Audit log")
    rows = page.get_by_role("region", name="Records, newest first").get_by_role("row")
    page.get_by_label("Action").select_option("reveal")
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_count(5)
    expect(rows.nth(1)).to_contain_text("SELECT * FROM customer LIMIT")
    page.get_by_label("Action").select_option("")
    page.get_by_label("Decision").select_option("denied")
    page.get_by_role("button", name="Show").click()
    expect(rows.filter(has_text="refuse")).to_have_count(1)
    page.get_by_role("button", name="Verify the log").click()
    expect(page.get_by_text("The log is sound")).to_be_visible()
    sound(page, world)
    picture(page, "portal-audit")
    database = world.made.config["upstream"]["database"]
    postgres.psql("ALTER TABLE vault.audit DISABLE ROW LEVEL SECURITY", database)
    postgres.psql("UPDATE vault.audit SET db_user = 'nobody' WHERE action = 'refuse'", database)
    try:
        page.get_by_role("button", name="Verify the log").click()
        expect(page.get_by_text("The log is not as it was written")).to_be_visible()
        expect(page.get_by_role("listitem").filter(has_text="changed")).to_have_count(1)
        sound(page, world)
    finally:
        postgres.psql("UPDATE vault.audit SET db_user = 'postgres' WHERE action = 'refuse'", database)
        postgres.psql("ALTER TABLE vault.audit ENABLE ROW LEVEL SECURITY", database)


def test_a_token_is_made_shown_once_and_revoked(page: Page, world: World) -> None:
    sign_in(page, world, "root")
    visit(page, "Tokens")
    page.get_by_role("button", name="New token…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("for the auditor")
    dialog.get_by_label("Role").select_option("auditor")
    sound(page, world)
    dialog.get_by_role("button", name="Make it").click()
    secret = dialog.get_by_label("The token").inner_text()
    world.tokens["made"] = secret
    dialog.get_by_role("button", name="Done").click()
    row = page.get_by_role("row").filter(has_text="for the auditor")
    expect(row).to_contain_text("valid")
    assert secret not in page.content()
    sound(page, world)
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("row").filter(has_text="for the auditor")).to_contain_text("revoked")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API token").fill(secret)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("not valid")).to_be_visible()


def test_keys_are_told_by_age_and_use(page: Page, world: World) -> None:
    sign_in(page, world, "operator")
    visit(page, "Keys")
    rows = page.get_by_role("region", name="Keys of tenant main").get_by_role("row")
    expect(rows.filter(has_text="audit log")).to_contain_text("0 days")
    expect(rows.filter(has_text=re.compile("^data"))).to_contain_text("in use")
    sound(page, world)


def test_a_grant_is_made_and_ended(page: Page, world: World) -> None:
    sign_in(page, world, "dpo")
    visit(page, "Grants")
    page.get_by_role("button", name="New grant…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Its name").fill("nobody-has-this-role")
    dialog.get_by_label("Purpose").fill("yearly report")
    dialog.get_by_label("Values a minute").fill("250000")
    dialog.get_by_label("Why").fill("asked for by the board")
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("no such role")
    sound(page, world)
    dialog.get_by_label("Its name").fill("app")
    dialog.get_by_role("button", name="Make it").click()
    row = page.get_by_role("row").filter(has_text="yearly report")
    expect(row).to_contain_text("250,000")
    expect(row).to_contain_text("valid")
    sound(page, world)
    row.get_by_role("button", name="End").click()
    page.get_by_role("dialog").get_by_role("button", name="End it").click()
    expect(row).to_contain_text("revoked")


def test_a_person_is_found_by_a_value_and_reported_on(page: Page, world: World) -> None:
    began = time.monotonic()
    sign_in(page, world, "dpo")
    find(page, "email", "nobody@example.org")
    expect(page.get_by_text("Nobody has it.")).to_be_visible()
    assert "nobody@example.org" not in page.url
    sound(page, world)
    page.get_by_label("What is it?").fill("ada@example.org")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("heading", name="What is held on 1", level=1)).to_be_visible()
    for value in ("ada@example.org", "Ada", "Byron", "1815-12-10", "1 Mill Road", "London"):
        expect(page.get_by_text(value, exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Held by crm")).to_be_visible()
    expect(page.get_by_text("Countess")).to_be_visible()
    seen = page.get_by_role("region", name="Who has seen what").get_by_role("row")
    expect(seen.nth(1)).to_contain_text("SELECT * FROM customer LIMIT")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as JSON").click()
    assert time.monotonic() - began < 60, "a report takes less than a minute"
    found = json.loads(Path(saved.value.path()).read_text())
    assert saved.value.suggested_filename == "report-1.json"
    assert found["tables"]["public.customer"][0]["email"] == "ada@example.org"
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as page").click()
    assert "Byron" in Path(saved.value.path()).read_text()
    sound(page, world)
    picture(page, "portal-report")
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation", name="Views")).to_be_hidden()
    expect(page.get_by_text("ada@example.org", exact=True)).to_be_visible()
    page.emulate_media(media="screen")
    page.get_by_role("link", name="All who looked").click()
    expect(page.get_by_role("heading", name="Who has looked at 1")).to_be_visible()
    expect(page.get_by_role("region", name="Who has seen what").get_by_role("row").nth(1)).to_contain_text(
        "the dpo"
    )
    sound(page, world)


def test_what_another_system_does_not_tell_is_not_overlooked(page: Page, world: World, saas: Saas) -> None:
    saas.failing = 1
    sign_in(page, world, "dpo")
    find(page, "customer id", "2")
    expect(page.get_by_text("Not known in full: GET was answered 503.")).to_be_visible()
    sound(page, world)


def test_processing_is_restricted_and_given_free(page: Page, world: World) -> None:
    def shown() -> list[tuple[object, ...]]:
        with psycopg.connect(world.gateway.url()) as session:
            return session.execute(
                "SELECT email FROM customer WHERE customer_id IN (2, 3) ORDER BY customer_id"
            ).fetchall()

    sign_in(page, world, "dpo")
    find(page, "customer id", "3")
    panel = page.get_by_role("region", name="Restriction of processing")
    expect(panel).to_contain_text("not restricted")
    begin = panel.get_by_role("button", name="Restrict…")
    begin.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Why")).to_be_focused()
    sound(page, world)
    dialog.get_by_role("button", name="Restrict").click()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert shown() == [("grace@example.org",), ("alan@example.org",)], "nothing is done without a reason"
    begin.click()
    dialog.get_by_label("Why").fill("the address is contested")
    dialog.get_by_role("button", name="Restrict").click()
    event = panel.get_by_role("listitem")
    expect(event).to_contain_text("the address is contested")
    expect(event).to_contain_text("the dpo")
    expect(begin).to_have_count(0)
    sound(page, world)
    assert shown() == [("grace@example.org",), (None,)]
    panel.get_by_role("button", name="Lift the restriction…").click()
    dialog.get_by_label("Why").fill("checked and right")
    sound(page, world)
    dialog.get_by_role("button", name="Lift it").click()
    expect(event).to_have_count(2)
    expect(panel).to_contain_text("not restricted")
    assert shown() == [("grace@example.org",), ("alan@example.org",)]


@offered("listConsents")
def test_consent_is_given_and_withdrawn(page: Page, world: World) -> None:
    """What the data path makes of it has tests of its own; here, that what was said is there."""
    sign_in(page, world, "dpo")
    visit(page, "Consents")
    page.get_by_label("Purpose").select_option("newsletter")
    expect(page.get_by_text("Texts for newsletter")).to_be_visible()  # no longer those of the first purpose
    expect(page.get_by_text("Nobody yet.")).to_be_visible()
    page.get_by_role("button", name="New text…").click()
    page.get_by_role("dialog").get_by_label("Text").fill("We write to you once a month.")
    page.get_by_role("dialog").get_by_role("button", name="Add it").click()
    texts = page.get_by_role("region", name="Texts for newsletter").get_by_role("row")
    expect(texts.nth(1)).to_contain_text("once a month")
    sound(page, world)
    find(page, "email", "grace@example.org")
    page.get_by_role("main").get_by_role("link", name="Consents").click()
    expect(page.get_by_role("heading", name="What 2 agrees to")).to_be_visible()
    page.get_by_role("button", name="They agree…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Purpose").select_option("newsletter")
    dialog.get_by_label("How they said it").fill("telephone")
    sound(page, world)
    dialog.get_by_role("button", name="Record it").click()
    now = page.get_by_role("region", name="Now").get_by_role("row").filter(has_text="newsletter")
    expect(now).to_contain_text("agrees")
    now.get_by_role("button", name="They withdraw newsletter").click()
    page.get_by_role("dialog").get_by_label("How they said it").fill("letter")
    page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    expect(now).to_contain_text("withdrawn")
    said = page.get_by_role("list").get_by_role("listitem").filter(has_text="newsletter")
    expect(said).to_have_count(2)
    expect(said.first).to_contain_text(re.compile("withdrew newsletter.*letter.*the dpo", re.DOTALL))
    expect(said.last).to_contain_text(re.compile("agreed to newsletter.*telephone", re.DOTALL))
    sound(page, world)
    picture(page, "portal-consents")
    visit(page, "Consents")
    page.get_by_label("Purpose").select_option("newsletter")
    people = page.get_by_role("region", name="Who has said something on newsletter").get_by_role("row")
    expect(people.nth(1)).to_contain_text("withdrawn")
    people.nth(1).get_by_role("link").click()
    expect(page.get_by_role("heading", name="What 2 agrees to")).to_be_visible()


def test_a_request_is_submitted_approved_and_done(page: Page, world: World) -> None:
    sign_in(page, world, "dpo")
    visit(page, "Requests")
    expect(page.get_by_text("No request.")).to_be_visible()
    page.get_by_role("button", name="New request…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What is asked for").select_option("access")
    dialog.get_by_label("Their ID").fill("2")
    dialog.get_by_label("How to answer").fill("by letter")
    sound(page, world)
    dialog.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="Request: access")).to_be_visible()
    facts = page.get_by_role("region", name="The request")
    expect(facts).to_contain_text("submitted")
    page.get_by_role("button", name="Extend…").click()
    expect(dialog.get_by_label("Why")).to_have_attribute("required", "")
    dialog.get_by_label("Why").fill("many requests")
    dialog.get_by_role("button", name="Extend").click()
    expect(facts).to_contain_text("extended")
    page.get_by_role("button", name="Approve…").click()
    dialog.get_by_role("button", name="Approve").click()
    expect(facts).to_contain_text("approved")
    sound(page, world)
    page.get_by_role("link", name="What is held").click()
    expect(page.get_by_role("heading", name="What is held on 2")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="It is done…").click()
    dialog.get_by_label("Note").fill("sent by letter")
    dialog.get_by_role("button", name="It is done").click()
    expect(facts).to_contain_text("completed")
    expect(page.get_by_role("listitem").filter(has_text="sent by letter")).to_have_count(1)
    expect(page.get_by_role("button", name="Reject…")).to_have_count(0)
    picture(page, "portal-request")
    visit(page, "Requests")
    page.get_by_label("State").select_option("completed")
    expect(page.get_by_role("region", name="Requests").get_by_role("row")).to_have_count(2)
    sound(page, world)


def test_an_activity_is_entered_in_the_register(page: Page, world: World) -> None:
    sign_in(page, world, "dpo")
    visit(page, "Register")
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="New legal basis…").click()
    dialog.get_by_label("Title").fill("Contract of sale")
    dialog.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("heading", name="Legal basis: Contract of sale")).to_be_visible()
    page.get_by_role("button", name="New activity…").click()
    dialog.get_by_label("Name").fill("Orders")
    dialog.get_by_label("Legal bases").select_option(label="Contract of sale")
    dialog.get_by_label("Protected columns").fill("public.customer.*, public.invoice.*")
    sound(page, world)
    dialog.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("heading", name="Orders")).to_be_visible()
    expect(page.get_by_text("public.customer.*, public.invoice.*")).to_be_visible()
    page.get_by_role("button", name="Change Orders").click()
    expect(dialog.get_by_label("Protected columns")).to_have_value("public.customer.*, public.invoice.*")
    dialog.get_by_label("Name").fill("Orders and returns")
    dialog.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("heading", name="Orders and returns")).to_be_visible()
    expect(page.get_by_role("definition").filter(has_text="Contract of sale")).to_have_count(1)
    sound(page, world)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as page").click()
    assert "Orders and returns" in Path(saved.value.path()).read_text()
    page.get_by_role("button", name="Remove Orders and returns").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No activity yet.")).to_be_visible()


def test_a_person_is_erased_once_confirmed(page: Page, world: World) -> None:
    sign_in(page, world, "dpo")
    find(page, "customer id", "4")
    expect(page.get_by_text("katherine@example.org")).to_be_visible()
    page.get_by_role("button", name="Erase…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type 4 to confirm").fill("no")
    sound(page, world)
    dialog.get_by_role("button", name="Erase").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Erase…").click()
    dialog.get_by_label("Type 4 to confirm").fill("4")
    dialog.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("heading", name="Erasing 4")).to_be_visible()
    expect(page.get_by_text("It is done.")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Erased by crm")).to_be_visible()
    sound(page, world)
    page.get_by_role("link", name="Back to persons").click()
    expect(page.get_by_role("region", name="Erasures").get_by_role("row").nth(1)).to_contain_text("finished")
    with psycopg.connect(world.gateway.url()) as session:
        rows = session.execute("SELECT customer_id, email FROM customer ORDER BY 1").fetchall()
    assert rows == [(1, "ada@example.org"), (2, "grace@example.org"), (3, "alan@example.org"), (4, None)]


def test_a_report_that_is_outdated_does_not_erase(page: Page, world: World, postgres: Cluster) -> None:
    sign_in(page, world, "dpo")
    find(page, "email", "alan@example.org")
    expect(page.get_by_role("heading", name="What is held on 3")).to_be_visible()
    postgres.psql(
        "UPDATE customer SET city = 'Wilmslow' WHERE customer_id = 3",
        world.made.config["upstream"]["database"],
    )
    page.get_by_role("button", name="Erase…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type 3 to confirm").fill("3")
    dialog.get_by_role("button", name="Erase").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Precondition Failed")
    dialog.get_by_role("button", name="Cancel").click()
    with psycopg.connect(world.gateway.url()) as session:
        assert session.execute("SELECT email FROM customer WHERE customer_id = 3").fetchone() == (
            "alan@example.org",
        )


def test_by_keyboard_alone(page: Page, world: World) -> None:
    page.goto(world.url)
    expect(page.get_by_label("API token")).to_be_focused()
    page.keyboard.type(world.tokens["root"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_focused()
    link = page.get_by_role("link", name="Audit log")
    for _ in range(10):
        page.keyboard.press("Shift+Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Audit log", level=1)).to_be_focused()
    page.get_by_role("link", name="Skip to content").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    expect(page.get_by_role("heading", name="Audit log", level=1)).to_be_visible()


def test_nothing_is_wider_than_a_phone(page: Page, world: World) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    sign_in(page, world, "root")
    for view in page.get_by_role("navigation", name="Views").get_by_role("link").all_inner_texts():
        visit(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, view


def test_what_the_browser_is_told_to_refuse(world: World, chromium: Browser) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        answer = page.goto(world.url)
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert policy.startswith(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        )
        for directive in ("frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
            assert directive in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        expect(page.get_by_label("API token")).to_be_visible()
        with pytest.raises(PlaywrightError, match="TrustedHTML"):
            page.evaluate("document.body.innerHTML = '<b>x</b>'")
        again = page.request.get(world.url, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status, again.body()) == (304, b"")


def test_sealed_by_the_operator_and_unsealed_by_shares(page: Page, world: World) -> None:
    shares = world.made.pgnym("keys", "split").stdout.splitlines()
    sign_in(page, world, "root")
    page.get_by_role("button", name="Seal").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Seal").click()
    sound(page, world)
    page.get_by_role("dialog").get_by_role("button", name="Seal").click()
    expect(page.get_by_role("heading", name="The gateway is sealed")).to_be_visible()
    sound(page, world)
    words = page.get_by_label("A share")
    give = page.get_by_role("button", name="Give the share")
    words.fill("nothing that is a share")
    give.click()
    expect(page.get_by_role("alert")).to_contain_text("share")
    words.fill(shares[0])
    give.click()
    expect(page.get_by_text("1 of 2 shares given")).to_be_visible()
    expect(words).to_have_value("")
    picture(page, "portal-unseal")
    words.fill(shares[2])
    give.click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    with psycopg.connect(world.gateway.url()) as session:
        assert session.execute(
            "SELECT first_name FROM customer WHERE email = 'ada@example.org'"
        ).fetchall() == [("Ada",)]
