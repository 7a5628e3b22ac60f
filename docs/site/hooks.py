"""What MkDocs cannot do by settings: pages of the repository's root as pages of the site, tables for phones.

``CHANGELOG.md`` and its like stand beside README, where everybody looks for them.  The site has
them under *Project*, and links between them and the pages of ``docs`` are made to fit there.  A link
whose text is the name of a page's file, as it suits a repository, shows the page's title here.

A table most of whose rows begin with a name in code, such as those of settings, or that has prose side
by side, is marked, and its cells with what stands above them: where the screen is narrow, ``moored.css``
sets each row as a block.  There the picture of ``moored prove`` is too small to be read: below it stands, as
such a table, what it says.
"""

from __future__ import annotations

import posixpath
import re
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# Where the site has pages that lie beside README; README itself is for the repository: its
# place is taken by the index of docs.
MOVED = {
    "CHANGELOG.md": "project/changes.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/reporting.md",
    "README.md": "README.md",
}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)((?:#[^)\s]*)?)\)")
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_ROW = re.compile(r"<tr>\s*(.*?)\s*</tr>", re.DOTALL)
_CELL = re.compile(r"<(t[hd])\b([^>]*)>(.*?)</\1>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")
_NAMED = re.compile(r"<tr>\s*<td[^>]*><code>")
_PROVED = re.compile(r'<p><img [^>]*images/prove\.svg"[^>]*></p>')
PICTURE = ROOT / "docs" / "images" / "prove.svg"
PROSE = 40  # characters of a cell from which columns side by side are too narrow on a phone


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root."""
    for name, uri in MOVED.items():
        if uri != name:
            files.append(File.generated(config, uri, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links of the repository to where the site has those pages."""
    uri = page.file.src_uri
    came_from = next((name for name, there in MOVED.items() if there == uri and name != uri), f"docs/{uri}")

    def fitting(link: re.Match[str]) -> str:
        text, path, anchor = link.groups()
        target = posixpath.normpath(posixpath.join(posixpath.dirname(came_from), path))
        if text == path.rpartition("/")[2] and text.endswith(".md"):
            title = _TITLE.search((ROOT / target).read_text())
            text = f"*{title[1]}*" if title else text
        there = MOVED.get(target, target.removeprefix("docs/"))
        return f"[{text}]({posixpath.relpath(there, posixpath.dirname(uri) or '.')}{anchor})"

    return _LINK.sub(fitting, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Mark tables that are too wide for a phone, and say in one what a picture is too wide for."""
    html = _TABLE.sub(lambda table: _marked(table[0]), html)
    return _PROVED.sub(lambda picture: picture[0] + proved(), html)


def proved() -> str:
    """What the picture of ``moored prove`` says of each scene, from the titles of its bars."""
    rows: dict[str, list[str]] = {}
    for bar in ElementTree.parse(PICTURE).iterfind(".//{*}g/{*}title"):
        side, _, rest = (bar.text or "").partition(", ")
        scene, _, said = rest.rpartition(": ")
        cells = rows.setdefault(scene, [f"<td>{escape(scene)}</td>"])
        cells.append(f'<td data-head="{escape(side)}">{escape(said)}</td>')
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows.values())
    return f'<div class="narrow"><table data-blocks=""><tbody>{body}</tbody></table></div>'


def _marked(table: str) -> str:
    rows = [[_TAG.sub("", text) for _, _, text in _CELL.findall(row)] for row in _ROW.findall(table)]
    head, body = rows[0], rows[1:]
    names = _NAMED.findall(table)
    named = head[0] and len(names) > len([row for row in body if row[0]]) / 2
    prose = not head[0] and len(head) > 2 and max([len(cell) for row in body for cell in row]) > PROSE
    if not named and not prose:
        return table
    labels = [label.removesuffix(":").replace('"', "&quot;") for label in head]
    labels[0] = ""
    if len(labels) == 2:  # a name and what it is
        labels[1] = ""

    def labelled(row: re.Match[str]) -> str:
        cells = _CELL.findall(row[0])
        if not cells[0][2] or cells[0][0] == "th":  # a heading, between rows or above them
            return row[0]
        told = [f' data-head="{label}"' if label else "" for label in labels]
        parts = [f"<td{more}{label}>{text}</td>" for (_, more, text), label in zip(cells, told, strict=True)]
        return f"<tr>{''.join(parts)}</tr>"

    return _ROW.sub(labelled, table).replace("<table>", "<table data-blocks>", 1)


def on_post_page(output: str, **_: Any) -> str:
    """Give the theme's search dialog a name, which it lacks, for those who cannot see it."""
    unnamed = 'data-md-component="search" role="dialog"'
    return output.replace(unnamed, f'{unnamed} aria-label="Search"')
