"""The rules in force."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from memory_fabric import operations
from memory_fabric_api.console.guard import Officer, TheHome
from memory_fabric_api.console.render import page

router = APIRouter()


@router.get("/rules")
def rules(request: Request, home: TheHome, officer: Officer, q: str = "") -> Response:
    """All rules, by file; or those in which every word of ``q`` stands."""
    told = operations.policy_rules(home, officer)
    words = q.casefold().split()
    found = [
        rule
        for rule in told["rules"]
        if all(
            word in f"{rule['id']} {rule['title']} {rule['basis']} {rule['file']}".casefold()
            for word in words
        )
    ]
    return page(request, "rules.html", q=q, rules=found, total=len(told["rules"]))


@router.get("/rules/{id}")
def rule(request: Request, home: TheHome, officer: Officer, id: str) -> Response:
    """One rule, with its text and its cases."""
    return page(request, "rule.html", rule=operations.policy_rule(home, officer, id=id))
