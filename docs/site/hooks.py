"""What MkDocs cannot do by settings: pages of the repository's root as pages of the site.

``CHANGELOG.md`` and its like stand beside README, where everybody looks for them.  The site has
them under *Project*, and links between them and the pages of ``docs`` are made to fit there.  A link
whose text is the name of a page's file, as it suits a repository, shows the page's title here.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

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


def on_post_page(output: str, **_: Any) -> str:
    """Give the theme's search dialog a name, which it lacks, for those who cannot see it."""
    unnamed = 'data-md-component="search" role="dialog"'
    return output.replace(unnamed, f'{unnamed} aria-label="Search"')
