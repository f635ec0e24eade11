"use strict";
(() => {
  const D = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const esc = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const clip = (text, n) => (text.length > n ? text.slice(0, n - 1) + "…" : text);
  const percent = (p) => (p > 0.9995 ? "100 %" : p < 0.0005 ? "0 %" : (100 * p).toFixed(1) + " %");
  const shown = (v) => (D.regression ? Number(v.toPrecision(4)).toString() : percent(v));
  const short = (v) => (v === 0 ? "0" : Math.abs(v) >= 0.001 ? Number(v.toPrecision(3)).toString() : v.toExponential(1));
  const edges = (n) => `${n} ${D.bonds ? "bond" : "edge"}${n === 1 ? "" : "s"}`;
  const arrow = (edge) => (edge[2] ? " – " : " → ");
  const named = (edge) => nodeName(edge[0]) + arrow(edge) + nodeName(edge[1]);
  const nodeName = (i) => D.nodes[i].name + (D.bonds ? ` ${D.nodes[i].id}` : "");
  const clamp = (v, low, high) => Math.max(low, Math.min(high, v));
  const total = D.edges.length, two = D.panels.length === 2, atoms = Boolean(D.bonds);
  const roots = new Set(D.roots);
  const palette = new Map(D.classes.map((c) => [c[0], c[2]]));
  const colour = (node) => palette.get(node.c) || "var(--grey)";
  const panels = [];
  let spot = 0, width = 0, height = 0;
  const view = { s: 1, x: 0, y: 0 };
  const kept = () => D.sizes[spot];

  function bars(box, rows) {
    box.innerHTML = rows.map(([name, value, share, tint]) =>
      `<div class="bar"><b title="${esc(name)}">${esc(name)}</b><span>${esc(value)}</span>` +
      `<i style="--v:${clamp(share, 0, 1).toFixed(4)}${tint ? ";--tone:" + tint : ""}"></i></div>`).join("");
  }

  // Where node i is drawn: its place in the unit square, fitted to the panel, then zoomed and moved.
  function place(i) {
    const pad = width < 560 ? 30 : 42, w = width - 2 * pad, h = height - 2 * pad - 8;
    const fit = D.aspect ? Math.min(w / D.aspect, h) : 0;
    const bw = D.aspect ? fit * D.aspect : w, bh = D.aspect ? fit : h, n = D.nodes[i];
    const x = (width - bw) / 2 + n.x * bw, y = (height - bh) / 2 - 4 + n.y * bh;
    return [width / 2 + (x - width / 2) * view.s + view.x, height / 2 + (y - height / 2) * view.s + view.y];
  }

  // Nodes joined to the target by kept edges; without a target, all ends of kept edges.
  function component(order) {
    const near = D.nodes.map(() => []), inside = new Set(D.roots), queue = [...D.roots];
    for (const k of order.slice(0, kept())) {
      const [u, v] = D.edges[k];
      near[u].push(v); near[v].push(u);
      if (!D.roots.length) { inside.add(u); inside.add(v); }
    }
    while (queue.length) for (const next of near[queue.pop()]) if (!inside.has(next)) { inside.add(next); queue.push(next); }
    return inside;
  }

  class Panel {
    constructor(data) {
      this.data = data;
      this.most = Math.max(1e-12, ...data.weight);
      this.rank = new Map(data.order.map((k, r) => [k, r]));
      this.at = -1;
      const root = document.importNode($("panel").content, true);
      this.find = (name) => this.root.querySelector("." + name);
      this.root = root.firstElementChild;
      $("panels").append(root);
      this.graph = this.find("graph");
      this.graph.setAttribute("aria-label", `Subgraph around the target, weighed by ${data.method}`);
      this.find("name").textContent = two ? data.method : "";
      this.find("ask").hidden = !data.curve.length;
      this.find("ask-title").textContent = D.regression ? "What the model would predict" : `Probability of “${D.answer}”`;
      this.find("ask-hint").textContent = "Edges are really removed and the model is run again. Blue: only the kept edges (sufficient?). Red: all but those (necessary?).";
      this.find("feats").hidden = !data.features.length;
      const top = data.features.length ? data.features[0][1] : 1;
      bars(this.find("features"), data.features.slice(0, data.heat ? 6 : 14).map(([name, v]) => [name, short(v), v / top]));
      this.find("feat-hint").textContent = `${Math.min(data.features.length, data.heat ? 6 : 14)} of ${data.feature_count} features.`;
      const own = D.images && D.roots.length ? D.roots.map((r) => `<figure><img src="${D.images[r]}" alt="">node ${esc(D.nodes[r].name)}</figure>`) : [];
      if (data.heat) this.find("heat").innerHTML = own.join("") + `<figure><img src="${data.heat}" alt="Importance of each pixel, dark is much">importance</figure>`;
      this.listen();
    }

    tone(k) { return this.data.signed && this.data.effect[k] < 0 ? "var(--oppose)" : "var(--support)"; }

    draw() {
      const inside = component(this.data.order), n = kept(), strokes = [], hits = [];
      const at = this.places = D.nodes.map((_, i) => place(i));
      [...this.data.order].reverse().forEach((k) => {
        const e = D.edges[k], on = this.rank.get(k) < n, joined = on && inside.has(e[0]) && inside.has(e[1]);
        const share = this.data.weight[k] / this.most, [x1, y1] = at[e[0]], [x2, y2] = at[e[1]];
        const line = `data-edge="${k}" x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}"`;
        if (atoms) {
          if (on) strokes.push(`<line class="edge" ${line} stroke="color-mix(in srgb, ${this.tone(k)} ${(12 + 60 * share).toFixed(1)}%, var(--card))" stroke-width="${(8 + 8 * share).toFixed(1)}"/>`);
        } else if (on) {
          strokes.push(`<line class="edge" ${line} stroke="${this.tone(k)}" stroke-width="${(1.4 + 5 * share).toFixed(2)}" opacity="${((joined ? 0.3 : 0.16) + (joined ? 0.7 : 0.3) * share).toFixed(3)}"/>`);
        } else strokes.push(`<line class="gone" ${line} stroke="var(--faint)" stroke-width="1" stroke-dasharray="2 4" opacity=".8"/>`);
        if (on && !e[2] && !atoms) strokes.push(this.head(at[e[0]], at[e[1]], this.radius(e[1]), k, share, joined));
        hits.push(`<line class="hit" ${line}/>`);
      });
      if (atoms) D.edges.forEach((e, k) => strokes.push(bond(at[e[0]], at[e[1]], D.bonds[k])));
      const names = atoms ? new Map() : this.labels(inside);
      const dots = D.nodes.map((_, i) => i).sort((a, b) => inside.has(a) - inside.has(b)).map((i) => this.dot(i, inside.has(i), names.get(i)));
      this.graph.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.graph.style.height = height + "px";
      this.graph.innerHTML = strokes.join("") + hits.join("") + dots.join("");
      if (this.at >= 0) this.mark(this.at);
    }

    radius(i) {
      if (D.images) return roots.has(i) ? 22 : width < 560 ? 12 : 15;
      return roots.has(i) ? 11 : width < 560 ? 6 : 7.5;
    }

    dot(i, on, name) {
      const n = D.nodes[i], r = this.radius(i), tint = colour(n), start = `data-node="${i}" transform="translate(${this.places[i].map((c) => c.toFixed(1)).join(" ")})"`;
      if (atoms) {
        const bare = n.name === "C" && D.nodes.length > 1;
        return `<g class="node atom" ${start}><circle r="11"/>${bare ? "" : `<text style="fill:${element(n)}">${esc(n.name)}</text>`}</g>`;
      }
      const text = name ? `<text x="${name[0]}" y="${name[1]}"${name[2]} opacity="${on ? 1 : 0.65}">${esc(this.shownName(i))}</text>` : "";
      const body = D.images
        ? `<rect class="rim" x="${-r - 2.5}" y="${-r - 2.5}" width="${2 * r + 5}" height="${2 * r + 5}" rx="4" style="fill:${on ? tint : `color-mix(in srgb, ${tint} 32%, var(--card))`};stroke:${roots.has(i) ? "var(--ink)" : "none"}"/><rect class="plate" x="${-r}" y="${-r}" width="${2 * r}" height="${2 * r}"/><image href="${D.images[i]}" x="${-r}" y="${-r}" width="${2 * r}" height="${2 * r}" preserveAspectRatio="none"${on ? "" : ' opacity=".5"'}/>`
        : `<circle r="${r}" style="fill:${on ? tint : `color-mix(in srgb, ${tint} 32%, var(--card))`}"/>`;
      return `<g class="node${roots.has(i) ? " root" : ""}" ${start}>${body}${text}</g>`;
    }

    shownName(i) { return clip(D.nodes[i].name, roots.has(i) ? 24 : 14); }

    // Names where they fit: the target's first, then by weight; under the node, over it or beside it, else not at all.
    labels(inside) {
      const found = new Map(), boxes = D.nodes.map((_, i) => {
        const r = this.radius(i) - 1, [x, y] = this.places[i];
        return [x - r, y - r, x + r, y + r, i];
      });
      const order = D.nodes.map((_, i) => i).sort((a, b) =>
        roots.has(b) - roots.has(a) || inside.has(b) - inside.has(a) || this.data.node_weight[b] - this.data.node_weight[a] || a - b);
      for (const i of order) {
        const [x, y] = this.places[i], size = roots.has(i) ? 13 : 11, long = this.shownName(i).length * size * (roots.has(i) ? 0.72 : 0.64) + 2;
        const r = this.radius(i), spots = [[0, r + size + 1, -0.5], [0, -r - 5, -0.5], [r + 4, size * 0.35, 0], [-r - 4, size * 0.35, -1]];
        for (const [k, [dx, dy, shift]] of spots.entries()) {
          const box = [x + dx + shift * long, y + dy - size * 0.8, x + dx + (1 + shift) * long, y + dy + 2];
          const off = box[0] < 0 || box[2] > width || box[3] > height || box[1] < 0;
          if (off || boxes.some((b) => b[4] !== i && b[0] < box[2] && b[2] > box[0] && b[1] < box[3] && b[3] > box[1])) continue;
          found.set(i, [dx.toFixed(1), dy.toFixed(1), k < 2 ? "" : ` style="text-anchor:${k === 2 ? "start" : "end"}"`]);
          boxes.push([...box, -1]);
          break;
        }
        if (roots.has(i) && !found.has(i)) found.set(i, ["0", (r + size + 1).toFixed(1), ""]);
      }
      return found;
    }

    // A directed edge ends in a small arrow head at the rim of its target.
    head([x1, y1], [x2, y2], r, k, share, joined) {
      const long = Math.hypot(x2 - x1, y2 - y1) || 1, ux = (x2 - x1) / long, uy = (y2 - y1) / long, size = 5 + 4 * share;
      const tip = [x2 - ux * (r + 2), y2 - uy * (r + 2)], base = [tip[0] - ux * size * 1.5, tip[1] - uy * size * 1.5];
      const points = [tip, [base[0] - uy * size * .7, base[1] + ux * size * .7], [base[0] + uy * size * .7, base[1] - ux * size * .7]];
      return `<polygon points="${points.map((p) => p.map((c) => c.toFixed(1)).join(",")).join(" ")}" fill="${this.tone(k)}" opacity="${joined ? 0.4 + 0.6 * share : 0.25}"/>`;
    }

    evidence() {
      const curve = this.data.curve;
      if (!curve.length) return;
      const row = curve[spot], n = kept();
      const values = curve.flatMap((r) => [r[0], r[1]]).concat(D.value);
      const low = D.regression ? Math.min(...values) : 0, high = D.regression ? Math.max(...values) : 1;
      const share = (v) => (v - low) / Math.max(1e-9, high - low);
      bars(this.find("evidence"), [
        ["on the whole graph", shown(D.value), share(D.value), "var(--soft)"],
        [`sufficient? only ${n === 1 ? "this" : "these"} ${edges(n)}`, shown(row[0]), share(row[0]), "var(--support)"],
        [`necessary? all but ${n === 1 ? "this" : "these"} ${edges(n)}`, shown(row[1]), share(row[1]), "var(--oppose)"],
      ]);
      this.find("verdict").textContent = verdict(curve);
      this.chart(curve, share);
    }

    chart(curve, share) {
      const box = this.find("chart"), w = box.clientWidth || 300, h = 118, left = 5, right = 5, top = 8, bottom = 20;
      const x = (k) => left + (w - left - right) * (k / Math.max(1, total)), y = (v) => top + (h - top - bottom) * (1 - share(v));
      const path = (c) => curve.map((r, i) => `${i ? "L" : "M"}${x(D.sizes[i]).toFixed(1)} ${y(r[c]).toFixed(1)}`).join("");
      const row = curve[spot], now = x(kept()).toFixed(1);
      box.setAttribute("viewBox", `0 0 ${w} ${h}`);
      box.style.height = h + "px";
      box.setAttribute("aria-label", `How the answer changes with the number of kept edges, by ${this.data.method}`);
      box.innerHTML =
        `<line x1="${left}" x2="${w - right}" y1="${h - bottom}" y2="${h - bottom}" stroke="var(--line)"/>` +
        `<line x1="${left}" x2="${w - right}" y1="${y(D.value).toFixed(1)}" y2="${y(D.value).toFixed(1)}" stroke="var(--soft)" stroke-dasharray="2 4"/>` +
        `<line x1="${now}" x2="${now}" y1="${top - 4}" y2="${h - bottom}" stroke="var(--faint)"/>` +
        `<path d="${path(0)}" fill="none" stroke="var(--support)" stroke-width="2"/><path d="${path(1)}" fill="none" stroke="var(--oppose)" stroke-width="2"/>` +
        `<circle cx="${now}" cy="${y(row[0]).toFixed(1)}" r="4" fill="var(--support)"/><circle cx="${now}" cy="${y(row[1]).toFixed(1)}" r="4" fill="var(--oppose)"/>` +
        `<text x="${left}" y="${h - 5}">0</text><text x="${w / 2}" y="${h - 5}" text-anchor="middle">edges kept or removed</text><text x="${w - right}" y="${h - 5}" text-anchor="end">${total}</text>`;
    }

    tip(element) {
      const box = this.find("tip");
      if (!element) { box.classList.remove("show"); return; }
      box.innerHTML = element.dataset.node !== undefined ? this.nodeText(+element.dataset.node) : this.edgeText(+element.dataset.edge);
      const area = this.find("drawing").getBoundingClientRect(), from = element.getBoundingClientRect();
      const x = from.left + from.width / 2 - area.left - box.offsetWidth / 2, over = from.top - area.top - box.offsetHeight - 8;
      const y = over < 0 ? from.bottom - area.top + 8 : over;
      box.style.transform = `translate(${clamp(x, 0, area.width - box.offsetWidth).toFixed(0)}px, ${clamp(y, 0, area.height - box.offsetHeight).toFixed(0)}px)`;
      box.classList.add("show");
    }

    nodeText(i) {
      const n = D.nodes[i], features = this.data.node_features[i] || [];
      const hop = n.hops < 0 ? "" : roots.has(i) ? (D.pair ? "one end of the pair" : "the target") : `${n.hops} hop${n.hops === 1 ? "" : "s"} from the target`;
      return `<strong>${atoms ? "atom" : "node"} ${esc(n.name)}${n.name === String(n.id) ? "" : ` (${n.id})`}</strong>` +
        [n.class === n.name ? "" : n.class, hop, `importance ${short(this.data.node_weight[i])}`, features.length ? "features: " + features.join(", ") : ""].filter(Boolean).map(esc).join("<br>");
    }

    edgeText(k) {
      return `<strong>${esc(named(D.edges[k]))}</strong>importance ${short(this.data.weight[k])}, rank ${this.rank.get(k) + 1}` +
        (this.data.signed ? `<br>${this.data.effect[k] < 0 ? "opposes" : "supports"} the answer` : "");
    }

    mark(i) {
      this.at = i;
      this.graph.querySelectorAll(".on").forEach((old) => old.classList.remove("on"));
      const node = this.graph.querySelector(`[data-node="${i}"]`);
      if (node) node.classList.add("on");
      this.tip(node);
    }

    // The next node in the order of weight, moved into sight if need be.
    step(by) {
      const order = D.nodes.map((_, i) => i).sort((a, b) => roots.has(b) - roots.has(a) || this.data.node_weight[b] - this.data.node_weight[a] || a - b);
      const next = order[(order.indexOf(this.at) + by + order.length + (this.at < 0 && by < 0 ? 1 : 0)) % order.length], [x, y] = this.places[next];
      move(clamp(x, 40, width - 40) - x, clamp(y, 40, height - 40) - y);
      this.mark(next);
    }

    keys(event) {
      const act = {
        "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: fit, n: () => this.step(1), p: () => this.step(-1),
        ArrowLeft: () => move(50, 0), ArrowRight: () => move(-50, 0), ArrowUp: () => move(0, 50), ArrowDown: () => move(0, -50),
        Escape: () => { this.mark(-1); },
      }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    }

    listen() {
      const graph = this.graph, down = new Map(), found = (event) => event.target.closest && event.target.closest("[data-node], .hit");
      let still = true;
      const local = (event) => { const r = graph.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
      graph.addEventListener("keydown", (event) => this.keys(event));
      graph.addEventListener("blur", () => this.mark(-1));
      graph.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && document.activeElement !== graph) return;  // the page must still scroll
        event.preventDefault();
        zoom(Math.exp(-event.deltaY * 0.002), ...local(event));
      }, { passive: false });
      graph.addEventListener("pointerdown", (event) => {
        down.set(event.pointerId, [event.clientX, event.clientY]);
        still = true;
        this.tip(found(event));
      });
      graph.addEventListener("pointermove", (event) => {
        const before = down.get(event.pointerId), now = [event.clientX, event.clientY];
        if (!before) { if (event.pointerType === "mouse") this.tip(found(event)); return; }
        const others = [...down].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
        if (!others.length && event.pointerType !== "mouse" && view.s === 1) return;  // one finger scrolls the page
        if (still && Math.hypot(now[0] - before[0], now[1] - before[1]) < 3) return;
        if (still) { still = false; graph.setPointerCapture(event.pointerId); this.tip(null); }
        down.set(event.pointerId, now);
        if (others.length) {
          const gap = (p) => Math.hypot(p[0] - others[0][0], p[1] - others[0][1]);
          zoom(gap(now) / Math.max(1, gap(before)), ...local(event));
        } else move(now[0] - before[0], now[1] - before[1]);
      });
      for (const name of ["pointerup", "pointercancel"]) graph.addEventListener(name, (event) => down.delete(event.pointerId));
      graph.addEventListener("pointerleave", () => { if (this.at < 0) this.tip(null); });
    }
  }

  // Lines of a bond: 2 and 3 side by side; an aromatic one is a line and a dashed line.
  function bond([x1, y1], [x2, y2], order) {
    const long = Math.hypot(x2 - x1, y2 - y1) || 1, nx = -(y2 - y1) / long, ny = (x2 - x1) / long;
    const sides = order === 3 ? [-4, 0, 4] : order === 2 ? [-2.2, 2.2] : order === 1.5 ? [-2.2, 2.2] : [0];
    return sides.map((d, i) => `<line class="bond" x1="${(x1 + nx * d).toFixed(1)}" y1="${(y1 + ny * d).toFixed(1)}" x2="${(x2 + nx * d).toFixed(1)}" y2="${(y2 + ny * d).toFixed(1)}"${order === 1.5 && i ? ' stroke-dasharray="3 3.5"' : ""}/>`).join("");
  }

  const element = (n) => (palette.get(n.c) ? `color-mix(in srgb, ${palette.get(n.c)} 72%, var(--ink))` : "var(--ink)");

  // The fewest edges that alone keep the answer, and the fewest without which it changes.
  function verdict(curve) {
    if (D.regression) return "";
    const enough = curve.findIndex((r) => r[2]), broken = curve.findIndex((r) => !r[3]), upTo = (i) => (i > 0 && D.sizes[i] - D.sizes[i - 1] > 1 ? "at most " : "");
    const first = !curve[curve.length - 1][2] && enough < 0 ? "No number of them alone keeps the answer."
      : D.sizes[enough] === 0 ? "The answer stays even without any edge."
      : `Sufficient: ${upTo(enough)}${edges(D.sizes[enough])} alone keep${D.sizes[enough] === 1 ? "s" : ""} the answer.`;
    const second = broken < 0 ? "None is necessary: without all of them the answer stays." : `Necessary: the answer changes ${upTo(broken) ? "by the time" : "once"} ${edges(D.sizes[broken])} ${D.sizes[broken] === 1 ? "is" : "are"} removed.`;
    return D.sizes[enough] === 0 && broken < 0 ? first : `${first} ${second}`;
  }

  function zoom(by, x = width / 2, y = height / 2) {
    const s = clamp(view.s * by, 1, 12), f = s / view.s, cx = width / 2, cy = height / 2;
    view.x = x - cx - f * (x - cx - view.x);
    view.y = y - cy - f * (y - cy - view.y);
    view.s = s;
    move(0, 0);
  }

  function move(dx, dy) {
    const room = 0.5 * (view.s - 1) + 0.35;
    view.x = clamp(view.x + dx, -room * width, room * width);
    view.y = clamp(view.y + dy, -room * height, room * height);
    if (view.s === 1 && !dx && !dy) view.x = view.y = 0;
    panels.forEach((p) => { p.graph.classList.toggle("moved", view.s > 1); p.draw(); });
    $("out").disabled = view.s <= 1;
    $("in").disabled = view.s >= 12;
  }

  function fit() { view.s = 1; view.x = view.y = 0; move(0, 0); }

  function update() {
    const n = kept(), box = $("kept");
    box.value = spot;
    $("count").textContent = `Keep ${n} of ${D.edge_total > total ? `${total} drawn ${edges(total).split(" ")[1]}` : edges(total)}`;
    const said = panels.filter((p) => p.data.curve.length).map((p) => `${two ? p.data.method + ": " : ""}with only these ${shown(p.data.curve[spot][0])}, without them ${shown(p.data.curve[spot][1])}`);
    box.setAttribute("aria-valuetext", [`${edges(n)} of ${total}`, ...said].join("; "));
    panels.forEach((p) => { p.draw(); p.evidence(); });
    if (two) {
      const other = new Set(D.panels[1].order.slice(0, n)), same = D.panels[0].order.slice(0, n).filter((k) => other.has(k)).length;
      $("shared").textContent = n ? `Of the ${edges(n)} kept by each method, ${same} ${same === 1 ? "is" : "are"} the same.` : "No edge is kept.";
    }
    document.querySelectorAll("#rows td[data-rank]").forEach((cell) => cell.classList.toggle("out", +cell.dataset.rank >= n));
  }

  function resize() {
    const now = Math.max(240, panels[0].find("drawing").clientWidth);
    if (now === width) return;
    width = now;
    height = total ? Math.round(clamp(width * (width < 560 ? 1.05 : 0.72), 300, 600)) : D.nodes.length > 1 ? 300 : 160;
    if (D.aspect && total) height = Math.round(clamp(Math.min(height, width / D.aspect + 90), 260, 600));
    fit();
    update();
  }

  function legend() {
    const rows = D.roots.length ? [`<li><span class="ring"></span>${D.pair ? "the pair" : "target"}</li>`] : [];
    if (D.classes.length > 1 && !atoms) rows.push(...D.classes.map(([, name, tint]) => `<li><span class="dot" style="background:${tint}"></span>${esc(name)}</li>`));
    const signed = D.panels.some((p) => p.signed);
    if (total) rows.push(`<li><span class="stroke" style="background:var(--support)"></span>${signed ? "supports the answer" : `kept ${atoms ? "bond" : "edge"}, wider is weightier`}</li>`);
    if (signed) rows.push('<li><span class="stroke" style="background:var(--oppose)"></span>opposes it</li>');
    if (!atoms && total) rows.push('<li><span class="dash"></span>not kept</li>');
    $("legend").innerHTML = rows.join("");
  }

  function table() {
    $("heads").innerHTML = `<tr><th>edge</th>${D.panels.map((p) => (two ? `<th>rank, ${esc(p.method)}</th>` : "<th>rank</th>") + "<th>importance</th>").join("")}</tr>`;
    $("rows").innerHTML = D.panels[0].order.map((k) => `<tr><td>${esc(named(D.edges[k]))}</td>` + panels.map((p) =>
      `<td data-rank="${p.rank.get(k)}">${p.rank.get(k) + 1}</td><td data-rank="${p.rank.get(k)}">${short(p.data.signed ? p.data.effect[k] : p.data.weight[k])}</td>`).join("") + "</tr>").join("");
  }

  function start() {
    const notes = D.panels.flatMap((p) => p.notes.map((n) => (two ? `${p.method}: ${n}.` : n[0].toUpperCase() + n.slice(1) + ".")));
    $("method").textContent = `${D.title} · ${D.panels.map((p) => p.method).join(" beside ")}`;
    $("summary").textContent = D.summary;
    $("truth").textContent = D.truth;
    $("truth").hidden = !D.truth;
    $("caption").textContent = [D.caption, D.carried, ...notes].filter(Boolean).join(" ");
    $("panels").className = two ? "two" : "one";
    panels.push(...D.panels.map((p) => new Panel(p)));
    $("kept").max = D.sizes.length - 1;
    $("control").hidden = total === 0;
    spot = D.sizes.reduce((best, n, i) => (n <= 10 ? i : best), 0);
    $("probs").hidden = D.probabilities.length < 2;
    bars($("probabilities"), D.probabilities.map(([name, p]) => [name, percent(p), p]));
    $("below").classList.toggle("wide", two);
    if (!two) {
      panels[0].find("side").insertBefore($("probs"), panels[0].find("feats"));
      panels[0].find("main").append($("below"));
    }
    $("keys").hidden = total === 0;
    $("table-card").hidden = total === 0;
    legend();
    table();
    $("kept").addEventListener("input", (event) => { spot = +event.target.value; panels.forEach((p) => p.tip(null)); update(); });
    $("in").addEventListener("click", () => zoom(1.3));
    $("out").addEventListener("click", () => zoom(1 / 1.3));
    $("fit").addEventListener("click", fit);
    addEventListener("resize", resize);
    resize();
    document.documentElement.dataset.ready = "yes";
  }
  start();
})();
