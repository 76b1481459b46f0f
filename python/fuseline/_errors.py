"""What goes wrong, with its places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: Letters that move a cursor or turn the direction of writing; lines and tabulators stay.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """A text of data as a terminal or a page may show it, as the command does."""
    return _UNSEEN.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


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
        return visible(f"{place}: {self.severity}[{self.code}]: {self.message}{hint}")


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
