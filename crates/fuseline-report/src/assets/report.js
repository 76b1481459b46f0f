"use strict";
// A region whose content is wider than it says so.
(function () {
  const regions = Array.from(document.querySelectorAll(".scrolling"));
  function mark() {
    regions.forEach(function (region) {
      region.classList.toggle("overflows", region.scrollWidth > region.clientWidth + 1);
    });
  }
  mark();
  window.addEventListener("resize", mark);
  document.addEventListener("toggle", mark, true);
}());
// Sorting and filtering of the findings. Without it the table is whole and in its declared order.
// No ampersand and no less-than sign: the page stays well-formed XML.
(function () {
  const table = document.getElementById("findings-table");
  if (table === null) { return; }
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const collator = new Intl.Collator(undefined, { numeric: true });

  function value(row, column) {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) { return cell.textContent.trim(); }
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  }
  function compare(one, other) {
    if (typeof one === "number" ? typeof other === "number" : false) { return one - other; }
    return collator.compare(one, other);
  }
  function sort(column, direction) {
    heads.forEach(function (head, index) {
      if (index === column) {
        head.setAttribute("aria-sort", direction === 0 ? "none" : direction > 0 ? "ascending" : "descending");
      } else {
        head.removeAttribute("aria-sort");
      }
    });
    const sorted = rows.slice();
    if (direction !== 0) {
      sorted.sort(function (a, b) {
        const one = value(a, column);
        const other = value(b, column);
        // What was not measured comes last, whatever the direction.
        if (one === null) { return other === null ? 0 : 1; }
        if (other === null) { return -1; }
        return direction * compare(one, other);
      });
    }
    sorted.forEach(function (row) { body.appendChild(row); });
  }
  // One row is in order, and a few are read sooner than a filter is set.
  (rows.length > 1 ? heads : []).forEach(function (head, column) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = head.title;
    while (head.firstChild) { button.appendChild(head.firstChild); }
    head.appendChild(button);
    button.addEventListener("click", function () {
      const now = head.getAttribute("aria-sort");
      const first = head.classList.contains("number") ? -1 : 1;
      const direction = now === "ascending" ? (first > 0 ? -1 : 0) : now === "descending" ? (first > 0 ? 0 : 1) : first;
      sort(column, direction);
    });
  });

  const text = document.getElementById("filter-text");
  const control = document.getElementById("filter-control");
  const verdict = document.getElementById("filter-verdict");
  const count = document.getElementById("filter-count");
  const haystacks = new Map(rows.map(function (row) { return [row, row.textContent.toLowerCase()]; }));
  function filter() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach(function (row) {
      const fits = [
        words.every(function (word) { return haystacks.get(row).includes(word); }),
        control.value === "" ? true : row.dataset.control === control.value,
        verdict.value === "" ? true : row.dataset.verdict === verdict.value
      ].every(Boolean);
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    count.textContent = shown + " of " + rows.length + (rows.length === 1 ? " row" : " rows");
  }
  [text, control, verdict].forEach(function (input) { input.addEventListener("input", filter); });
  document.getElementById("filters").hidden = 6 > rows.length;
  filter();

  // A link from the grid leads to a row that a filter may hide.
  window.addEventListener("hashchange", function () {
    const target = document.getElementById(location.hash.slice(1));
    if (target === null) { return; }
    if (target.hidden) {
      text.value = ""; control.value = ""; verdict.value = "";
      filter();
      target.scrollIntoView();
    }
  });

  // What is folded is printed too.
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (details) { details.open = true; });
  });
}());
