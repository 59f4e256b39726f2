"""What is wrong with a bundle, in words for the person who wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from memory_fabric.core.errors import PolicyInvalid


@dataclass(frozen=True)
class Finding:
    """One thing to mend before a bundle can be used.

    Attributes:
        file: path inside the bundle.
        line: from 1; 0 where it concerns the whole file.
        rule: the rule's ``@id``, or empty.
        message: what is wrong.
        fix: what to do about it.
    """

    file: str
    line: int
    rule: str
    message: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        rule = f" [{self.rule}]" if self.rule else ""
        return f"{place}{rule} {self.message} {self.fix}".rstrip()


class BundleError(Exception):
    """Reading stops here; carries the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def invalid(findings: Sequence[Finding]) -> PolicyInvalid:
    """The error for a bundle with findings; ``details['findings']`` lists them."""
    count = len(findings)
    return PolicyInvalid(
        "policy-invalid",
        f"The policy bundle cannot be used: {count} finding{'s' if count != 1 else ''}. "
        f"First: {findings[0]}",
        "Run `memory-fabric policy check` and mend what it lists.",
        {"findings": [asdict(finding) for finding in findings]},
    )
