"use strict";
// What every table and figure can do: sort, save itself as CSV, say what is under the pointer, be linked to.
const make = (name, attributes = {}, ...inside) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...inside.filter((part) => part !== null));
  return element;
};
// A name with the places where its line may break.
const named = (label) => {
  const out = document.createElement("span");
  out.className = "name";
  for (const part of label.split(/(?<=[,[+_/=])/)) out.append(part, make("wbr"));
  out.lastChild?.remove();
  return out;
};

const Tables = (() => {
  const sort = (table, th) => {
    const column = [...th.parentNode.children].indexOf(th);
    const before = th.getAttribute("aria-sort");
    const descending = before ? before === "ascending" : th.textContent.includes("↑");
    for (const other of th.parentNode.children) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const value = (row) => { const cell = row.children[column]; return cell.dataset.v === undefined ? null : Number(cell.dataset.v); };
    const text = (row) => row.children[column].textContent.trim();
    const body = table.tBodies[0], numeric = [...body.rows].some((row) => value(row) !== null);
    const rows = [...body.rows].map((row, i) => [row, i]);
    rows.sort(([a, i], [b, j]) => {
      const x = numeric ? value(a) : text(a), y = numeric ? value(b) : text(b);
      if (x === null || y === null) return (x === null) - (y === null) || i - j;  // missing values stay at the end
      return (numeric ? x - y : x.localeCompare(y)) * (descending ? -1 : 1) || i - j;
    });
    body.append(...rows.map(([row]) => row));
  };
  document.addEventListener("click", (event) => {
    const th = event.target.closest("table.sortable th");
    if (th) sort(th.closest("table"), th);
  });

  // ---- CSV: what is shown, and for a value with an interval its ends in columns of their own ----

  const field = (text) => {
    const safe = /^[=+\-@\t]/.test(text) && !/^[+-]?[\d.]/.test(text) ? `'${text}` : text;  // no formula of a stranger's name
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const csv = (table) => {
    const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    const lines = [[]];
    [...table.tHead.rows[table.tHead.rows.length - 1].cells].forEach((th, k) => {
      const ends = rows.some((row) => row.cells[k].dataset.low !== undefined);
      const title = th.dataset.t || th.textContent.trim();
      lines[0].push(title, ...(ends ? [`${title} low`, `${title} high`] : []));
      rows.forEach((row, i) => {
        const cell = row.cells[k], value = ends && cell.dataset.v !== undefined ? cell.dataset.v : cell.innerText.trim();
        (lines[i + 1] ??= []).push(value, ...(ends ? [cell.dataset.low ?? "", cell.dataset.high ?? ""] : []));
      });
    });
    return lines.map((line) => line.map(field).join(",")).join("\n") + "\n";
  };
  const save = (table) => {
    const link = make("a", {href: URL.createObjectURL(new Blob([csv(table)], {type: "text/csv"})), download: `${table.id || "table"}.csv`});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const button = (table) => make("button", {type: "button", class: "csv", title: "save this table as CSV", on: {click: () => save(table)}}, "CSV");
  const dress = (table) => {
    const box = table.closest(".tablebox");
    if (!box || box.querySelector(".csv")) return;
    const caption = box.querySelector(".caption") ?? box.insertBefore(make("p", {class: "caption"}), box.firstChild);
    if (table.id && !caption.querySelector(".anchor")) caption.append(" ", make("a", {class: "anchor", href: `#${table.id}`, title: "link to this"}, "#"));
    caption.append(" ", button(table));
  };

  // ---- the rows of one text of a column ----

  const filters = (table) => {
    const heads = [...table.tHead.rows[0].cells], rows = [...table.tBodies[0].rows], chosen = new Map();
    const bar = make("p", {class: "controls"});
    heads.forEach((th, k) => {
      if (th.dataset.choose === undefined) return;
      const texts = [...new Set(rows.map((row) => row.cells[k].innerText.trim()))].sort();
      if (texts.length < 2) return;
      const list = make("select", {on: {change: () => {
        chosen.set(k, list.value);
        rows.forEach((row) => { row.hidden = [...chosen].some(([column, text]) => text && row.cells[column].innerText.trim() !== text); });
      }}}, make("option", {value: ""}, "all"), ...texts.map((text) => make("option", {value: text}, text)));
      bar.append(make("label", {}, `${th.dataset.t} `, list));
    });
    if (bar.childNodes.length) table.closest(".tablebox").prepend(bar);
  };

  // ---- what is under the pointer ----

  const note = document.body.appendChild(make("div", {id: "tip", role: "status", hidden: true}));
  const near = (event) => {
    const here = event.target.closest?.("[data-tip]");
    const picture = event.target.closest?.("svg");
    if (here || !picture) return here;
    let best = null, least = 16;
    for (const mark of picture.querySelectorAll("[data-tip]")) {
      const box = mark.getBoundingClientRect();
      const away = Math.hypot(event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2);
      if (box.width && away < least) { best = mark; least = away; }
    }
    return best;
  };
  document.addEventListener("pointermove", (event) => {
    const mark = near(event);
    note.hidden = !mark;
    if (!mark) return;
    note.textContent = mark.dataset.tip;
    note.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - note.offsetWidth - 8))}px`;
    note.style.top = `${event.clientY + 18 + note.offsetHeight > innerHeight ? event.clientY - note.offsetHeight - 8 : event.clientY + 18}px`;
  });
  document.addEventListener("pointerleave", () => { note.hidden = true; });
  return {csv, dress, filters};
})();
