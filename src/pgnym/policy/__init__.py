"""Who may see, search and write what: roles, masks, purposes, reveal budget; decisions as pure functions.

May import: nothing of pgnym but its configuration types.
"""

from pgnym.policy.budget import Budget, Over, StatementBudget
from pgnym.policy.masks import masker
from pgnym.policy.roles import Policy, RolePolicy
from pgnym.policy.sight import Sight

__all__ = ["Budget", "Over", "Policy", "RolePolicy", "Sight", "StatementBudget", "masker"]
