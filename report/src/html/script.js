"use strict";
(() => {
  // What a unit is worth, so that 1.2 s stands above 395 ms, and 3.4 T above 200 G.
  const prefixes = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3, Ti: 1024 ** 4 };
  const spans = { ns: 1e-9, "\u00b5s": 1e-6, us: 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, d: 86400, days: 86400, y: 31536000 };
  const worth = (unit) => {
    if (unit in spans) return spans[unit];
    const parts = unit.match(/^(Ki|Mi|Gi|Ti|k|M|G|T|P)(?:B|W|bit|tok)?$/);
    return parts ? prefixes[parts[1]] : 1;
  };
  const number = (text) => {
    const plain = text.replace(/,/g, "").replace("\u2212", "-").trim();
    const parts = plain.match(/^[\u2264\u2265\u00b1\s]*([+-]?\d+(?:\.\d+)?)(?!\d*-\d)\s*([^\s\d]*)/);
    return parts ? parseFloat(parts[1]) * worth(parts[2].split(/[\/\u2013\u2026]/)[0]) : null;
  };
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if ((x === null) !== (y === null)) return x === null ? 1 : -1;
    if (x !== y) return x - y;
    return a.localeCompare(b);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows];
        rows.sort((a, b) => compare(a.cells[column].textContent, b.cells[column].textContent) * (down ? -1 : 1));
        body.append(...rows);
      });
    });
  }
  const box = document.getElementById("search");
  const found = document.getElementById("found");
  box.addEventListener("input", () => {
    const word = box.value.trim().toLowerCase();
    let hits = 0;
    for (const row of document.querySelectorAll("tbody tr, main li")) {
      const shown = word === "" || row.textContent.toLowerCase().includes(word);
      row.hidden = !shown;
      if (shown && word !== "") hits += 1;
    }
    for (const part of document.querySelectorAll("main details")) if (word !== "") part.open = true;
    found.textContent = word === "" ? "" : `${hits} rows`;
  });
  // Numbers that say where they come from: each table is one stop of the tab key, arrows move within it, Escape hides what is said.
  const told = "[aria-description]";
  const stops = (table) => [...table.querySelectorAll(told)];
  for (const table of document.querySelectorAll("table")) stops(table).slice(1).forEach((cell) => { cell.tabIndex = -1; });
  const beside = (cell, key) => {
    const all = stops(cell.closest("table"));
    const step = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
    const same = key === "ArrowUp" || key === "ArrowDown" ? all.filter((other) => other.cellIndex === cell.cellIndex) : all;
    const open = same.filter((other) => other === cell || other.offsetParent);
    return open[open.indexOf(cell) + step];
  };
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.documentElement.classList.add("quiet");
    const cell = document.activeElement;
    if (!event.key.startsWith("Arrow") || !cell.matches("td" + told)) return;
    const next = beside(cell, event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
  addEventListener("focusin", (event) => {
    if (!event.target.matches("td" + told)) return;
    for (const stop of event.target.closest("table").querySelectorAll(told + '[tabindex="0"]')) stop.tabIndex = -1;
    event.target.tabIndex = 0;
  });
  for (const kind of ["focusin", "pointerover"]) {
    addEventListener(kind, (event) => { if (event.target.closest(told)) document.documentElement.classList.remove("quiet"); });
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
})();
