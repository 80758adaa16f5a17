// Draws the plots of a page from its tables, lets a bar be chosen, and takes in what the server says has changed.
"use strict";
(() => {
  const events = document.body.dataset.events;
  let series = JSON.parse(document.getElementById("series").textContent);
  let chosenKey = null;

  const css = (name) => `var(--${name})`;
  const time = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");
  const rowsOf = (name) => document.querySelector(`tbody[data-rows="${name}"]`);

  // ---- plots -------------------------------------------------------------------------------------------------------
  function bars() {
    return Array.from(rowsOf("batches").rows, (row, index) => {
      const at = (name) => Number(row.dataset[name]) || null;
      const { key, phase } = row.dataset;
      const isOver = phase === "done" || phase === "failed";
      const begun = at("begun"), writing = at("writing");
      const end = at("ended") || (isOver ? begun : series.until);
      return {
        row, key, phase, index, begun, isOver, writing: isOver || phase === "writing" ? writing : null,
        waitedUntil: at("ready") || writing || end, end,
      };
    }).filter((bar) => bar.begun);
  }

  function options(width, more) {
    const span = series.until - Math.min(series.from, series.bars_from), at = (ms) => new Date(ms).toISOString();
    const tickFormat = span < 300e3 ? (ms) => at(ms).slice(11, 19) : span < 48 * 3600e3 ? (ms) => at(ms).slice(11, 16) : (ms) => at(ms).slice(5, 10);
    return {
      width, marginLeft: 52, marginRight: 26, marginTop: 24, marginBottom: 26, className: "plot",
      x: { type: "utc", label: null, ticks: Math.max(2, Math.floor(width / 130)), tickFormat, ...more.x },
      ...Object.fromEntries(Object.entries(more).filter(([name]) => name !== "x")),
    };
  }

  function drawBatches(box, width) {
    const all = bars();
    if (!all.length) return null;
    const step = all.length <= 12 ? 24 : all.length <= 40 ? 16 : all.length <= 100 ? 9 : 6;
    const thick = Math.max(1.5, step * 0.6), thin = Math.max(1, step * 0.22);
    const y = (bar) => bar.index;
    const half = (height) => ({ insetTop: (step - height) / 2, insetBottom: (step - height) / 2 });
    const domain = all.map(y);
    const last = Math.max(series.until, ...all.map((bar) => bar.end));
    const waited = all.filter((bar) => bar.waitedUntil > bar.begun);
    const written = all.filter((bar) => bar.writing);
    const mark = Math.min(4.5, Math.max(2, step / 3));
    const others = series.others;
    const top = 22;
    const failed = all.filter((bar) => bar.phase === "failed");
    const marks = [
      Plot.gridX({ stroke: css("line"), strokeOpacity: 1 }),
      Plot.barX(waited, { y, x1: "begun", x2: "waitedUntil", fill: css("waiting"), ...half(thin) }),
      Plot.barX(written, { y, x1: "writing", x2: (bar) => Math.max(bar.end, bar.writing), fill: css("writing"), ...half(thick), insetRight: -1 }),
      Plot.dot(all.filter((bar) => bar.phase === "done"), { y, x: "end", r: mark, fill: css("done"), stroke: css("card"), strokeWidth: 0.7 }),
      Plot.text(failed, { y, x: "end", text: () => "✕", fill: css("failed"), fontWeight: 700, fontSize: Math.max(9, Math.min(14, step)) }),
      Plot.barX(all, { y, x1: "begun", x2: (bar) => Math.max(bar.end, bar.begun + (last - all[0].begun) / 200), fill: "transparent", className: "hits", title: (bar) => label(bar.row) }),
    ];
    if (series.running) marks.push(Plot.ruleX([series.until], { stroke: css("quiet"), strokeDasharray: "3,3" }));
    if (all.length <= 12 && width >= 700) marks.push(Plot.axisY({ tickFormat: (index) => short(all.find((bar) => bar.index === index).row.cells[0].textContent), tickSize: 0, label: null }));
    const height = domain.length * step + top + 30, isTall = height > 640;
    const chart = Plot.plot(options(width, {
      height, marginTop: top, marginLeft: all.length <= 12 && width >= 700 ? 190 : 12,
      x: { domain: [series.bars_from, last], axis: isTall ? "both" : "bottom" }, y: { domain, axis: null, padding: 0 }, marks,
    }));
    const hits = chart.querySelectorAll(".hits rect");
    hits.forEach((hit, n) => {
      hit.classList.add("bar", all[n].phase);
      hit.dataset.key = all[n].key;
      hit.addEventListener("click", () => choose(all[n].key));
    });
    box.classList.toggle("tall", isTall);
    if (!others) return [chart];
    const width_ms = others.width_s * 1000;
    const cells = others.active.map((n, i) => ({ n, from: others.from + i * width_ms, to: others.from + (i + 1) * width_ms })).filter((cell) => cell.n);
    return [Plot.plot(options(width, {
      height: 34, marginTop: 4, marginBottom: 4, marginLeft: 12,
      x: { domain: [series.bars_from, last], axis: null },
      marks: [Plot.rect(cells, { x1: "from", x2: (cell) => Math.min(cell.to, last), y1: 0, y2: 1, fill: css("writing"), fillOpacity: (cell) => cell.n / Math.max(...others.active), className: "density", title: (cell) => `${time(cell.from)}: ${cell.n} other batches` })],
      y: { axis: null, domain: [0, 1] }, opacity: { type: "linear", domain: [0, 1], range: [0.15, 1] },
    })), chart];
  }

  function points(...names) {
    return series.records_per_s.map((_, n) => ({
      at: series.from + n * series.width_s * 1000, to: series.from + (n + 1) * series.width_s * 1000,
      ...Object.fromEntries(names.map((name) => [name, series[name] && series[name][n]])),
    }));
  }

  // A step ends where the next one begins, the last one where time does.
  const withEnd = (all) => [...all, { ...all[all.length - 1], at: Math.max(series.until, all[all.length - 1].at) }];

  const axis = (label) => ({ label, grid: false, nice: true, zero: true, ticks: 4, tickFormat: "~s" });

  function drawRates(box, width) {
    const all = points("records_per_s", "batches_per_s", "retries"), steps = withEnd(all);
    const again = all.filter((point) => point.retries), most = Math.max(...again.map((point) => point.retries), 1);
    const strip = Math.max(...all.map((point) => point.records_per_s), 1) * 0.03;
    const title = (point) => `${point.retries} retries`;
    const retries = again.length <= 20
      ? Plot.dot(again, { x: "at", y: 0, symbol: "triangle", r: 4, fill: css("failed"), title })
      : Plot.rect(again, { x1: "at", x2: "to", y1: 0, y2: strip, fill: css("failed"), fillOpacity: (point) => 0.25 + 0.75 * point.retries / most, title });
    return [Plot.plot(options(width, {
      height: 210, y: axis("records/s"), opacity: { type: "identity" },
      marks: [
        Plot.gridY({ stroke: css("line"), strokeOpacity: 1, ticks: 4 }),
        Plot.areaY(steps, { x: "at", y: "records_per_s", curve: "step-after", fill: css("writing"), fillOpacity: 0.16 }),
        Plot.lineY(steps, { x: "at", y: "records_per_s", curve: "step-after", stroke: css("writing"), strokeWidth: 1.8 }),
        retries,
        Plot.ruleY([0], { stroke: css("quiet") }),
        Plot.tip(all, Plot.pointerX({ x: "at", y: "records_per_s", fill: css("card"), stroke: css("quiet"), title: (point) => `${time(point.at)} UTC\n${point.records_per_s} records/s\n${point.batches_per_s} batches/s\n${point.retries} retries` })),
      ],
    }))];
  }

  function drawLatency(box, width) {
    const all = points("p50_s", "p95_s").filter((point) => point.p50_s !== null);
    if (!all.length) return null;
    return [Plot.plot(options(width, {
      height: 210, x: { domain: [series.from, Math.max(series.until, all[all.length - 1].at)] }, y: axis("seconds"),
      marks: [
        Plot.gridY({ stroke: css("line"), strokeOpacity: 1, ticks: 4 }),
        Plot.areaY(all, { x: "at", y1: "p50_s", y2: "p95_s", fill: css("waiting"), fillOpacity: 0.15 }),
        Plot.lineY(all, { x: "at", y: "p95_s", stroke: css("waiting"), strokeWidth: 1.8, strokeDasharray: "5,3" }),
        Plot.lineY(all, { x: "at", y: "p50_s", stroke: css("writing"), strokeWidth: 1.8 }),
        all.length < 60 ? Plot.dot(all, { x: "at", y: "p50_s", r: 2.5, fill: css("writing") }) : null,
        Plot.ruleY([0], { stroke: css("quiet") }),
        Plot.tip(all, Plot.pointerX({ x: "at", y: "p50_s", fill: css("card"), stroke: css("quiet"), title: (point) => `${time(point.at)} UTC\np50 ${point.p50_s} s\np95 ${point.p95_s} s` })),
      ],
    }))];
  }

  function drawTokens(box, width) {
    if (!series.input_tokens || !series.input_tokens.some((n) => n)) return null;
    const all = points("input_tokens", "output_tokens"), steps = withEnd(all);
    return [Plot.plot(options(width, {
      height: 190, y: axis("tokens"),
      marks: [
        Plot.gridY({ stroke: css("line"), strokeOpacity: 1, ticks: 4 }),
        Plot.lineY(steps, { x: "at", y: "input_tokens", curve: "step-after", stroke: css("writing"), strokeWidth: 1.8 }),
        Plot.lineY(steps, { x: "at", y: "output_tokens", curve: "step-after", stroke: css("waiting"), strokeWidth: 1.8, strokeDasharray: "5,3" }),
        Plot.ruleY([0], { stroke: css("quiet") }),
        Plot.tip(all, Plot.pointerX({ x: "at", y: "input_tokens", fill: css("card"), stroke: css("quiet"), title: (point) => `${time(point.at)} UTC\n${point.input_tokens.toLocaleString("en")} in\n${point.output_tokens.toLocaleString("en")} out` })),
      ],
    }))];
  }

  function drawCost(box, width) {
    if (!series.cost_usd) return null;
    const all = points("cost_usd"), steps = withEnd(all), limit = series.max_spend_usd;
    return [Plot.plot(options(width, {
      height: 170, y: { ...axis("USD"), tickFormat: "~g" },
      marks: [
        Plot.gridY({ stroke: css("line"), strokeOpacity: 1, ticks: 4 }),
        Plot.areaY(steps, { x: "at", y: "cost_usd", curve: "step-after", fill: css("writing"), fillOpacity: 0.16 }),
        Plot.lineY(steps, { x: "at", y: "cost_usd", curve: "step-after", stroke: css("writing"), strokeWidth: 1.8 }),
        limit ? Plot.ruleY([limit], { stroke: css("failed"), strokeDasharray: "5,3" }) : null,
        limit ? Plot.text([limit], { y: (usd) => usd, x: () => series.from, text: (usd) => `at most ${usd} USD`, textAnchor: "start", dy: -7, fill: css("failed") }) : null,
        Plot.ruleY([0], { stroke: css("quiet") }),
        Plot.tip(all, Plot.pointerX({ x: "at", y: "cost_usd", fill: css("card"), stroke: css("quiet"), title: (point) => `${time(point.at)} UTC\n${point.cost_usd} USD` })),
      ],
    }))];
  }

  const drawings = { batches: drawBatches, rates: drawRates, latency: drawLatency, tokens: drawTokens, cost: drawCost };

  function draw() {
    const started = performance.now();
    for (const box of document.querySelectorAll("[data-plot]")) {
      const width = Math.floor(box.parentElement.clientWidth);
      const charts = drawings[box.dataset.plot](box, width);
      box.hidden = !charts;
      if (!charts) continue;
      for (const chart of charts) chart.setAttribute("aria-hidden", "true"); // the figure has a name, a sentence, a table
      box.replaceChildren(...charts);
      if (box.dataset.plot === "batches") {
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", `Plot of batches: ${box.dataset.hint}`);
      }
    }
    mark();
    document.documentElement.dataset.drawnMs = (performance.now() - started).toFixed(1);
  }

  // ---- choosing a batch --------------------------------------------------------------------------------------------
  const short = (text) => (text.length > 26 ? `${text.slice(0, 12)}…${text.slice(-12)}` : text);

  function label(row) {
    return Array.from(row.cells, (cell) => cell.textContent.trim()).filter((text) => text && text !== "–").slice(0, 3).join(", ");
  }

  function choose(key) {
    chosenKey = key === chosenKey ? null : key;
    mark();
  }

  function mark() {
    const body = rowsOf("batches"), panel = document.getElementById("chosen");
    if (!body) return;
    let found = null;
    for (const row of body.rows) {
      row.classList.toggle("is-chosen", row.dataset.key === chosenKey);
      if (row.dataset.key === chosenKey) found = row;
    }
    for (const hit of document.querySelectorAll(".bar")) {
      const isIt = hit.dataset.key === chosenKey;
      hit.setAttribute("stroke", isIt ? "var(--ink)" : "none");
      hit.setAttribute("stroke-width", isIt ? "1.5" : "0");
    }
    panel.hidden = !found;
    if (!found) return;
    const heads = Array.from(body.parentElement.tHead.rows[0].cells, (cell) => cell.textContent);
    const list = document.createElement("dl");
    Array.from(found.cells).forEach((cell, n) => {
      if (!cell.textContent.trim()) return;
      const pair = document.createElement("div"), name = document.createElement("dt"), value = document.createElement("dd");
      name.textContent = heads[n];
      value.textContent = cell.textContent;
      pair.append(name, value);
      list.append(pair);
    });
    panel.replaceChildren(list);
  }

  document.addEventListener("keydown", (event) => {
    const box = document.querySelector('[data-plot="batches"]');
    if (!box || document.activeElement !== box) return;
    const rows = Array.from(rowsOf("batches").rows), steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
    if (event.key === "Escape") choose(chosenKey);
    if (!(event.key in steps) || !rows.length) return;
    event.preventDefault();
    const now = rows.findIndex((row) => row.dataset.key === chosenKey);
    const next = now < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, now + steps[event.key]));
    chosenKey = rows[next].dataset.key;
    mark();
  });

  // ---- commands to copy --------------------------------------------------------------------------------------------
  function offerCopies() {
    for (const button of document.querySelectorAll(".copy")) button.hidden = !(navigator.clipboard && window.isSecureContext);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });

  // ---- updates -----------------------------------------------------------------------------------------------------
  function setHtml(element, html) {
    if (element && element.innerHTML !== html) element.innerHTML = html; // made and escaped by the server's templates
  }

  function updateRows(name, { order, changed }) {
    const body = rowsOf(name);
    if (!body) return;
    const template = document.createElement("template");
    const known = new Map(Array.from(body.rows, (row) => [row.dataset.key, row]));
    for (const [key, html] of Object.entries(changed)) {
      template.innerHTML = html;
      const row = template.content.firstElementChild;
      if (known.has(key)) known.get(key).replaceWith(row);
      known.set(key, row);
    }
    if (!order) return;
    const rows = order.map((key) => known.get(key)).filter(Boolean);
    if (rows.length !== body.rows.length || rows.some((row, n) => body.rows[n] !== row)) body.replaceChildren(...rows);
  }

  function update(change) {
    if (change.title) document.title = change.title;
    for (const [name, html] of Object.entries(change.parts || {})) setHtml(document.querySelector(`[data-part="${name}"]`), html);
    for (const [name, rows] of Object.entries(change.rows || {})) updateRows(name, rows);
    if (change.series) series = change.series;
    if (change.series || change.rows) draw();
    if (change.parts) offerCopies();
  }

  function listen() {
    const live = document.getElementById("live");
    let version = document.body.dataset.version, isLost = false;
    const say = (text, state) => {
      live.textContent = text;
      live.classList.toggle("on", state === "on");
      live.classList.toggle("lost", state === "lost");
    };
    const open = () => {
      const source = new EventSource(`${events}${events.includes("?") ? "&" : "?"}version=${encodeURIComponent(version)}`);
      source.addEventListener("update", (event) => {
        const change = JSON.parse(event.data);
        update(change);
        version = change.version;
        isLost = false;
        say(change.trouble || `Live, as of ${change.at.slice(11, 19)} UTC`, change.trouble ? "lost" : "on");
      });
      source.addEventListener("error", () => {
        source.close(); // a new one says which version this page has by now
        if (!isLost) say("Connection lost; trying again", "lost");
        isLost = true;
        setTimeout(open, 2000);
      });
      addEventListener("pagehide", () => source.close(), { once: true });
    };
    open();
  }

  let resizing = 0, lastWidth = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === lastWidth) return;
    lastWidth = innerWidth;
    clearTimeout(resizing);
    resizing = setTimeout(draw, 150);
  });
  offerCopies();
  draw();
  if (events) listen();
})();
