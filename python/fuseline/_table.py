"""An artifact as a table, for the library that you use."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from fuseline._errors import visible


class Table:
    """An artifact. `to_pandas()`, `to_polars()`, `to_arrow()` need those libraries; `to_dict()` needs numpy alone."""

    def __init__(
        self,
        parquet: bytes,
        rows: list[dict[str, Any]] | None,
        title: str = "",
        *,
        metadata: dict[str, str] | None = None,
        point: dict[str, str] | None = None,
    ) -> None:
        self._parquet = parquet
        self._known_rows = rows
        self.title = title
        #: Of an input of a stage: what is said of the whole table, such as `modality` and `classes` (JSON).
        self.metadata = metadata or {}
        #: Of an input of a stage: the point of the axes that made it.
        self.point = point or {}

    @property
    def _rows(self) -> list[dict[str, Any]]:
        if self._known_rows is None:
            self._known_rows = self.to_arrow().to_pylist()
        return self._known_rows

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._rows[0]) if self._rows else []

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows as dictionaries, which is what `pandas.DataFrame(table)` reads."""
        return iter(self.rows())

    def __getitem__(self, column: str) -> np.ndarray[Any, Any]:
        """One column."""
        if self._rows and column not in self._rows[0]:
            raise KeyError(f"there is no column {column}; there are {', '.join(self.columns)}")
        return np.array([row[column] for row in self._rows])

    def rows(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        return [dict(row) for row in self._rows]

    def to_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Columns as numpy arrays."""
        return {name: self[name] for name in self.columns}

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`."""
        import pyarrow.parquet

        return pyarrow.parquet.read_table(io.BytesIO(self._parquet))

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`: from the Parquet file where pyarrow is there, else from the rows."""
        import pandas

        try:
            return self.to_arrow().to_pandas()
        except ImportError:
            return pandas.DataFrame(self._rows)

    def to_polars(self) -> Any:
        """A `polars.DataFrame`."""
        import polars

        return polars.read_parquet(io.BytesIO(self._parquet))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule interface; needs pyarrow."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_parquet(self, path: str) -> None:
        """Writes the artifact as it is."""
        with open(path, "wb") as file:
            file.write(self._parquet)

    def __repr__(self) -> str:
        lines = [f"<fuseline.Table {self.title}: {len(self)} rows>"]
        lines += [", ".join(f"{name}={value}" for name, value in row.items()) for row in self._rows[:5]]
        return visible("\n".join([*lines, "..."] if len(self) > 5 else lines))

    def _repr_html_(self) -> str:
        def cell(value: object) -> str:
            return html.escape(f"{value:.4g}" if isinstance(value, float) else visible(str(value)))

        head = "".join(f"<th>{html.escape(visible(name))}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{cell(value)}</td>" for value in row.values()) + "</tr>" for row in self._rows[:20]
        )
        more = f"<p>{len(self) - 20} more rows</p>" if len(self) > 20 else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
