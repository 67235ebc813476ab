"""Values that are brought into one spelling as a column becomes protected: what is in the way is found before."""

from __future__ import annotations

import asyncio

import pytest

from pgnym import onboard
from support.cluster import Cluster
from support.workbench import workbench

pytestmark = pytest.mark.server

CONFIG = """
tables:
  public.person:
    columns:
      mail: {normalize: email}
      phone: {normalize: {phone: DE}}
"""
TABLE = """
CREATE TABLE person (shop int, mail varchar(30), phone text, UNIQUE (shop, mail));
CREATE UNIQUE INDEX by_phone ON person (phone) WHERE shop > 0;
"""


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("(1, 'Ann@x.org', '030 123456'), (2, 'ann@X.org', '030 123457')", []),
        ("(1, 'Ann@x.org', NULL), (1, 'ann@X.org', NULL), (NULL, 'ANN@X.org', NULL)",
         ["person_shop_mail_key is unique, and 1 of"]),
        ("(1, NULL, '030 123456'), (2, NULL, '+49 30 123456'), (0, NULL, '03 0123456')",
         ["by_phone is unique, and 1 of its rows"]),
        ("(1, 'nonsense', '12'), (2, '', ''), (3, 'bob', NULL)",
         ["mail: has 2 values that are not an e-mail", "phone: has 1 values"]),
        ("(1, 'ann@üüüüüüüüüü.üüüüüüüüüü.de', NULL)", ["would be too long for character varying(30) then"]),
    ],
)  # fmt: skip
def test_what_is_in_the_way_is_found_and_where(
    postgres: Cluster, database: str, rows: str, found: list[str]
) -> None:
    async def work() -> None:
        async with workbench(postgres, database, CONFIG) as bench:
            await bench.app.execute(f"{TABLE} INSERT INTO person VALUES {rows}")
            blockers = await bench.blockers()
            assert len(blockers) == len(found)
            for blocker, text in zip(blockers, found, strict=True):
                assert text in blocker
            for finding in (await bench.plan()).blockers:
                assert "ctid IN ('(0," in finding.hint
                assert "ann" not in finding.hint.lower()
            if not found:
                assert [w for w in await bench.warnings() if "in one spelling" in w]
                await bench.apply()
                assert await bench.app.fetchval("SELECT count(DISTINCT mail) FROM person") == 1
                await bench.undo("public.person")
                rows_of = await bench.app.fetch("SELECT mail, phone FROM person ORDER BY shop")
                assert [tuple(row) for row in rows_of] == [
                    ("ann@x.org", "+4930123456"),
                    ("ann@x.org", "+4930123457"),
                ]

    asyncio.run(work())


def test_what_is_within_arrays_and_documents_stops_apply_with_nothing_changed(
    postgres: Cluster, database: str
) -> None:
    config = "tables: {public.t: {columns: {a: {normalize: email}, d: {paths: {to: {normalize: email}}}}}}"

    async def work() -> None:
        async with workbench(postgres, database, config) as bench:
            await bench.app.execute("CREATE TABLE t (a text[], d jsonb)")
            for row in ("('{ann@x.org,secret nonsense}', '{}')", '(NULL, \'{"to": "secret nonsense"}\')'):
                await bench.app.execute(f"TRUNCATE t; INSERT INTO t VALUES {row}")
                with pytest.raises(
                    onboard.OnboardError, match="a value that is not an e-mail address"
                ) as caught:
                    await bench.apply()
                assert "secret" not in str(caught.value)
                assert await bench.vault.fetchval("SELECT count(*) FROM vault.protected_column") == 0

    asyncio.run(work())


def test_types_countries_and_changes(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        for options, text in (
            ("{a: {normalize: email}}", "normalize: email has no meaning for date"),
            ("{b: {normalize: {phone: XX}}}", "XX is no country"),
            ("{b: {normalize: {phone: AT}}}", "normalize phone:DE"),
        ):
            async with workbench(
                postgres, database, f"tables: {{public.t: {{columns: {options}}}}}"
            ) as bench:
                await bench.app.execute("CREATE TABLE IF NOT EXISTS t (a date, b text)")
                if "AT" in options:
                    async with workbench(
                        postgres, database, "tables: {public.t: {columns: {b: {normalize: {phone: DE}}}}}"
                    ) as before:
                        await before.apply()
                assert any(text in blocker for blocker in await bench.blockers())

    asyncio.run(work())
