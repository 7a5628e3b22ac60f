"""What ``moored doctor`` found, by id."""

from __future__ import annotations

from typing import Any

from click.testing import Result
from tests.cli.shop import members

from moored.cli.checks import TOPICS, Finding, Severity


class Findings:
    """What a run of the doctor said, in JSON."""

    def __init__(self, done: Result) -> None:
        said = members(done)
        self.status = done.exit_code
        self._found: dict[str, dict[str, Any]] = {each["id"]: each for each in said["findings"]}
        assert len(self._found) == len(said["findings"])
        assert set(self._found) <= set(TOPICS)
        for each in self._found.values():
            assert set(each) == {"id", "severity", "what", "cure"}
            assert each["what"].endswith(".")
            told = each["id"] in ("MRD-D001", "MRD-D002")  # an error's message may be one sentence
            assert bool(each["cure"]) == (each["severity"] != "ok") or told, each
        severities = {each["severity"] for each in self._found.values()}
        assert said["worst"] == [each for each in Severity if each in severities][-1]
        assert self.status == ("error" in severities)

    def __contains__(self, number: str) -> bool:
        return f"MRD-D{number}" in self._found

    def severity(self, number: str) -> str:
        return str(self._found[f"MRD-D{number}"]["severity"])

    def what(self, number: str) -> str:
        return str(self._found[f"MRD-D{number}"]["what"])

    def not_ok(self) -> dict[str, str]:
        """Those that are not ok, but for the lack of a secret on the command line."""
        return {
            id.removeprefix("MRD-D"): each["severity"]
            for id, each in self._found.items()
            if each["severity"] != "ok" and id != "MRD-D004"
        }


def judged(finding: Finding) -> tuple[str, str]:
    """Number and severity of one finding."""
    return finding.id.removeprefix("MRD-D"), str(finding.severity)
