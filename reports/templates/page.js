"use strict";
// What a reader chooses (metric, benchmark, budget, predictors, a pair), its place in the address, and the parts that follow.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const main = data.main, state = {metric: main, benchmark: "", budget: "", scope: "", see: "", a: "", b: "", x: "", y: "", hide: new Set()};
  const keys = Object.keys(state).filter((key) => key !== "hide");
  const original = {...state};
  const untouched = () => ["metric", "benchmark", "budget", "scope"].every((key) => state[key] === original[key]) && !state.hide.size;
  const place = (label) => data.labels.indexOf(label);
  const followers = [];

  // ---- the address: #anchor?metric=...&hide=... ----

  const pack = () => {
    const parts = keys.filter((key) => state[key] !== original[key]).map((key) => `${key}=${encodeURIComponent(state[key])}`);
    if (state.hide.size) parts.push(`hide=${[...state.hide].map(encodeURIComponent).join(",")}`);
    return parts.join("&");
  };
  const anchor = () => location.hash.slice(1).split("?")[0];
  const unpack = () => {
    for (const part of (location.hash.split("?")[1] ?? "").split("&")) {
      const [key, text = ""] = part.split("=");
      try {
        if (key === "hide") state.hide = new Set(text.split(",").map(decodeURIComponent).filter((label) => place(label) >= 0));
        else if (keys.includes(key)) state[key] = decodeURIComponent(text);
      } catch { /* not an address of this page */ }
    }
  };
  const remember = () => { const words = pack(); history.replaceState(null, "", `#${anchor()}${words ? `?${words}` : ""}`); };
  const reveal = (id) => {
    const goal = id && document.getElementById(id);
    if (!goal) return;
    for (let up = goal; up; up = up.parentElement) {
      if (up.tagName === "DETAILS") up.open = true;
      if (up.dataset?.option !== undefined) change({see: up.dataset.option});
    }
    goal.scrollIntoView();
  };
  const change = (what) => { Object.assign(state, what); followers.forEach((follow) => follow()); remember(); };

  // ---- small parts ----

  const select = (title, key, options) => {
    const box = make("select", {"aria-label": title, on: {change: () => change({[key]: box.value, ...(key === "benchmark" && box.value ? {see: box.value} : {})})}});
    for (const [value, text] of options) box.append(make("option", {value}, text));
    followers.push(() => { box.value = options.some(([value]) => value === state[key]) ? state[key] : options[0][0]; });
    return make("label", {}, `${title} `, box);
  };
  const shown = (group) => group.labels.map((_, i) => i).filter((i) => !state.hide.has(group.labels[i]));
  const metricOf = (group) => group.metrics[state.metric] ?? group.metrics[main];
  const tasksOf = (group, benchmark = state.benchmark, budget = state.budget) => group.tasks.map((_, i) => i).filter((i) =>
    (!benchmark || group.tasks[i].benchmark === benchmark) && (!budget || String(group.tasks[i].budget) === budget));
  const unique = (list) => [...new Set(list)];
  const benchmarks = (group) => unique(group.tasks.map((t) => t.benchmark)).sort();
  const budgets = (group) => unique(group.tasks.map((t) => t.budget)).sort((a, b) => a - b).map(String);
  const leaders = new Map();
  const leader = (group, n) => {
    if (!leaders.has(group)) leaders.set(group, Stats.ordered(Stats.joint(group, group.metrics[main], tasksOf(group, "", ""), false), group.labels.map((_, i) => i)));
    return group.labels[leaders.get(group)[Math.min(n, group.labels.length - 1)]];
  };
  const dotted = (label) => [make("i", {class: `dot d${place(label)}`}), named(label)];
  const ends = (value) => (value.low === null ? {} : {"data-low": value.low.toPrecision(6), "data-high": value.high.toPrecision(6)});
  const chosenText = () => [state.metric, state.benchmark || "all benchmarks", state.budget ? `${state.budget} labels` : "all budgets"].join(", ");
  const pText = (p) => (p === null ? "no test" : p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`);

  document.querySelectorAll(".tools").forEach((bar) => {
    const group = data.boards[bar.dataset.board];
    if (!group) return;
    const spaces = unique(group.tasks.map((t) => t.space)).length;
    bar.append(select("Metric", "metric", Object.keys(group.metrics).map((name) => [name, name])));
    if (benchmarks(group).length > 1) bar.append(select("Benchmark", "benchmark", [["", "all"], ...benchmarks(group).map((b) => [b, b])]));
    if (budgets(group).length > 1) bar.append(select("Labels", "budget", [["", "all"], ...budgets(group).map((b) => [b, b])]));
    if (spaces > 1 && bar.dataset.scope !== undefined) bar.append(select("About", "scope", [["", "these benchmarks"], ["spaces", "search spaces like these"]]));
    const reset = make("button", {type: "button", on: {click: () => { state.hide.clear(); change(original); }}}, "reset");
    followers.push(() => { reset.hidden = !pack(); });
    bar.append(reset);
  });

  // ---- predictors by benchmark and by budget ----

  const matrix = (group, box) => {
    const metric = metricOf(group), chosen = shown(group), columns = [];
    columns.push([state.benchmark || "mean", tasksOf(group)]);
    if (!state.benchmark && benchmarks(group).length > 1) for (const b of benchmarks(group)) columns.push([b, tasksOf(group, b)]);
    if (!state.budget && budgets(group).length > 1) for (const n of budgets(group)) columns.push([`${n} labels`, tasksOf(group, state.benchmark, n)]);
    const results = columns.map(([, tasks]) => Stats.joint(group, metric, tasks, false));
    const first = results.find((found) => found !== null);
    const table = make("table", {class: "matrix sortable", id: box.dataset.table});
    table.append(make("thead", {}, make("tr", {}, make("th", {class: "t"}, make("button", {type: "button"}, "predictor")),
      ...columns.map(([title]) => make("th", {class: "n", "data-t": title}, make("button", {type: "button"}, named(title)))))));
    const body = table.appendChild(make("tbody"));
    const looks = results.map((found) => {
      if (!found) return null;
      const order = Stats.ordered(found, chosen), {apart, p} = Stats.different(found, chosen);
      const all = chosen.map((i) => Stats.sign(metric) * found.estimate[i]), low = Math.min(...all), high = Math.max(...all);
      return {order, apart, p, shade: (i) => (high > low ? (Stats.sign(metric) * found.estimate[i] - low) / (high - low) : 0)};
    });
    for (const i of first ? Stats.ordered(first, chosen) : []) {
      const row = body.appendChild(make("tr", {"data-e": place(group.labels[i])}, make("td", {class: "t"}, ...dotted(group.labels[i]))));
      columns.forEach(([title], k) => {
        if (!results[k]) { row.append(make("td", {class: "n missing"}, "–")); return; }
        const value = Stats.contrast(results[k], i), {order, apart, p, shade} = looks[k], best = order[0] === i, tied = !best && ["spaces", "splits"].includes(results[k].kind) && !apart(order[0], i);
        const said = best ? "highest mean" : `${tied ? "no significant difference" : "differs significantly"} from ${group.labels[order[0]]} (${pText(p(order[0], i))})`;
        row.append(make("td", {class: `n heat${best ? " best" : tied ? " tied" : ""}`, style: `--s:${shade(i).toFixed(2)}`, "data-v": value.estimate.toPrecision(6), ...ends(value),
          "data-tip": `${group.labels[i]}, ${title}: ${Stats.rounded(value)}; ${said}`}, `${Stats.rounded(value, {bare: true})} ${best ? "●" : tied ? "○" : ""}`.trim()));
      });
    }
    box.querySelector("table").replaceWith(table);
    box.querySelector(".caption").replaceChildren(`Now shown: ${chosenText()}; ${chosen.length} of ${group.labels.length} predictors. ● best of its column; ○ no significant difference from it.`);
  };

  // ---- the leaderboard ----

  const board = (group, box) => {
    const table = box.querySelector("table"), heads = [...table.tHead.rows[0].cells], metric = metricOf(group), chosen = shown(group);
    const result = Stats.joint(group, metric, tasksOf(group), state.scope === "spaces" && !state.benchmark);
    const say = box.querySelector(".chosen");
    say.textContent = `Now shown: ${chosenText()}${state.scope ? ", as a sample of search spaces" : ""}; ${chosen.length} of ${group.labels.length} predictors. ` + (result ?
      "Ranks, tiers and tests are those of this table; decide before looking." : "No mean: this metric is in the unit of its target; choose one benchmark.");
    heads.forEach((th) => { th.removeAttribute("aria-sort"); if (th.dataset.k === "value") { th.dataset.t = state.metric; th.querySelector("button").textContent = `${state.metric} ${metric.better === "higher" ? "↑" : "↓"}`; } });
    const rows = new Map([...table.tBodies[0].rows].map((row) => [data.labels[Number(row.dataset.e)], row]));
    group.labels.forEach((label, i) => { const row = rows.get(label); if (row) row.hidden = !chosen.includes(i); });
    if (!result) { for (const row of rows.values()) row.hidden = true; return; }
    const order = Stats.ordered(result, chosen), {apart} = Stats.different(result, chosen), tier = Stats.letters(order, apart), lead = Stats.firsts(result, chosen);
    const values = new Map(chosen.map((i) => [i, Stats.contrast(result, i)]));
    const low = Math.min(...[...values.values()].map((v) => v.low ?? v.estimate)), high = Math.max(...[...values.values()].map((v) => v.high ?? v.estimate));
    for (const i of order) {
      const row = rows.get(group.labels[i]);
      if (!row) continue;
      const at = (key) => row.cells[heads.findIndex((th) => th.dataset.k === key)];
      const put = (key, text, value) => { const cell = at(key); if (!cell) return; cell.textContent = text; if (value === null) delete cell.dataset.v; else cell.dataset.v = value; };
      const ahead = (j) => Stats.sign(metric) * (result.estimate[j] - result.estimate[i]);
      const rank = 1 + chosen.filter((j) => ahead(j) > 0).length;
      const better = chosen.filter((j) => apart(i, j) && ahead(j) > 0).length, worse = chosen.filter((j) => apart(i, j) && ahead(j) < 0).length;
      put("rank", `${rank} [${1 + better}–${chosen.length - worse}]`, rank);
      const value = values.get(i), cell = at("value");
      put("value", Stats.rounded(value), value.estimate.toPrecision(6));
      if (value.low !== null) {
        [cell.dataset.low, cell.dataset.high] = [value.low.toPrecision(6), value.high.toPrecision(6)];
        const bar = make("b", {style: `left:${(100 * (value.low - low) / (high - low)).toFixed(1)}%;right:${(100 * (high - value.high) / (high - low)).toFixed(1)}%`});
        if (high > low) cell.append(make("span", {class: "bar"}, bar));
      }
      at("tier").textContent = tier.get(i);
      at("tier").classList.toggle("best", !apart(order[0], i));
      const won = Stats.wins(result, i, chosen);
      put("win", won === null ? "–" : `${Math.round(100 * won)} %`, won);
      put("first", lead ? `${Math.round(100 * lead.get(i))} %` : "–", lead ? lead.get(i) : null);
      heads.filter((th) => th.dataset.k.startsWith("m")).forEach((th) => {
        const other = group.metrics[th.dataset.t], found = other && Stats.joint(group, other, tasksOf(group), false);
        const one = found && Stats.contrast(found, i);
        put(th.dataset.k, one ? Stats.rounded(one, {bare: true}) : "–", one ? one.estimate : null);
      });
      table.tBodies[0].append(row);
    }
  };

  // ---- pair by pair ----

  const pairs = (group, box) => {
    const metric = metricOf(group), chosen = shown(group), result = Stats.joint(group, metric, tasksOf(group), false), inside = box.querySelector(".inside");
    inside.replaceChildren();
    if (!result) { inside.append("No mean over several targets: choose one benchmark."); return; }
    const order = Stats.ordered(result, chosen), {apart, p} = Stats.different(result, chosen);
    const all = order.flatMap((i) => order.map((j) => Math.abs(result.estimate[i] - result.estimate[j]))), most = Math.max(...all, 1e-12);
    const table = make("table", {class: "pairs", id: box.dataset.table});
    table.append(make("thead", {}, make("tr", {}, make("th", {class: "t"}, "row − column"), ...order.map((j) => make("th", {class: "n", "data-t": group.labels[j]}, make("span", {}, named(group.labels[j])))))));
    const body = table.appendChild(make("tbody"));
    for (const i of order) {
      const row = body.appendChild(make("tr", {}, make("td", {class: "t"}, ...dotted(group.labels[i]))));
      for (const j of order) {
        if (i === j) { row.append(make("td", {class: "n"})); continue; }
        const value = Stats.contrast(result, i, j), good = Stats.sign(metric) * value.estimate > 0, text = Stats.rounded(value, {signed: true, bare: true});
        row.append(make("td", {class: `n ${good ? "up" : "down"}${apart(i, j) ? "" : " tie"}`, style: `--s:${(Math.abs(value.estimate) / most).toFixed(2)}`, "data-v": value.estimate.toPrecision(6), ...ends(value),
          "data-tip": `${group.labels[i]} − ${group.labels[j]}: ${Stats.rounded(value, {signed: true})}, ${pText(p(i, j))} after Holm`,
          on: {click: () => change({a: group.labels[i], b: group.labels[j]})}}, text.replace(/^([+-]?)0\./, "$1.")));
      }
    }
    inside.append(make("div", {class: "scroll"}, table));
  };

  // Two predictors, setting by setting.
  const duel = (group, box) => {
    const metric = metricOf(group), a = group.labels.includes(state.a) ? state.a : leader(group, 0), b = group.labels.includes(state.b) ? state.b : leader(group, 1);
    const [i, j] = [group.labels.indexOf(a), group.labels.indexOf(b)], inside = box.querySelector(".inside");
    box.querySelectorAll("select").forEach((one, n) => { one.value = [a, b][n]; });
    inside.replaceChildren();
    if (i === j) { inside.append("Choose two different predictors."); return; }
    const wide = budgets(group), cells = benchmarks(group).map((name) => wide.map((n) => {
      const found = Stats.joint(group, metric, tasksOf(group, name, n), false);
      return found && Stats.contrast(found, i, j);
    }));
    const adjusted = Stats.holm(cells.flat().map((cell) => (cell ? cell.p : null)));
    const table = make("table", {class: "pairs duel", id: box.dataset.table});
    table.append(make("thead", {}, make("tr", {}, make("th", {class: "t"}, `${state.metric}: difference`), ...wide.map((n) => make("th", {class: "n"}, `${n} labels`)))));
    const body = table.appendChild(make("tbody"));
    benchmarks(group).forEach((name, r) => {
      const row = body.appendChild(make("tr", {}, make("td", {class: "t"}, named(name))));
      cells[r].forEach((value, k) => {
        if (!value) { row.append(make("td", {class: "n missing"}, "–")); return; }
        const p = adjusted[r * wide.length + k], sure = p !== null && p < Stats.ALPHA;
        row.append(make("td", {class: `n ${Stats.sign(metric) * value.estimate > 0 ? "up" : "down"}${sure ? "" : " tie"}`, style: "--s:.35", "data-v": value.estimate.toPrecision(6), ...ends(value),
          "data-tip": `${a} − ${b} on ${name} at ${wide[k]} labels: ${Stats.rounded(value, {signed: true})}, ${pText(p)} after Holm over these settings`}, Stats.rounded(value, {signed: true})));
      });
    });
    inside.append(make("div", {class: "scroll"}, table));
  };

  const draw = {matrix, pairs, duel};
  document.querySelectorAll(".live").forEach((box) => {
    const group = data.boards[box.dataset.board];
    if (!group || group.labels.length < 2) return;
    const kept = box.querySelector(".inside").innerHTML;
    if (box.dataset.kind === "duel") {
      const names = [...group.labels].sort();
      const one = (key, title) => { const list = make("select", {"aria-label": title, on: {change: () => change({[key]: list.value})}}, ...names.map((name) => make("option", {value: name}, name))); return list; };
      box.prepend(make("p", {class: "controls"}, one("a", "first predictor"), " minus ", one("b", "second predictor")));
    }
    followers.push(() => {
      if (box.dataset.kind === "matrix" && untouched()) box.querySelector(".inside").innerHTML = kept;
      else draw[box.dataset.kind](group, box);
      const table = box.querySelector("table");
      box.querySelectorAll(".csv").forEach((old) => old.remove());
      if (table) Tables.dress(table);
    });
  });
  document.querySelectorAll(".board").forEach((box) => {
    const group = data.boards[box.id], table = box.querySelector("table"), say = box.querySelector(".chosen");
    if (!group) return;
    const kept = {head: table.tHead.innerHTML, body: table.tBodies[0].innerHTML};
    const choices = box.querySelector(".choices"), boxes = [];
    for (const label of [...group.labels].sort()) {
      const tick = make("input", {type: "checkbox", on: {change: () => { if (tick.checked) state.hide.delete(label); else state.hide.add(label); change({}); }}});
      boxes.push([tick, label]);
      choices.append(make("label", {}, tick, " ", ...dotted(label)));
    }
    choices.append(make("button", {type: "button", on: {click: () => { state.hide.clear(); change({}); }}}, "show all"));
    followers.push(() => {
      boxes.forEach(([tick, label]) => { tick.checked = !state.hide.has(label); });
      table.tHead.innerHTML = kept.head; table.tBodies[0].innerHTML = kept.body; say.textContent = "";
      if (!untouched()) board(group, box);
    });
  });

  // ---- one of several benchmarks; the leader beside two others ----

  document.querySelectorAll(".choice").forEach((box) => {
    const options = [...box.querySelectorAll(":scope > [data-option]")], titles = options.map((option) => option.dataset.option);
    const list = make("select", {"aria-label": box.dataset.title, on: {change: () => change({see: list.value})}}, ...titles.map((title) => make("option", {value: title}, title)));
    if (options.length > 1) box.prepend(make("p", {class: "controls"}, make("label", {}, `${box.dataset.title} `, list)));
    followers.push(() => {
      list.value = titles.includes(state.see) ? state.see : titles[0];
      options.forEach((option) => { option.hidden = option.dataset.option !== list.value; });
    });
  });
  document.querySelectorAll("figure[data-pick]").forEach((figure) => {
    const panels = [...figure.querySelectorAll(".panel")], names = panels.map((panel) => data.labels[Number(panel.dataset.e)]);
    if (panels.length <= 3) return;
    const list = (key, at) => {
      const box = make("select", {"aria-label": "a predictor beside the first", on: {change: () => change({[key]: box.value})}}, ...names.slice(1).map((name) => make("option", {value: name}, name)));
      return [box, key, at];
    };
    const lists = [list("x", 1), list("y", 2)];
    figure.prepend(make("p", {class: "controls"}, make("b", {}, named(names[0])), " beside ", lists[0][0], " and ", lists[1][0]));
    followers.push(() => {
      const chosen = lists.map(([box, key, at]) => { box.value = names.indexOf(state[key]) > 0 ? state[key] : names[at]; return box.value; });
      panels.forEach((panel, k) => { panel.hidden = k > 0 && !chosen.includes(names[k]); });
    });
  });

  // Marks of hidden predictors, and one rule per predictor for its colour.
  const sheet = document.head.appendChild(make("style")).sheet;
  data.labels.forEach((_, i) => {
    sheet.insertRule(`.d${i}{background:var(--c${i % 10})}`, sheet.cssRules.length);
    sheet.insertRule(`tr[data-e="${i}"]{--ec:var(--c${i % 10})}`, sheet.cssRules.length);
  });
  const marks = document.head.appendChild(make("style"));
  followers.push(() => { marks.textContent = [...state.hide].map((label) => `.enc${place(label)}{display:none}`).join(""); });

  document.querySelectorAll("table[id]").forEach(Tables.dress);
  document.querySelectorAll("table:has(th[data-choose])").forEach(Tables.filters);
  document.querySelectorAll("button.copy").forEach((button) => button.addEventListener("click", () => navigator.clipboard?.writeText(button.parentElement.querySelector("code").textContent)));
  unpack();
  followers.forEach((follow) => follow());
  reveal(anchor());
  addEventListener("hashchange", () => { if (location.hash.includes("?")) { unpack(); followers.forEach((follow) => follow()); } reveal(anchor()); remember(); });
})();
