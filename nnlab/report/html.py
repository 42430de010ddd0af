"""A page of HTML in one file that needs no other: text, tables, pictures inside."""

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from nnlab.report.folder import MARK

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page: the title as its heading, then the parts that are not empty."""
    body = "\n".join(part for part in (f"<h1>{escape(title)}</h1>", *parts) if part)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
{MARK}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{CSS}</style></head>
<body><main>
{body}
</main></body></html>
"""


def answer(sentence: str) -> str:
    """What the page is read for."""
    return f'<p class="answer">{escape(sentence)}</p>'


def doubts(sentences: Sequence[str]) -> str:
    """Reasons to doubt the answer, one a line; nothing where there is none."""
    lines = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    head = "<h2>Before you believe it</h2>"
    return f'<section class="doubts">{head}<ul>{lines}</ul></section>' * bool(lines)


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table of texts under a line of heads."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in body)
    lines = "".join(f"<tr>{row}</tr>" for row in rows)
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"
    return f"<div class='wide'>{whole}</div>"


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names, each with its value."""
    lines = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    return f"<table>{lines}</table>"


def picture(name: str, caption: str, data: bytes) -> str:
    """A PNG inside the page; a click opens the file of that name beside it."""
    label, inside = escape(caption, quote=True), base64.b64encode(data).decode()
    return (
        f'<figure><a href="{name}.png"><img alt="{label}" src="data:image/png;base64,{inside}"></a>'
        "</figure>"
    )


def pictured(page: str) -> set[str]:
    """The names of the pictures in a page."""
    return set(re.findall(r'<figure><a href="(\w+)\.png"><img ', page))


def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


CSS = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.8rem; } h2 { margin-top: 2.2rem; font-size: 1.3rem; } h3 { font-size: 1.05rem; }
.answer { font-size: 1.15rem; border-left: 4px solid #0072B2; padding-left: 1rem; }
.doubts { background: #FFF6E5; border-left: 4px solid #E69F00; padding: .3rem 1rem; }
.doubts h2 { margin: .6rem 0 0; font-size: 1.1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0;
         border-bottom: 1px solid #ddd; }
figure { margin: 1.5rem 0; } img { width: 100%; height: auto; }
"""
