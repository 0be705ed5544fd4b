"""One self-contained HTML page with sections, figures and tables.

Everything is inside the file: style, and figures as embedded PNGs. It loads nothing, runs nothing,
and every text is escaped.
"""

from __future__ import annotations

import base64
import io
import math
import numbers
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurokit_sdr._version import __version__
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2026; --soft: #5b6270; --paper: #ffffff;
  --line: #d8dbe1; --shade: #f4f5f7; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6ea; --soft: #a3a9b5; --paper: #16181d;
  --line: #383c45; --shade: #20232a; --link: #7db8f5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1.05rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main, header, footer, nav { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.4rem; line-height: 1.3; margin: 3rem 0 .75rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
p { max-width: 42rem; margin: 0 0 1rem; }
a { color: var(--link); }
nav ol { margin: .5rem 0 0; padding-left: 1.4rem; }
figure { margin: 1.5rem 0 2rem; }
figure img { display: block; max-width: 100%; height: auto; background: #fff;
  border: 1px solid var(--line); border-radius: 6px; padding: .5rem; }
figcaption, caption { color: var(--soft); font-size: .95rem; line-height: 1.45; text-align: left;
  max-width: 42rem; }
figcaption { margin-top: .6rem; }
caption { caption-side: top; padding-bottom: .5rem; }
.scroll { overflow-x: auto; margin: 1.5rem 0 2rem; }
table { border-collapse: collapse; font-size: .95rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: baseline; }
thead th { border-bottom: 2px solid var(--soft); }
tbody tr:nth-child(even) { background: var(--shade); }
th.number, td.number { text-align: right; white-space: nowrap; }
footer { margin-top: 3rem; padding-top: 1rem; padding-bottom: 2.5rem; color: var(--soft);
  border-top: 1px solid var(--line); font-size: .9rem; overflow-wrap: anywhere; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .95em; }
@media print {
  :root { --ink: #000; --soft: #444; --paper: #fff; --line: #bbb; --shade: #f4f4f4; --link: #000; }
  body { font-size: 10.5pt; }
  figure, table { break-inside: avoid; }
  h2 { break-after: avoid; }
  .scroll { overflow: visible; }
}
"""


@dataclass
class _Section:
    heading: str
    body: list[str] = field(default_factory=list)


class Report:
    """Collects sections, figures and tables, and writes them as one HTML file.

    Parameters
    ----------
    title
        The page's title.
    command
        What made the report, for the footer.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> report = Report("A fit", command="neurokit-sdr demo")
    >>> report.section("States", "Three states were found.")
    >>> report.table([["bits per spike", 0.89]], ["score", "value"], "Held-out data.")
    >>> page = report.write(pathlib.Path(tempfile.mkdtemp()) / "report.html")
    >>> "Three states were found." in page.read_text(encoding="utf-8")
    True
    """

    def __init__(self, title: str, *, command: str = "") -> None:
        self.title = title
        self.command = command
        self._lead = _Section("")
        self._sections: list[_Section] = []
        self._images: dict[str, bytes] = {}

    def section(self, heading: str, text: str = "") -> None:
        """Start a section; an empty line in the text starts a new paragraph."""
        self._sections.append(_Section(heading))
        self.text(text)

    def text(self, text: str) -> None:
        """Add paragraphs to the current section, or beneath the title before the first."""
        paragraphs = [p for p in re.split(r"\n\s*\n", text) if p.strip()]
        self._current.body += [f"<p>{escape(' '.join(p.split()))}</p>" for p in paragraphs]

    def figure(self, figure: Figure, caption: str, name: str) -> None:
        """Add a figure, and close it.

        Parameters
        ----------
        figure
            A matplotlib Figure.
        caption
            What it shows; also its alternative text.
        name
            File name without suffix; ``write`` saves ``name.png`` beside the page.

        Raises
        ------
        ParameterError
            If the name is not a plain file name, or was used before.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise ParameterError(
                f"Expected a figure name of letters, digits, '_' and '-', got {name!r}."
            )
        if name in self._images:
            raise ParameterError(f"Expected a figure name not used before, got {name!r} again.")
        image, width = _png(figure)
        self._images[name] = image
        data = base64.b64encode(image).decode("ascii")
        self._current.body.append(
            f'<figure id="figure-{name}">\n'
            f'<img src="data:image/png;base64,{data}" alt="{escape(caption)}" width="{width}">\n'
            f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
        )

    def table(self, rows: Iterable[Sequence[Any]], headers: Sequence[str], caption: str) -> None:
        """Add a table; columns of numbers are right aligned.

        Parameters
        ----------
        rows
            Cells by row. Floats are shown with four digits; format them yourself for another
            number of digits: text that reads as a number is aligned as one. None and NaN are shown
            as a dash.
        headers
            One per column.
        caption
            What the table shows.

        Raises
        ------
        ParameterError
            If a row is not as long as the headers.
        """
        cells = [list(row) for row in rows]
        for row in cells:
            if len(row) != len(headers):
                raise ParameterError(
                    f"Expected {len(headers)} cells per row, as many as headers, got {len(row)}: "
                    f"{row!r}."
                )
        numeric = [
            bool(cells) and all(_is_number(row[c]) for row in cells) for c in range(len(headers))
        ]
        head = "".join(
            f'<th scope="col"{_class(n)}>{escape(str(h))}</th>'
            for h, n in zip(headers, numeric, strict=True)
        )
        body = "\n".join(
            "<tr>"
            + "".join(
                f"<td{_class(n)}>{escape(_cell(c))}</td>" for c, n in zip(row, numeric, strict=True)
            )
            + "</tr>"
            for row in cells
        )
        self._current.body.append(
            f'<div class="scroll"><table>\n<caption>{escape(caption)}</caption>\n'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page, and its figures as PNG files into the same folder; return the path.

        Each file is replaced only once the new one is whole, the page last.
        """
        path = Path(path).expanduser()
        for name, image in self._images.items():
            with atomic_path(path.parent / f"{name}.png") as temporary:
                temporary.write_bytes(image)
        with atomic_path(path) as temporary:
            temporary.write_text(self._page(), encoding="utf-8")
        return path

    @property
    def _current(self) -> _Section:
        return self._sections[-1] if self._sections else self._lead

    def _page(self) -> str:
        title = escape(self.title)
        contents = "\n".join(
            f'<li><a href="#section-{n}">{escape(s.heading)}</a></li>'
            for n, s in enumerate(self._sections, start=1)
        )
        nav = f'<nav aria-label="Contents"><ol>\n{contents}\n</ol></nav>' if contents else ""
        sections = "\n".join(
            f'<section id="section-{n}">\n<h2>{escape(s.heading)}</h2>\n'
            + "\n".join(s.body)
            + "\n</section>"
            for n, s in enumerate(self._sections, start=1)
        )
        made = f" by <code>{escape(self.command)}</code>" if self.command else ""
        date = datetime.now().astimezone()
        stamp = date.isoformat(timespec="seconds")
        return "\n".join(
            [
                "<!DOCTYPE html>",
                '<html lang="en">',
                "<head>",
                '<meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{title}</title>",
                f"<style>{_STYLE}</style>",
                "</head>",
                "<body>",
                f"<header>\n<h1>{title}</h1>",
                *self._lead.body,
                "</header>",
                nav,
                f"<main>\n{sections}\n</main>",
                f"<footer>neurokit_sdr {escape(__version__)}, made "
                f'<time datetime="{stamp}">{date:%Y-%m-%d %H:%M}</time>{made}</footer>',
                "</body>",
                "</html>",
                "",
            ]
        )


def _png(figure: Figure) -> tuple[bytes, int]:
    """The figure as PNG at twice the pixels it is shown with, and the width to show it with."""
    import matplotlib.pyplot as plt

    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=2 * 96)
    plt.close(figure)
    return stream.getvalue(), round(96 * figure.get_figwidth())


def _is_number(cell: Any) -> bool:
    if cell is None or (isinstance(cell, numbers.Number) and not isinstance(cell, bool)):
        return True
    # also "1,234", "12 %" and "0.79 s", but not a unit's name such as "3b"
    return re.fullmatch(r"[-+−]?[\d.,]+(e[-+]?\d+)?( ?%| \S{1,4})?|–", str(cell)) is not None


def _cell(cell: Any) -> str:
    if cell is None or (isinstance(cell, numbers.Real) and math.isnan(cell)):
        return "–"
    if isinstance(cell, numbers.Real) and not isinstance(cell, numbers.Integral):
        return f"{float(cell):.4g}"
    return str(cell)


def _class(numeric: bool) -> str:
    return ' class="number"' if numeric else ""
