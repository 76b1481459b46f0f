"""Does the fused decision use quality? Workflows, and the diagnostic of a model that you have.

`diagnose` asks a frozen model; `run`, `check`, `plan`, `show` and `report` are the command `fuseline` in Python.
Everything is computed by the command: this package holds no extension module and needs numpy alone.
"""

from fuseline._binary import find_binary
from fuseline._diagnose import Ask, Diagnosis, Result, diagnose
from fuseline._errors import Diagnostic, FuselineError
from fuseline._rule import Batch, Rule, RuleError
from fuseline._stage import Stage, Task, stage
from fuseline._table import Table
from fuseline._workflow import Plan, PlannedAction, Run, check, plan, report, run, show

__all__ = [
    "Ask",
    "Batch",
    "Diagnosis",
    "Diagnostic",
    "FuselineError",
    "Plan",
    "PlannedAction",
    "Result",
    "Rule",
    "RuleError",
    "Run",
    "Stage",
    "Table",
    "Task",
    "check",
    "diagnose",
    "find_binary",
    "plan",
    "report",
    "run",
    "show",
    "stage",
]
