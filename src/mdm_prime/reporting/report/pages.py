"""Markdown as a page of its own that loads nothing: how the report shows a table."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

from mdm_prime import hints
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 sans-serif; color: #1a1a1a; background: white; margin: 1.2em 1.6em; }}
h1 {{ font-size: 1.35em; }}
h2 {{ font-size: 1.1em; margin-top: 1.6em; }}
p, li {{ max-width: 60em; }}
table {{ border-collapse: collapse; font-size: 0.87em; }}
th {{ border-bottom: 1.5px solid #333; vertical-align: bottom; position: sticky; top: 0; background: white; }}
td, th {{ padding: 0.25em 0.7em 0.25em 0; vertical-align: top; }}
td {{ border-bottom: 1px solid #ddd; min-width: 5em; }}
td[style*="right"] {{ white-space: nowrap; min-width: 0; }}
pre {{ font-size: 0.85em; background: #f4f4f4; padding: 0.8em; overflow-x: auto; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def table(root: Path, name: str) -> str:
    """A finished table as HTML: what its md file holds, and the csv file to save.

    Raises UserError when a file is missing.
    """
    csv, markdown, *_ = layout.table_files(root, name)
    text = _read(markdown).decode()
    values = base64.b64encode(_read(csv)).decode()
    link = f'<p><a download="{csv.name}" href="data:text/csv;base64,{values}">Save as {csv.name}</a></p>\n'
    return page(text, link)


def page(markdown: str, last: str = "") -> str:
    """Markdown (CommonMark with tables; HTML in it is shown, not followed) as a page, with HTML `last` at its end."""
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    title = re.search(r"^# (.+)$", markdown, flags=re.MULTILINE)
    body = breakable(renderer.render(markdown))
    return TEMPLATE.format(title=html.escape(title[1] if title else ""), body=body + last)


def breakable(body: str) -> str:
    """Lets the long names of columns break behind their underscores, so that a wide table needs less width."""
    return re.sub(r"<th\b.*?</th>", lambda cell: cell[0].replace("_", "_<wbr>"), body)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it with: {hints.target(path)}") from None
