"""What is wrong with a bundle, in words for the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from memory_fabric.core.errors import PolicyInvalid


class Severity(StrEnum):
    """Whether a bundle fails its check by it."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing to mend before a bundle can be used, or a warning to think about.

    Attributes:
        file: path inside the bundle.
        line: from 1; 0 where it concerns the whole file.
        rule: the rule's ``@id``, or empty.
        message: what is wrong.
        fix: what to do about it.
        severity: a warning is shown and does not fail the check.
    """

    file: str
    line: int
    rule: str
    message: str
    fix: str
    severity: Severity = Severity.ERROR

    @property
    def place(self) -> str:
        """File and line, as editors take them."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        rule = f" [{self.rule}]" if self.rule else ""
        return f"{self.place}{rule} {self.message} {self.fix}".rstrip()


class BundleError(Exception):
    """Reading stops here; carries the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def errors_in(findings: Iterable[Finding]) -> list[Finding]:
    """Those by which a bundle fails its check."""
    return [finding for finding in findings if finding.severity == Severity.ERROR]


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
