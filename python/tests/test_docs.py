"""The tutorial of docs/python.md, as it stands."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADING = "## From a trained model to a figure"


def test_the_tutorial_runs_as_it_is_written(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pyarrow")
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    section = text.split(HEADING)[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 5
    shutil.copytree(ROOT / "examples" / "frozen", tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ["ask", "data", "networks"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    said = capsys.readouterr().out.replace("\xa0", " ")
    # What the page says is printed is printed.
    promised = re.search(r"# (Yes, .*?) \.\.\.", section)
    assert promised is not None and promised[1] in said, said
    assert any(path.stat().st_size > 1000 for path in names["figures"]), "there is a figure"
    for name in ["ask", "data", "networks"]:
        sys.modules.pop(name, None)
