"use strict";
(() => {
  const table = document.getElementById("slides");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const form = document.getElementById("filters");
  const shown = document.getElementById("shown");

  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    return cell.classList.contains("number") ? (text === "" ? null : Number(text)) : text.toLowerCase();
  };
  // Empty cells come last in both directions.
  const compare = (first, second, sign) => {
    if (first === null || second === null) return (first === null) - (second === null);
    return sign * (first < second ? -1 : first > second ? 1 : 0);
  };
  const sort = (head) => {
    const descends = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descends ? "descending" : "ascending");
    const keys = new Map(rows.map((row) => [row, value(row, head.cellIndex)]));
    rows.sort((a, b) => compare(keys.get(a), keys.get(b), descends ? -1 : 1));
    body.append(...rows);
  };
  for (const head of table.tHead.rows[0].cells) {
    if (head.dataset.fixed !== undefined) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }

  const filter = () => {
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = form.elements.status.value;
    const warned = form.elements.warned.checked;
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !(words.every((word) => text.includes(word)) && (!status || row.dataset.status === status)
        && (!warned || row.dataset.warned === "yes"));
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${rows.length} slides shown`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  filter();
})();
