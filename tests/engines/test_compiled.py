"""Code that was compiled from sources that have changed is found."""

from __future__ import annotations

import os

from compiled import stale


def test_code_older_than_anything_it_was_made_of_is_stale(tmp_path):
    package = tmp_path / "made"
    for name, text in {
        "loops/outer.py": "from made.loops.inner import step\n",
        "loops/inner.py": "from made import tools\n",
        "tools.py": "",
        "other.py": "",
    }.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (100, 100))
    code = package / "loops" / "__pycache__" / "outer.run-3.py311.1.nbc"
    code.parent.mkdir()
    code.touch()
    os.utime(code, (200, 200))
    assert stale(package) == []
    for name in ("loops/outer.py", "loops/inner.py", "tools.py"):
        os.utime(package / name, (300, 300))
        assert stale(package) == [code], name
        os.utime(package / name, (100, 100))
    os.utime(package / "other.py", (300, 300))
    assert stale(package) == []
