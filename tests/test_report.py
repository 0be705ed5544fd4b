"""The report is one well-formed page that needs nothing else."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

from neurokit_sdr import __version__
from neurokit_sdr._report import Report
from neurokit_sdr.core.errors import ParameterError

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects elements with their attributes and text, and checks that they nest."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append((tuple(self.open), data))

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def words(self, tag):
        return [data for path, data in self.text if tag in path and data.strip()]


def make_figure():
    figure, ax = plt.subplots(figsize=(4, 3))
    ax.plot([1, 2, 3])
    return figure


@pytest.fixture
def written(tmp_path):
    report = Report("Title <b> & co", command="neurokit-sdr demo --out 'a b'")
    report.text("Lead.")
    report.section("States & <speed>", 'First\nparagraph.\n\nSecond <i>one</i> & "more".')
    report.figure(make_figure(), 'A "caption" with <tags> & more', "states")
    report.section("Scores")
    rows = [["a<b", 1234, 0.123456, "0.79", None], ["b", 5, float("nan"), "–", 2.0]]
    report.table(rows, ["model", "n", "bits", "text", "none"], "Held <out>")
    path = report.write(tmp_path / "deep" / "report.html")
    return path, Page(path.read_text(encoding="utf-8"))


def test_elements_nest_and_nothing_is_loaded(written):
    path, page = written
    names = {tag for tag, _ in page.elements}
    assert not names & {"script", "link", "iframe", "object"}
    for _, attrs in page.elements:
        for key in ("src", "href"):
            assert attrs.get(key, "#").startswith(("#", "data:image/png;base64,"))
    assert "http" not in path.read_text(encoding="utf-8")
    assert "url(" not in path.read_text(encoding="utf-8")


def test_text_is_escaped(written):
    _, page = written
    assert page.words("h1") == ["Title <b> & co"]
    assert page.words("p") == ["Lead.", "First paragraph.", 'Second <i>one</i> & "more".']
    assert page.words("figcaption") == ['A "caption" with <tags> & more']
    assert not page.all("b")
    assert not page.all("i")
    assert page.words("caption") == ["Held <out>"]


def test_image_is_embedded_saved_and_closed(written):
    path, page = written
    (image,) = page.all("img")
    assert image["alt"] == 'A "caption" with <tags> & more'
    data = base64.b64decode(image["src"].split(",")[1], validate=True)
    pixels = plt.imread(io.BytesIO(data))
    assert pixels.shape[:2] == (576, 768)
    assert int(image["width"]) == 384
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 10
    assert (path.parent / "states.png").read_bytes() == data
    assert plt.get_fignums() == []


def test_contents_lead_to_sections(written):
    _, page = written
    ids = [a["id"] for a in page.all("section")]
    assert [a["href"] for a in page.all("a")] == [f"#{i}" for i in ids]
    assert page.words("nav") == page.words("h2") == ["States & <speed>", "Scores"]


def test_table_aligns_numbers_right(written):
    _, page = written
    assert [a.get("class") for a in page.all("th")] == [
        None,
        "number",
        "number",
        "number",
        "number",
    ]
    assert page.words("td") == ["a<b", "1234", "0.1235", "0.79", "–", "b", "5", "–", "–", "2"]


def test_footer_says_version_date_and_command(written):
    _, page = written
    footer = "".join(page.words("footer"))
    assert __version__ in footer
    assert "neurokit-sdr demo --out 'a b'" in footer
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", footer)
    assert len(page.all("time")) == 1


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", "a b", "-a", "a\n"])
def test_figure_names_stay_inside_the_folder(name):
    with pytest.raises(ParameterError, match="figure name"):
        Report("r").figure(make_figure(), "c", name)
    plt.close("all")


def test_figure_names_are_used_once():
    report = Report("r")
    report.figure(make_figure(), "c", "a")
    with pytest.raises(ParameterError, match="again"):
        report.figure(make_figure(), "c", "a")
    plt.close("all")


def test_rows_must_fit_the_headers():
    with pytest.raises(ParameterError, match="2 cells"):
        Report("r").table([[1, 2], [1]], ["a", "b"], "c")


def test_text_columns_are_not_mistaken_for_numbers(tmp_path):
    report = Report("r")
    report.section("s")
    rows = [["3b", "1,234", "+0.5 %", True], ["4a", "12", "-1e-3", False]]
    report.table(rows, ["unit", "n", "gain", "ok"], "c")
    page = Page(report.write(tmp_path / "r.html").read_text(encoding="utf-8"))
    assert [a.get("class") for a in page.all("td")][:4] == [None, "number", "number", None]


def test_writing_twice_replaces_the_page(tmp_path):
    report = Report("one")
    report.write(tmp_path / "r.html")
    report.title = "two"
    report.write(tmp_path / "r.html")
    assert "<h1>two</h1>" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
