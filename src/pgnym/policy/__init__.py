"""Who may see, search and write what: roles, masks, purposes, reveal budget; decisions as pure functions.

May import: nothing of pgnym but its configuration types.
"""

from pgnym.policy.budget import Allowance, Lift, Over, Pool, StatementBudget, Taken
from pgnym.policy.masks import masker
from pgnym.policy.roles import Policy, RolePolicy
from pgnym.policy.sight import Sight

__all__ = [
    "Allowance",
    "Lift",
    "Over",
    "Policy",
    "Pool",
    "RolePolicy",
    "Sight",
    "StatementBudget",
    "Taken",
    "masker",
]
