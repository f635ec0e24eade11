"""What an audit says: findings, each with a severity, a number and one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

#: From worst to least: it makes scores mean something else; worth knowing; plain statistics.
SEVERITIES = ("trap", "note", "fact")


@dataclass(frozen=True)
class Finding:
    """One thing to know before training.

    Parameters
    ----------
    check : str
        Which check found it, such as ``twin-nodes``.
    severity : str
        ``trap`` (scores mean something else than they seem to), ``note`` or ``fact``.
    number : float
        The count or share that the sentence is about.
    text : str
        One sentence.
    """

    check: str
    severity: str
    number: float
    text: str


@dataclass
class Audit:
    """The findings about one dataset and its split, the worst first.

    Parameters
    ----------
    name, task, split : str
    findings : list of Finding
    known : tuple of str
        The traps that the dataset's card tells, which the files alone may not show.

    Examples
    --------
    >>> audit = Audit("toy", "node", "random", [Finding("unlabelled", "note", 3, "3 nodes have no label.")])
    >>> audit.traps, audit["unlabelled"].number
    ([], 3)
    """

    name: str
    task: str
    split: str
    findings: list[Finding] = field(default_factory=list)
    known: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.findings = sorted(self.findings, key=lambda finding: SEVERITIES.index(finding.severity))

    @property
    def traps(self) -> list[Finding]:
        """The findings that make scores mean something else than they seem to."""
        return [finding for finding in self.findings if finding.severity == "trap"]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __contains__(self, check: object) -> bool:
        return any(finding.check == check for finding in self.findings)

    def __getitem__(self, check: str) -> Finding:
        """Return the worst finding of a check; KeyError if it found nothing."""
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(check)

    def record(self) -> dict[str, Any]:
        """Return the audit as plain mappings and lists."""
        return asdict(self) | {"known": list(self.known)}

    def __str__(self) -> str:
        lines = [f"{f.severity}: {f.text}" for f in self.findings]
        return "\n".join([f"{self.name} ({self.task}, split {self.split})", *lines])


def share(part: float, whole: float) -> str:
    """Write a share in percent.

    >>> share(1, 8)
    '12.5 %'
    """
    return f"{100 * part / max(whole, 1):.1f} %"
