(key, spec) => {
  const {axes, curve, frames} = spec, n = axes[0].values.length;
  const thumb = 12; // pixels: half a thumb, by which it stays inside its track
  const gutter = curve ? 8 + 7 * Math.max(...curve.ticks.map(([, label]) => label.length)) : 0;

  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "line", "path", "circle", "text"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function slider(axis, start) {
    const value = make("b"), ticks = make("span", {class: "lx-ticks", "aria-hidden": "true"});
    const input = make("input", {type: "range", min: 0, max: axis.values.length - 1, step: 1,
      "aria-label": axis.name, autocomplete: "off", "data-lm-suppress-shortcuts": "true"}); // or JupyterLab takes the arrow keys
    input.value = start;
    const track = make("span", {class: "lx-track"}, input, ticks);
    return {axis, input, value, ticks, label: make("label", {}, make("span", {class: "lx-name"}, axis.name, value), track)};
  }

  // As many ticks as fit, always the first one, each below the place where the thumb stands.
  function tick({axis, ticks}) {
    const last = axis.values.length - 1, width = ticks.clientWidth - 2 * thumb;
    const room = 7 * Math.max(...axis.values.map(text => text.length)) + 12;
    let every = Math.max(1, Math.ceil(last * room / Math.max(width, 1)));
    // A little wider where that reaches the last value.
    for (let step = every; step <= 2 * every; step++) if (last % step === 0) { every = step; break; }
    ticks.replaceChildren(...axis.values.flatMap((text, i) => i % every ? []
      : [make("span", {style: `left:${thumb + width * i / last}px`, class: i === last && 7 * text.length > 2 * thumb ? "lx-end" : ""}, text)]));
  }

  // One slot per picture that any position shows, so that nothing jumps.
  function gallery() {
    const sizes = new Map(), captioned = new Set();
    for (const [name, pictures, captions] of frames.flatMap(frame => frame?.rows ?? [])) {
      sizes.set(name, Math.max(sizes.get(name) ?? 0, pictures.length));
      if (captions.length) captioned.add(name);
    }
    const names = [...sizes.keys()], size = Math.max(0, ...sizes.values());
    const slots = names.map(name => Array.from({length: sizes.get(name)}, () => ({figure: make("figure"),
      image: make("img", {decoding: "sync"}), caption: captioned.has(name) && make("figcaption")})));
    const pictures = make("div", {class: "lx-pictures"}, ...names.map((name, k) => make("div", {}, make("p", {}, name),
      make("div", {class: "lx-grid", style: `--n:${slots[k].length}`}, ...slots[k].map(({figure}) => figure)))));
    return {names, slots, pictures, size};
  }

  function build(box) {
    const strip = box.querySelector(".lx-strip"), stored = [...strip.querySelectorAll("img")], drawn = [...strip.querySelectorAll(".lx-drawing > svg")];
    const {names, slots, pictures, size} = gallery();
    const sliders = axes.map((axis, i) => slider(axis, spec.start[i]));
    const svg = make("svg", {role: "img"}), reading = make("b"), numbers = make("dl");
    const drawing = make("div", {class: "lx-drawing"});
    const mark = make("span", {"aria-hidden": "true"}), sentence = make("span");
    const verdict = make("p", {class: "lx-verdict", "aria-live": "polite"}, mark, sentence);
    const top = make("p", {class: "lx-top"}, make("span", {}, `${curve?.name} over ${axes[0].name}`), reading);
    const plot = make("div", {class: "lx-plot", style: `--gutter:${gutter}px`}, ...curve ? [top, svg] : [], ...sliders.map(({label}) => label));
    const kind = `${size > 4 ? "lx-many" : size > 1 ? "lx-some" : size || !drawn.length ? "lx-few" : "lx-bare"}${drawn.length ? " lx-drawn" : ""}`;
    const live = make("div", {class: `lx-live ${kind}`, role: "group", "aria-label": spec.title},
      ...size ? [pictures] : [], ...drawn.length ? [drawing] : [], plot, verdict, numbers);

    // A copy under other ids, or an empty one that keeps the place.
    function draft(number) {
      const copy = drawn[number ?? 0].cloneNode(number !== null);
      if (copy.querySelector("[id]")) copy.innerHTML = copy.innerHTML.replaceAll(/\bleaky-[0-9a-f]{12}-\d+\b/g, "$&-live");
      return copy;
    }

    function draw() {
      const here = +sliders[0].input.value, from = n * +(sliders[1]?.input.value ?? 0);
      const values = frames.slice(from, from + n).map(frame => frame?.curve ?? [null, null, null, ""]);
      const width = svg.clientWidth, height = svg.clientHeight, ticks = curve.ticks, [low, high] = [ticks[0][0], ticks.at(-1)[0]];
      const x = i => gutter + thumb + (width - gutter - 2 * thumb) * i / (n - 1);
      const y = v => 12 + (height - 24) * (high - v) / (high - low);
      const text = (x, y, anchor, content) => make("text", {x, y, "text-anchor": anchor}, content);
      const line = (x1, y1, x2, y2, style) => make("line", {x1, y1, x2, y2, style});
      const parts = ticks.flatMap(([v, label]) => [line(gutter, y(v), width, y(v), "stroke:var(--lx-line)"), text(gutter - 6, y(v) + 4, "end", label)]);
      let run = []; // neighboring positions that were measured; a gap stays a gap
      const flush = () => {
        const path = (j, points) => points.map(i => `${x(i)} ${y(values[i][j] ?? values[i][0])}`).join("L");
        if (run.length > 1) parts.push(make("path", {d: `M${path(1, run)}L${path(2, [...run].reverse())}Z`, style: "fill:var(--lx-accent);opacity:.18"}),
          make("path", {d: `M${path(0, run)}`, style: "fill:none;stroke:var(--lx-accent);stroke-width:2"}));
        else for (const i of run) parts.push(line(x(i), y(values[i][1] ?? values[i][0]), x(i), y(values[i][2] ?? values[i][0]), "stroke:var(--lx-accent);opacity:.4"));
        run = [];
      };
      values.forEach(([v], i) => v === null ? flush() : run.push(i));
      flush();
      const [at, name] = curve.mark, known = values.filter(([v]) => v !== null);
      if (at !== null) { // named at the end from which the curve is farther away
        const left = known.length && Math.abs(known[0][0] - at) > Math.abs(known.at(-1)[0] - at);
        parts.push(line(gutter, y(at), width, y(at), "stroke:var(--lx-threat);stroke-width:1.5;stroke-dasharray:6 4"));
        parts.push(text(left ? gutter + 4 : width, y(at) - 6, left ? "start" : "end", name));
      }
      values.forEach(([v], i) => v !== null && i !== here && parts.push(make("circle", {cx: x(i), cy: y(v), r: 2.5, style: "fill:var(--lx-accent)"})));
      parts.push(line(x(here), y(high), x(here), height, "stroke:var(--lx-muted);stroke-dasharray:1 3"));
      const [now,,, said] = values[here];
      if (now !== null) parts.push(make("circle", {cx: x(here), cy: y(now), r: 7, style: "fill:var(--lx-accent);stroke:var(--lx-surface);stroke-width:3"}));
      svg.replaceChildren(...parts);
      reading.textContent = said || "not measured";
      svg.setAttribute("aria-label", `Curve of ${curve.name} over ${axes[0].name}, at ${axes[0].values[here]}: ${said || "not measured"}` + (name ? `; line at ${name}` : ""));
    }

    function show() {
      const chosen = sliders.map(({input}) => +input.value), frame = frames[chosen[0] + n * (chosen[1] ?? 0)];
      const where = sliders.map(({axis, value, input}, i) => {
        value.textContent = axis.values[chosen[i]];
        input.setAttribute("aria-valuetext", axis.values[chosen[i]]);
        return `${axis.name}: ${axis.values[chosen[i]]}`;
      }).join(", ");
      names.forEach((name, k) => {
        const row = frame?.rows.find(row => row[0] === name) ?? [name, [], []];
        // One or two pictures take the place of eight.
        const big = slots[k].length > 4 && [1, 2].includes(row[1].length);
        pictures.children[k].lastChild.classList.toggle("lx-big", big);
        slots[k].forEach(({figure, image, caption}, i) => {
          const source = stored[row[1][i]], text = row[2][i] ?? "";
          figure.className = source ? "" : !frame || i === 0 ? "lx-none" : "lx-empty";
          figure.replaceChildren(...source ? [image] : [], ...caption ? [caption] : []);
          if (caption) caption.textContent = text;
          if (!source) return;
          image.src = source.src;
          image.alt = `${name}${row[1].length > 1 ? ` ${i + 1} of ${row[1].length}` : ""}, ${where}${text && `: ${text}`}`;
        });
      });
      if (drawn.length) {
        const copy = draft(frame?.drawing ?? null);
        if (frame?.drawing == null) copy.setAttribute("aria-hidden", "true");
        else copy.setAttribute("aria-label", `${where}. ${frame.verdict[1]}`);
        drawing.replaceChildren(copy);
      }
      const [sign, said] = frame?.verdict ?? ["", `Not measured at ${where}.`];
      verdict.className = `lx-verdict ${{"✓": "lx-holds", "✗": "lx-fails"}[sign[0]] ?? ""}`;
      [mark.textContent, sentence.textContent] = [sign, said];
      numbers.replaceChildren(...(frame?.numbers ?? []).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
      if (curve) draw();
    }

    box.dataset.built = "";
    strip.before(strip.querySelector(".lx-title"), live);
    strip.hidden = true;
    for (const {input} of sliders) input.addEventListener("input", show);
    new ResizeObserver(() => { sliders.forEach(tick); if (curve) draw(); }).observe(plot);
    // On paper every frame has all its pictures; on the screen each is stored once.
    addEventListener("beforeprint", () => {
      strip.querySelectorAll("[data-again]").forEach(text =>
        text.replaceChildren(...text.dataset.again.split(" ").map(i => stored[i].cloneNode())));
      strip.querySelectorAll("[data-drawn]").forEach(text => {
        text.parentElement.className = "lx-drawing";
        text.replaceWith(draft(+text.dataset.drawn));
      });
    });
    show();
  }

  for (const box of document.querySelectorAll(`.leaky-explorer[data-key="${key}"]:not([data-built])`)) build(box);
}
