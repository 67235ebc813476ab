"""Make a database match the configuration: plan, apply, undo, verify.

May import: sql, vault, and the configuration.
"""

from pgnym.onboard.applying import Tools, apply
from pgnym.onboard.clean import leftovers, scrub_wal
from pgnym.onboard.errors import OnboardError
from pgnym.onboard.model import Finding, OnboardPlan, Progress, Stage, Step, StepKind, Tokens
from pgnym.onboard.planning import plan
from pgnym.onboard.retokenizing import Retokened, retoken
from pgnym.onboard.undoing import gateways, undo
from pgnym.onboard.verifying import Verdict, verify

__all__ = [
    "Finding",
    "OnboardError",
    "OnboardPlan",
    "Progress",
    "Retokened",
    "Stage",
    "Step",
    "StepKind",
    "Tokens",
    "Tools",
    "Verdict",
    "apply",
    "gateways",
    "leftovers",
    "plan",
    "retoken",
    "scrub_wal",
    "undo",
    "verify",
]
