"""What the comparison quotes is what was measured."""

from __future__ import annotations

from tests.docs.pages import DOCS, table

QUOTED = {
    "Flask's cookie": "Flask's cookie",
    "Flask-Session, Redis": "Flask-Session, Redis",
    "Flask-Session, files": "Flask-Session, files",
    "Flask-Session, SQLAlchemy on SQLite": "Flask-Session, SQLite FULL",
    "redis-py by hand, without any promise": "by hand, Redis",
    "Moored, Redis": "Moored, Redis",
    "Moored, SQLite": "Moored, SQLite FULL",
}
GUARANTEES = (
    (
        "",
        "two requests add to one cart",
        "two requests set different keys",
        "a change inside a value",
        "a slow request ends after the sign-out",
    ),
    (
        "",
        "a cookie planted before the sign-in",
        "an id that the client made up",
        "sign out everywhere, list of devices",
        "stored values",
    ),
)


def test_costs_are_the_medians_of_the_last_run() -> None:
    measured = _measured()
    heading = ("", "untouched", "read", "changed", "its round trips for a change")
    rows = {row[0]: row[1:4] for row in table(DOCS / "comparison.md", *heading)}
    assert rows == {name: measured[source] for name, source in QUOTED.items()}


def test_every_statement_says_how_it_is_known() -> None:
    for headings in GUARANTEES:
        for name, *cells in table(DOCS / "comparison.md", *headings):
            if "by hand" not in name:
                assert [cell for cell in cells if not cell.endswith((", m", ", s", ", t"))] == [], name


def _measured() -> dict[str, list[str]]:
    """The medians of the first table about requests, in whole microseconds."""
    text = (DOCS / "performance.md").read_text()
    part = text.partition("Microseconds added over bare Flask")[2].partition("Round trips and bytes")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines() if line[:1] == "|"]
    return {name: [_whole(cell) for cell in cells] for name, *cells in rows[2:]}


def _whole(figure: str) -> str:
    """The median in "1,107 (1,009–1,907)", rounded."""
    return str(round(float(figure.split(maxsplit=1)[0].replace(",", ""))))
