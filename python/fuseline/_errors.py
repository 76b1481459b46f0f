"""What goes wrong, with its places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnostic:
    """A mistake in a workflow, or what it is warned of: file, line and column count from 1."""

    file: str | None
    line: int | None
    column: int | None
    code: str
    message: str
    hint: str | None
    severity: str = "error"

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {self.severity}[{self.code}]: {self.message}{hint}"


class FuselineError(Exception):
    """The command refused or failed: `diagnostics`, `exit_code` (1 an action failed, 2 the input is wrong, 130
    interrupted) and `stderr`, the last lines that it printed."""

    def __init__(
        self,
        message: str,
        *,
        diagnostics: Sequence[Diagnostic] = (),
        exit_code: int | None = None,
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)
        self.exit_code = exit_code
        self.stderr = stderr
