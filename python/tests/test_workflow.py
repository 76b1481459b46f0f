"""Workflows from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import fuseline

QUICKSTART = Path(__file__).parents[2] / "workflows" / "quickstart.yaml"


def test_a_workflow_is_checked_planned_run_and_read(tmp_path):
    cache, out = tmp_path / "cache", tmp_path / "out"
    assert [found for found in fuseline.check(QUICKSTART) if found.severity == "error"] == []
    before = fuseline.plan(QUICKSTART, cache=cache)
    assert before.cached == 0 and len(before) > 10
    run = fuseline.run(QUICKSTART, cache=cache, out=out, quiet=True)
    assert run.status == "ok" and run.executed > 0
    findings = run.findings
    assert len(findings) > 1 and "gap" in findings.columns
    assert findings["gap"].dtype.kind == "f"
    cell = run._repr_html_()
    assert cell.startswith('<div class="fuseline-report"><style>@scope (.fuseline-report)')
    assert "<script" not in cell and "Does the fused decision use quality?" in cell
    assert "<table" in findings._repr_html_()
    again = fuseline.run(QUICKSTART, cache=cache, out=out, quiet=True)
    assert again.executed == 0
    pandas = pytest.importorskip("pandas")
    frame = findings.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and list(frame["gap"]) == list(findings["gap"])
    pyarrow = pytest.importorskip("pyarrow")
    assert pyarrow.table(findings).num_rows == len(findings)


def test_mistakes_come_with_their_places(tmp_path):
    text = QUICKSTART.read_text().replace("uses: fusion.fit", "uses: fusion.fti")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text)
    found = fuseline.check(wrong)
    assert found and found[0].line and found[0].code.startswith("fuseline::")
    with pytest.raises(fuseline.FuselineError) as raised:
        fuseline.run(wrong, cache=tmp_path / "cache", quiet=True)
    assert raised.value.exit_code == 2 and raised.value.diagnostics == tuple(found)
    assert "did you mean" in raised.value.stderr


def test_a_plan_of_any_size_arrives(tmp_path):
    workflow = tmp_path / "big.yaml"
    workflow.write_text(
        """
fuseline: 1
name: big
axes:
  i: ${{ range(3000) }}
stages:
  cohort:
    uses: simulate.cohort
    over: [i]
    with: { examples: "${{ 20 + i }}", groups: 5 }
outputs: { cohort.csv: "cohort[i=0]" }
"""
    )
    # More than a pipe holds.
    assert len(fuseline.plan(workflow, cache=tmp_path / "cache")) == 3000
