"use strict";
// The statistics of archrank.eval.statistics over the trials that the page carries, for what a reader chooses to see.
const Stats = (() => {
  const ALPHA = 0.05;

  // ---- Student's t, by the incomplete beta function ----

  const logGamma = (x) => {
    const c = [76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 1.208650973866179e-3, -5.395239384953e-6];
    const t = x + 5.5 - (x + 0.5) * Math.log(x + 5.5);
    return -t + Math.log(2.5066282746310005 * c.reduce((sum, v, i) => sum + v / (x + i + 1), 1.000000000190015) / x);
  };
  const fraction = (a, b, x) => {
    let c = 1, d = 1 / (1 - (a + b) * x / (a + 1) || 1e-300), h = d;
    for (let m = 1; m <= 500; m++) {
      for (const top of [m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))]) {
        d = 1 / (1 + top * d || 1e-300); c = 1 + top / c || 1e-300; h *= d * c;
      }
      if (Math.abs(d * c - 1) < 1e-14) break;
    }
    return h;
  };
  const beta = (a, b, x) => {
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x));
    return x < (a + 1) / (a + b + 2) ? front * fraction(a, b, x) / a : 1 - front * fraction(b, a, 1 - x) / b;
  };
  const twoSided = (t, df) => beta(Math.min(df, 1e7) / 2, 0.5, Math.min(df, 1e7) / (Math.min(df, 1e7) + t * t));
  const quantiles = new Map();
  const quantile = (df) => {  // of the 95 % interval
    const key = Math.round(df * 1e6);
    if (!quantiles.has(key)) {
      let low = 0, high = 1e4;
      for (let i = 0; i < 80; i++) { const middle = (low + high) / 2; if (twoSided(middle, df) > ALPHA) low = middle; else high = middle; }
      quantiles.set(key, (low + high) / 2);
    }
    return quantiles.get(key);
  };

  // ---- the aggregate of every predictor over chosen settings ----

  // group: labels, tasks [T] of {benchmark, space, budget}, seeds; metric: x [L*T*S], error [L*T], shared [T].
  const joint = (group, metric, chosen, spacesAreUnits) => {
    const L = group.labels.length, T = group.tasks.length, S = group.seeds;
    const at = (l, t, s) => metric.x[(l * T + t) * S + s];
    const seeds = (t) => [...Array(S).keys()].filter((s) => at(0, t, s) !== null);
    let tasks = chosen.filter((t) => seeds(t).length);
    if (!tasks.length) return null;
    if (metric.target && new Set(tasks.map((t) => group.tasks[t].benchmark)).size > 1) return null;
    const spacesOf = (list) => [...new Set(list.map((t) => group.tasks[t].space))].sort();
    const overSpaces = spacesAreUnits && spacesOf(tasks).length > 1;
    const several = tasks.filter((t) => seeds(t).length > 1);
    if (!overSpaces && spacesOf(several).length === spacesOf(tasks).length) tasks = several;
    const spaces = spacesOf(tasks), K = spaces.length;
    const space = tasks.map((t) => spaces.indexOf(group.tasks[t].space));
    const same = (t, other) => ["space", "benchmark"].every((key) => group.tasks[t][key] === group.tasks[other][key]);
    const share = tasks.map((t) => 1 / tasks.filter((other) => same(t, other)).length);
    const total = spaces.map((_, k) => share.reduce((sum, w, i) => sum + (space[i] === k ? w : 0), 0));
    const weight = share.map((w, i) => w / total[space[i]]);
    const mean = (l, t) => seeds(t).reduce((sum, s) => sum + at(l, t, s), 0) / seeds(t).length;
    const means = group.labels.map((_, l) => tasks.map((t) => mean(l, t)));
    const bySpace = means.map((row) => spaces.map((_, k) => row.reduce((sum, v, i) => sum + (space[i] === k ? weight[i] * v : 0), 0)));
    const estimate = bySpace.map((row) => row.reduce((x, y) => x + y, 0) / K);
    const largest = Math.max(...tasks.flatMap((t) => group.labels.flatMap((_, l) => seeds(t).map((s) => Math.abs(at(l, t, s))))));
    const result = {group, metric, tasks, weight, K, at, seeds, estimate, largest, unit: [], df: []};
    const units = spaces.reduce((sum, _, k) => sum + new Set(tasks.flatMap((t, i) => (space[i] === k ? seeds(t) : []))).size, 0);
    if (overSpaces) {
      const factors = bySpace.map((row, l) => row.map((v) => (v - estimate[l]) / Math.sqrt(K * (K - 1))));
      return {...result, kind: "spaces", units: K, factors, unit: spaces.map(() => 0), df: [K - 1]};
    }
    const single = tasks.some((t) => seeds(t).length < 2);
    const factors = group.labels.map(() => []);
    if (!single) {
      spaces.forEach((_, k) => {
        for (let s = 0; s < S; s++) {
          result.unit.push(k);
          factors.forEach((row, l) => row.push(tasks.reduce((sum, t, i) => {
            if (space[i] !== k || at(l, t, s) === null) return sum;
            const n = seeds(t).length;
            return sum + weight[i] * (at(l, t, s) - means[l][i]) / Math.sqrt(n * (n - 1)) / K;
          }, 0)));
        }
        result.df.push(Math.min(...tasks.filter((_, i) => space[i] === k).map((t) => seeds(t).length)) - 1);
      });
    }
    const shared = (t) => Boolean(metric.shared && metric.shared[t]);
    if (single || tasks.some(shared)) {
      const error = (l, k) => tasks.reduce((sum, t, i) => sum + (space[i] !== k || !(single || shared(t)) ? 0
        : metric.error && metric.error[l * T + t] !== null ? weight[i] * metric.error[l * T + t] / K : NaN), 0);
      const errors = group.labels.map((_, l) => spaces.map((_, k) => error(l, k)));
      if (single && errors.some((row) => row.some(Number.isNaN))) return {...result, kind: "none", units, factors: group.labels.map(() => []), unit: []};
      factors.forEach((row, l) => group.labels.forEach((_, m) => row.push(l === m ? Math.hypot(...errors[l].map((v) => v || 0)) : 0)));
      group.labels.forEach(() => result.unit.push(result.df.length));
      result.df.push(Infinity);
    }
    return {...result, kind: single ? "test size" : "splits", units, factors};
  };

  // The value of predictor a, or its difference to b, with the 95 % interval and the two-sided p-value.
  const contrast = (result, a, b = null) => {
    const value = (list) => list[a] - (b === null ? 0 : list[b]);
    const estimate = value(result.estimate);
    const variance = result.df.map(() => 0);
    result.unit.forEach((g, u) => { variance[g] += (result.factors[a][u] - (b === null ? 0 : result.factors[b][u])) ** 2; });
    const total = variance.reduce((x, y) => x + y, 0), error = Math.sqrt(total);
    if (result.kind === "none" || error <= 1e-10 * result.largest) return {estimate, low: null, high: null, p: null};
    const spread = variance.reduce((sum, v, g) => sum + (result.df[g] === Infinity ? 0 : v * v / result.df[g]), 0);
    const freedom = spread > 0 ? total * total / spread : Infinity, reach = quantile(freedom) * error;
    const [least, most] = b === null ? result.metric.bounds : [null, null];
    return {
      estimate, p: result.kind === "test size" ? null : twoSided(estimate / error, freedom),
      low: Math.max(least ?? -Infinity, estimate - reach), high: Math.min(most ?? Infinity, estimate + reach),
    };
  };

  // ---- many comparisons at once ----

  // Holm's correction: tests [[p or null, ...rest]] of a family -> the adjusted p of each, in the order given.
  const holm = (tests) => {
    const order = tests.map((_, i) => i).filter((i) => tests[i] !== null).sort((i, j) => tests[i] - tests[j] || i - j);
    const adjusted = tests.map(() => null);
    let largest = 0;
    order.forEach((i, rank) => { largest = Math.max(largest, tests[i] * (tests.length - rank)); adjusted[i] = Math.min(1, largest); });
    return adjusted;
  };
  // Which of the chosen predictors differ significantly.
  const different = (result, chosen) => {
    const pairs = chosen.flatMap((a, i) => chosen.slice(i + 1).map((b) => [a, b]));
    const adjusted = holm(pairs.map(([a, b]) => contrast(result, a, b).p));
    const apart = new Map(pairs.map(([a, b], i) => [`${a},${b}`, adjusted[i]]));
    const p = (a, b) => apart.get(`${a},${b}`) ?? apart.get(`${b},${a}`) ?? null;
    return {p, apart: (a, b) => p(a, b) !== null && p(a, b) < ALPHA};
  };
  // The compact letter display (insert and absorb), best first; where letters do not suffice, the first group alone.
  const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const letters = (order, apart) => {
    let groups = [new Set(order)];
    for (const [i, a] of order.entries()) for (const b of order.slice(i + 1)) {
      if (!apart(a, b)) continue;
      const both = (group) => group.has(a) && group.has(b), rest = groups.filter((group) => !both(group));
      const parts = groups.filter(both).flatMap((group) => [a, b].map((gone) => new Set([...group].filter((x) => x !== gone))));
      const within = (g, h) => [...g].every((x) => h.has(x));
      groups = rest.concat(parts.filter((g, k) => !rest.some((h) => within(g, h)) &&
        !parts.some((h, m) => m !== k && (h.size > g.size || (h.size === g.size && m < k)) && within(g, h))));
      if (groups.length > LETTERS.length) return new Map(order.map((x) => [x, apart(order[0], x) ? "" : "a"]));
    }
    const place = new Map(order.map((x, i) => [x, i]));
    const sorted = groups.map((g) => [...g].map((x) => place.get(x)).sort((x, y) => x - y));
    sorted.sort((g, h) => {
      for (let k = 0; k < Math.min(g.length, h.length); k++) if (g[k] !== h[k]) return g[k] - h[k];
      return g.length - h.length;
    });
    return new Map(order.map((x, i) => [x, sorted.map((g, k) => (g.includes(i) ? LETTERS[k] : "")).join("")]));
  };
  const sign = (metric) => (metric.better === "higher" ? 1 : -1);
  const ordered = (result, chosen) => [...chosen].sort((a, b) => sign(result.metric) * (result.estimate[b] - result.estimate[a]) || a - b);

  // Share of the (setting, opponent) pairs that a wins, a tie counts half.
  const wins = (result, a, chosen) => {
    const others = chosen.filter((b) => b !== a), all = result.weight.reduce((x, y) => x + y, 0);
    if (!others.length) return null;
    const won = (b) => result.tasks.reduce((sum, t, i) => {
      const seeds = result.seeds(t);
      const score = seeds.reduce((n, s) => n + (Math.sign(sign(result.metric) * (result.at(a, t, s) - result.at(b, t, s))) + 1) / 2, 0);
      return sum + result.weight[i] / all * score / seeds.length;
    }, 0);
    return others.reduce((sum, b) => sum + won(b), 0) / others.length;
  };

  // Share of resampled comparisons in which each ranks first.
  const firsts = (result, chosen, draws = 2000) => {
    const found = new Map(chosen.map((a) => [a, 0]));
    if (!["spaces", "splits"].includes(result.kind)) return null;
    let state = 1;
    const uniform = () => {  // mulberry32
      state = (state + 0x6D2B79F5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    for (let d = 0; d < draws / 2; d++) {
      const scale = result.df.map((df) => {
        if (df === Infinity) return 1;
        let chi = 0;
        for (let i = 0; i < df; i++) chi += normal() ** 2;
        return Math.sqrt(df / chi);
      });
      const moved = result.unit.map((g) => normal() * scale[g]);
      const shift = chosen.map((a) => moved.reduce((sum, z, u) => sum + z * result.factors[a][u], 0));
      for (const turn of [1, -1]) {
        const values = chosen.map((a, i) => sign(result.metric) * (result.estimate[a] + turn * shift[i])), best = Math.max(...values);
        const who = chosen.filter((_, i) => values[i] === best);
        who.forEach((a) => found.set(a, found.get(a) + 1 / who.length));
      }
    }
    return new Map([...found].map(([a, n]) => [a, n / (2 * Math.ceil(draws / 2))]));
  };

  // ---- numbers with the digits that their interval allows ----

  const digits = (half) => {
    if (!Number.isFinite(half) || half <= 0) return 4;
    const exponent = Math.floor(Math.log10(half)), leading = half / 10 ** exponent;
    return leading < 9.5 ? Math.max(0, -exponent + (leading < 3.55 ? 1 : 0)) : Math.max(0, -exponent);
  };
  const number = (value, decimals, signed) => {
    const text = value.toFixed(decimals), zero = Number(text) === 0;
    return zero ? (0).toFixed(decimals) : signed && value > 0 ? `+${text}` : text;
  };
  const rounded = ({estimate, low, high}, {signed = false, bare = false} = {}) => {
    if (estimate === null || Number.isNaN(estimate)) return "–";
    if (low === null) return number(estimate, 3, signed) + (bare ? "" : " [no interval]");
    const decimals = digits((high - low) / 2), ends = [low, high];
    let finer = decimals;
    while (signed && finer < decimals + 2 && ends.some((v) => v && Number(v.toFixed(finer)) === 0)) finer++;
    const centre = number(estimate, decimals, signed);
    return bare ? centre : `${centre} [${ends.map((v) => number(v, finer, signed)).join(", ")}]`;
  };

  return {ALPHA, contrast, different, digits, firsts, holm, joint, letters, ordered, rounded, sign, twoSided, wins};
})();
