"""What one gateway process may give out: who is allowed how much, and what it has been lent of that by the vault.

A statement that finds enough in the pool waits for nothing. When little is left, more is lent ahead of need; what is
lacking is waited for. Without the vault's answer nothing is given.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from pgnym.policy.budget import (
    LOAN_SECONDS,
    WINDOW_SECONDS,
    Allowance,
    Lift,
    Pool,
    Taken,
    lifted,
)
from pgnym.policy.roles import RolePolicy
from pgnym.vault.errors import VaultError, VaultUnavailable, vault_closed
from pgnym.vault.grants import Grant
from pgnym.vault.loans import Loan
from pgnym.vault.store import Vault

SHARE = 16
"""A gateway is lent up to this part of a limit ahead of need."""
_LOAN_NS = LOAN_SECONDS * 10**9
_QUIET_NS = 10**9  # so long nothing is lent ahead after the vault had not enough


@dataclass(slots=True)
class _Wish:
    count: int
    limit: int
    answer: asyncio.Future[bool]


@dataclass(slots=True)
class _Desk:
    """Where loans for one name in one tenant are asked for, one at a time."""

    pool: Pool
    limit: int = 0
    wishes: deque[_Wish] = field(default_factory=deque)
    ahead: bool = False
    quiet_until: int = 0
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None


class Purse:
    """``pool`` gives the pool of a (tenant, name); ``vault`` the vault, None while the gateway is sealed."""

    def __init__(self, pool: Callable[[str, str], Pool] | None, vault: Callable[[], Vault | None]) -> None:
        self._pool = pool or (lambda tenant, name: Pool())
        self._vault = vault
        self._desks: dict[tuple[str, str], _Desk] = {}
        self._lifts: dict[str, tuple[Sequence[Grant], tuple[Lift, ...]]] = {}

    def allowance(self, tenant: str, role: RolePolicy, user: str, purpose: str | None) -> Allowance:
        """What a session that acts as ``user`` may be given now."""
        if purpose is None:
            return role.allowance
        lifts = self._lifts_of(tenant)
        if not lifts:
            return role.allowance
        return lifted(role.allowance, lifts, user, role.name, purpose, time.time())

    def take(self, tenant: str, allowance: Allowance, count: int) -> Taken:
        """Count values that are to be given. LACKING: ``lend`` counts them, or doesn't. Raises ``GatewayError`` 53400."""
        limit = allowance.minute
        if limit is None:
            return Taken.GIVEN
        if count > limit:
            return Taken.OVER
        desk = self._desk(tenant, allowance.name)
        now = time.monotonic_ns()
        left = desk.pool.take(count, now)
        if left is None:
            return Taken.LACKING
        if left * 4 < limit // SHARE and desk.task is None and now > desk.quiet_until:
            desk.ahead, desk.limit = True, limit
            self._open(tenant, allowance.name, desk)
        return Taken.GIVEN

    async def lend(self, tenant: str, allowance: Allowance, count: int) -> bool:
        """Count values once they have been lent; False if there are not as many. Errors: VaultError, GatewayError 53400."""
        assert allowance.minute is not None
        desk = self._desk(tenant, allowance.name)
        wish = _Wish(count, allowance.minute, asyncio.get_running_loop().create_future())
        desk.wishes.append(wish)
        if desk.task is None:
            self._open(tenant, allowance.name, desk)
        return await wish.answer

    async def close(self) -> None:
        """Ends what is under way. What has been lent and not used goes back by its age."""
        tasks = []
        for desk in self._desks.values():
            if desk.timer is not None:
                desk.timer.cancel()
            if desk.task is not None:
                desk.task.cancel()
                tasks.append(desk.task)
        if tasks:
            await asyncio.wait(tasks)

    def _lifts_of(self, tenant: str) -> tuple[Lift, ...]:
        vault = self._vault()
        opened = vault.opened(tenant) if vault is not None else None
        if vault is None or opened is None:
            return ()
        grants = vault.grants.of(opened)
        if not grants:
            return ()
        known = self._lifts.get(tenant)
        if known is None or known[0] is not grants:
            known = self._lifts[tenant] = grants, tuple(map(_lift, grants))
        return known[1]

    def _desk(self, tenant: str, name: str) -> _Desk:
        desk = self._desks.get((tenant, name))
        if desk is None:
            desk = self._desks[tenant, name] = _Desk(self._pool(tenant, name))
        return desk

    def _open(self, tenant: str, name: str, desk: _Desk) -> None:
        desk.task = asyncio.get_running_loop().create_task(self._serve(tenant, name, desk))

    async def _serve(self, tenant: str, name: str, desk: _Desk) -> None:
        """Until nobody waits."""
        failure: BaseException | None = None
        try:
            while True:
                self._serve_from_pool(desk)
                if not desk.wishes and not desk.ahead:
                    break
                await self._ask(tenant, name, desk)
        except BaseException as error:
            failure = error
            if not isinstance(error, Exception):
                raise
        finally:
            desk.task = None
            desk.ahead = False
            for wish in desk.wishes:
                if not wish.answer.done():
                    wish.answer.set_exception(failure if isinstance(failure, Exception) else vault_closed())
            desk.wishes.clear()
            if isinstance(failure, VaultError):
                desk.quiet_until = time.monotonic_ns() + _QUIET_NS

    def _serve_from_pool(self, desk: _Desk, dry: bool = False, round_of: int | None = None) -> None:
        """Answer wishes that can be met, and with ``dry`` the others, too: no."""
        for _ in range(len(desk.wishes) if round_of is None else round_of):
            wish = desk.wishes.popleft()
            if wish.answer.done():  # its session has ended
                continue
            if desk.pool.take(wish.count, time.monotonic_ns()) is not None:
                wish.answer.set_result(True)
            elif dry:
                wish.answer.set_result(False)
            else:
                desk.wishes.append(wish)

    async def _ask(self, tenant: str, name: str, desk: _Desk) -> None:
        vault = self._vault()
        opened = vault.opened(tenant) if vault is not None else None
        if vault is None or opened is None:
            raise vault_closed()
        now = time.monotonic_ns()
        waiting = len(desk.wishes)
        counts = [wish.count for wish in desk.wishes]
        limit = min((wish.limit for wish in desk.wishes), default=desk.limit)
        available = desk.pool.available(now)
        lacking = max(sum(counts) - available, 0)
        desk.ahead = False
        loan = Loan(
            opened.id,
            name,
            limit,
            lacking,
            max(min(counts, default=0) - available, 0),
            limit // SHARE,
            WINDOW_SECONDS,
            desk.pool.expired(now),
        )
        lent, second = await vault.lend(loan)
        until = now + _LOAN_NS  # of before it was asked for: the vault's clock began to count it later
        if time.monotonic_ns() >= until:
            raise VaultUnavailable(
                "the vault's server did not answer in time",
                hint="Look for locks and load on the vault's server.",
            )
        if lent:
            desk.pool.add(second, lent, until)
            self._return_later(tenant, name, desk)
        dry = lent < lacking or (not counts and lent < limit // SHARE // 4)
        if dry:
            desk.quiet_until = time.monotonic_ns() + _QUIET_NS
        self._serve_from_pool(desk, lent < lacking, waiting)

    def _return_later(self, tenant: str, name: str, desk: _Desk) -> None:
        if desk.timer is None:
            loop = asyncio.get_running_loop()
            desk.timer = loop.call_later(LOAN_SECONDS + 0.1, partial(self._return, tenant, name, desk))

    def _return(self, tenant: str, name: str, desk: _Desk) -> None:
        """Give back what nobody has used in its time."""
        desk.timer = None
        if desk.pool.available(time.monotonic_ns()):
            self._return_later(tenant, name, desk)
        if desk.task is None and self._vault() is not None:
            desk.task = asyncio.get_running_loop().create_task(self._give_back(tenant, name, desk))

    async def _give_back(self, tenant: str, name: str, desk: _Desk) -> None:
        back = desk.pool.expired(time.monotonic_ns())
        try:
            vault = self._vault()
            opened = vault.opened(tenant) if vault is not None else None
            if back and vault is not None and opened is not None:
                # What can't be given back is counted as used: too few are shown then, not too many.
                await vault.lend(Loan(opened.id, name, 0, 0, 0, 0, WINDOW_SECONDS, back))
        except VaultError:
            desk.quiet_until = time.monotonic_ns() + _QUIET_NS
        finally:
            desk.task = None
            if desk.wishes:  # who came meanwhile
                self._open(tenant, name, desk)


def _lift(grant: Grant) -> Lift:
    return Lift(
        grant.id, grant.db_user, grant.role, grant.purpose, grant.statement, grant.minute, grant.until.timestamp()
    )  # fmt: skip
