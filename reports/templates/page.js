"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const hidden = new Set();

  // One rule per predictor: its colour for dots and bars, and whether its marks are shown.
  const sheet = document.head.appendChild(document.createElement("style")).sheet;
  data.labels.forEach((_, i) => {
    sheet.insertRule(`.d${i}{background:var(--c${i % 10})}`, sheet.cssRules.length);
    sheet.insertRule(`tr[data-e="${i}"]{--ec:var(--c${i % 10})}`, sheet.cssRules.length);
  });
  const marks = document.head.appendChild(document.createElement("style"));

  const sortTable = (table, th) => {
    const column = [...th.parentNode.children].indexOf(th);
    const upward = th.textContent.includes("↑");
    const before = th.getAttribute("aria-sort");
    const descending = before ? before === "ascending" : upward;
    for (const other of th.parentNode.children) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const value = (row) => {
      const cell = row.children[column];
      return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
    };
    const text = (row) => row.children[column].textContent.trim();
    const body = table.tBodies[0];
    const numeric = [...body.rows].some((row) => value(row) !== null);
    const rows = [...body.rows].map((row, i) => [row, i]);
    rows.sort(([a, i], [b, j]) => {
      const x = numeric ? value(a) : text(a), y = numeric ? value(b) : text(b);
      if (x === null || y === null) return (x === null) - (y === null) || i - j;  // missing values stay at the end
      const order = numeric ? x - y : x.localeCompare(y);
      return (descending ? -order : order) || i - j;
    });
    body.append(...rows.map(([row]) => row));
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    table.tHead.addEventListener("click", (event) => {
      const th = event.target.closest("th");
      if (th) sortTable(table, th);
    });
  });

  // Tiers of a subset: Holm over its pairs, then the compact letter display (insert and absorb), best first.
  const different = (view, chosen) => {
    const tests = [];
    chosen.forEach((a, i) => chosen.slice(i + 1).forEach((b) => {
      if (view.p[a][b] !== null) tests.push([view.p[a][b], a, b]);
    }));
    tests.sort((x, y) => x[0] - y[0] || x[1] - y[1] || x[2] - y[2]);
    const apart = new Set();
    let largest = 0;
    const family = chosen.length * (chosen.length - 1) / 2;
    tests.forEach(([p, a, b], i) => {
      largest = Math.max(largest, p * (family - i));
      if (largest < 0.05) { apart.add(`${a},${b}`); apart.add(`${b},${a}`); }
    });
    return (a, b) => apart.has(`${a},${b}`);
  };
  const letters = (order, apart) => {
    let groups = [new Set(order)];
    order.forEach((a, i) => order.slice(i + 1).forEach((b) => {
      if (!apart(a, b)) return;
      const next = [];
      for (const group of groups) {
        if (group.has(a) && group.has(b)) {
          for (const gone of [a, b]) { const part = new Set(group); part.delete(gone); next.push(part); }
        } else next.push(group);
      }
      groups = next.filter((g, k) => !next.some((h, m) => m !== k && (h.size > g.size || (h.size === g.size && m < k)) &&
        [...g].every((x) => h.has(x))));
    }));
    const place = new Map(order.map((x, i) => [x, i]));
    const sorted = groups.map((g) => [...g].map((x) => place.get(x)).sort((x, y) => x - y));
    const compare = (g, h) => {
      for (let k = 0; k < Math.min(g.length, h.length); k++) if (g[k] !== h[k]) return g[k] - h[k];
      return g.length - h.length;
    };
    sorted.sort(compare);
    const name = (k) => (k < 26 ? String.fromCharCode(97 + k) : k < 52 ? String.fromCharCode(39 + k) : `(${k})`);
    return new Map(order.map((x, i) => [x, sorted.map((g, k) => (g.includes(i) ? name(k) : "")).join("")]));
  };

  const recompute = (view, table) => {
    const sign = view.better === "higher" ? 1 : -1;
    const chosen = view.labels.map((_, i) => i).filter((i) => !hidden.has(view.labels[i]));
    const order = [...chosen].sort((a, b) => sign * (view.estimate[b] - view.estimate[a]) || a - b);
    const apart = different(view, chosen);
    const tier = letters(order, apart);
    const leads = new Map(chosen.map((i) => [i, 0]));
    const n = view.labels.length, draws = view.draws4 ? view.draws4.length / n : 0;
    for (let d = 0; d < draws && chosen.length > 0; d++) {
      let best = -Infinity, who = [];
      for (const i of chosen) {
        const v = sign * view.draws4[d * n + i];
        if (v > best) { best = v; who = [i]; } else if (v === best) who.push(i);
      }
      for (const i of who) leads.set(i, leads.get(i) + 1 / who.length);
    }
    const at = (row, key) => row.children[[...table.tHead.rows[0].children].findIndex((th) => th.dataset.k === key)];
    for (const row of table.tBodies[0].rows) {
      const i = view.labels.indexOf(data.labels[Number(row.dataset.e)]);
      row.hidden = i < 0 || hidden.has(view.labels[i]);
      if (row.hidden) continue;
      if (row.original === undefined) row.original = [...row.children].map((c) => [c.innerHTML, c.className, c.dataset.v]);
      const whole = chosen.length === view.labels.length;
      if (whole) {
        [...row.children].forEach((c, k) => {
          [c.innerHTML, c.className] = row.original[k];
          if (row.original[k][2] !== undefined) c.dataset.v = row.original[k][2];
        });
        continue;
      }
      const rank = 1 + chosen.filter((j) => sign * (view.estimate[j] - view.estimate[i]) > 0).length;
      const better = chosen.filter((j) => apart(i, j) && sign * (view.estimate[j] - view.estimate[i]) > 0).length;
      const worse = chosen.filter((j) => apart(i, j) && sign * (view.estimate[j] - view.estimate[i]) < 0).length;
      const low = 1 + better, high = chosen.length - worse;
      at(row, "rank").textContent = `${rank} [${low}–${high}]`;
      at(row, "rank").dataset.v = rank;
      at(row, "tier").textContent = tier.get(i);
      at(row, "tier").classList.toggle("best", !apart(order[0], i));
      const wins = chosen.filter((j) => j !== i).map((j) => view.wins[i][j]).filter((w) => w !== null);
      const mean = wins.reduce((x, y) => x + y, 0) / wins.length;
      at(row, "win").textContent = wins.length ? `${Math.round(100 * mean)} %` : "–";
      if (wins.length) at(row, "win").dataset.v = mean;
      at(row, "first").textContent = draws ? `${Math.round(100 * leads.get(i) / draws)} %` : "–";
      if (draws) at(row, "first").dataset.v = leads.get(i) / draws;
    }
  };

  document.querySelectorAll(".board").forEach((board) => {
    const parts = [...board.querySelectorAll(".view")];
    // A table is called group-view, the board around it board-group.
    const views = data.boards[board.id];
    const byTable = parts.map((part) => views[part.querySelector("table").id.slice(board.id.length - 5)]);
    board.querySelectorAll(".views button").forEach((button) => button.addEventListener("click", () => {
      board.querySelectorAll(".views button").forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
      parts.forEach((part) => { part.hidden = part.dataset.view !== button.dataset.view; });
    }));
    const choices = board.querySelector(".choices");
    const names = [...new Set(byTable.flatMap((view) => view.labels))].sort();
    const boxes = [];
    const apply = () => {
      boxes.forEach(([box, label]) => { box.checked = !hidden.has(label); });
      document.dispatchEvent(new Event("predictors"));
    };
    for (const label of names) {
      const line = document.createElement("label"), box = document.createElement("input"), dot = document.createElement("i");
      box.type = "checkbox"; box.checked = true;
      dot.className = `dot d${data.labels.indexOf(label)}`;
      line.append(box, " ", dot, document.createTextNode(label));
      box.addEventListener("change", () => { if (box.checked) hidden.delete(label); else hidden.add(label); apply(); });
      boxes.push([box, label]);
      choices.append(line);
    }
    const all = document.createElement("button");
    all.type = "button"; all.textContent = "show all";
    all.addEventListener("click", () => { hidden.clear(); apply(); });
    choices.append(all);
    document.addEventListener("predictors", () => {
      boxes.forEach(([box, label]) => { box.checked = !hidden.has(label); });
      board.querySelector(".chosen").textContent = hidden.size ? ` (${names.filter((x) => !hidden.has(x)).length} of ${names.length})` : "";
      parts.forEach((part, k) => recompute(byTable[k], part.querySelector("table")));
    });
  });
  document.addEventListener("predictors", () => {
    marks.textContent = [...hidden].map((label) => `.enc${data.labels.indexOf(label)}{display:none}`).join("");
  });
})();
