// Sliders, pictures and a curve over the frames of a film strip, which is hidden then.
(() => {
  /** @typedef {{name: string, values: string[]}} Axis */
  /** @typedef {[value: number | null, low: number | null, high: number | null, text: string]} Point */
  /** @typedef {[name: string, pictures: number[], captions: string[]]} Row */
  /** @typedef {{name: string, ticks: [number, string][], mark: [number | null, string | null]}} Curve */
  /**
   * @typedef {object} Frame
   * @property {Row[]} rows
   * @property {[name: string, value: string][]} numbers
   * @property {[mark: string, sentence: string]} verdict
   * @property {Point} curve
   * @property {number | null} drawing
   */
  /** @typedef {{title: string, axes: Axis[], start: number[], curve: Curve | null, frames: (Frame | null)[]}} Spec */

  const THUMB = 12; // pixels: half a thumb, by which it stays inside its track
  const NOTHING = /** @type {Point} */ ([null, null, null, ""]);

  /**
   * @template {keyof HTMLElementTagNameMap} Tag
   * @param {Tag} tag
   * @param {Record<string, string | number>} attributes
   * @param {(string | Node)[]} children
   */
  function make(tag, attributes = {}, ...children) {
    return filled(document.createElement(tag), attributes, children);
  }

  /**
   * @template {keyof SVGElementTagNameMap} Tag
   * @param {Tag} tag
   * @param {Record<string, string | number>} attributes
   * @param {(string | Node)[]} children
   */
  function drawn(tag, attributes, ...children) {
    return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  }

  /**
   * @template {Element} Made
   * @param {Made} element
   * @param {Record<string, string | number>} attributes
   * @param {(string | Node)[]} children
   */
  function filled(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, `${value}`);
    element.append(...children);
    return element;
  }

  /** @param {Axis} axis @param {number} start */
  function slider(axis, start) {
    const value = make("b"), ticks = make("span", {class: "lx-ticks", "aria-hidden": "true"});
    const input = make("input", {type: "range", min: 0, max: axis.values.length - 1, step: 1, "aria-label": axis.name,
      autocomplete: "off", "data-lm-suppress-shortcuts": "true"}); // or JupyterLab takes the arrow keys
    input.value = `${start}`;
    const track = make("span", {class: "lx-track"}, input, ticks);
    const label = make("label", {}, make("span", {class: "lx-name"}, axis.name, value), track);
    return {axis, input, value, ticks, label};
  }

  /**
   * As many ticks as fit, always the first one, each below the place where the thumb stands.
   * @param {ReturnType<typeof slider>} slider
   */
  function tick({axis, ticks}) {
    const last = axis.values.length - 1, width = ticks.clientWidth - 2 * THUMB;
    const room = 7 * Math.max(...axis.values.map(text => text.length)) + 12;
    let every = Math.max(1, Math.ceil(last * room / Math.max(width, 1)));
    // A little wider where that reaches the last value.
    for (let step = every; step <= 2 * every; step++) if (last % step === 0) { every = step; break; }
    // The first and the last one stand inside, which may be too much for the two alone.
    const ends = 7 * (axis.values[0].length + axis.values[last].length) + 12;
    if (every === last && ends > width + 2 * THUMB) every = last + 1;
    ticks.replaceChildren(...axis.values.flatMap((text, i) => {
      if (i % every) return [];
      const edge = 7 * text.length <= 2 * THUMB ? "" : i === 0 ? "lx-start" : i === last ? "lx-end" : "";
      return [make("span", {style: `left:${THUMB + width * i / last}px`, class: edge}, text)];
    }));
  }

  /**
   * One slot per picture that any position shows, so that nothing jumps.
   * @param {Spec["frames"]} frames
   */
  function gallery(frames) {
    const sizes = /** @type {Map<string, number>} */ (new Map()), captioned = new Set();
    for (const [name, pictures, captions] of frames.flatMap(frame => frame?.rows ?? [])) {
      sizes.set(name, Math.max(sizes.get(name) ?? 0, pictures.length));
      if (captions.length) captioned.add(name);
    }
    const rows = [...sizes].map(([name, size]) => {
      const slots = Array.from({length: size}, () => ({figure: make("figure"),
        image: make("img", {decoding: "sync"}), caption: captioned.has(name) ? make("figcaption") : null}));
      const grid = make("div", {class: "lx-grid", style: `--n:${size}`}, ...slots.map(({figure}) => figure));
      return {name, slots, grid};
    });
    const parts = rows.map(({name, grid}) => make("div", {}, make("p", {}, name), grid));
    return {rows, pictures: make("div", {class: "lx-pictures"}, ...parts), size: Math.max(0, ...sizes.values())};
  }

  /**
   * Pictures that are files on the website are loaded before they are shown: none is empty, none is another's.
   * A picture inside the page is there at once.
   */
  function loader() {
    const loads = /** @type {Map<string, Promise<void>>} */ (new Map()), loaded = new Set();
    /** @param {string} source */
    const isHere = source => source.startsWith("data:") || loaded.has(source);
    /** @param {string} source */
    function load(source) {
      if (isHere(source)) return undefined;
      if (!loads.has(source)) {
        const image = new Image();
        image.src = source;
        loads.set(source, image.decode().catch(() => {}).then(() => { loaded.add(source); }));
      }
      return loads.get(source);
    }
    return {isHere, load};
  }

  /** @param {HTMLElement} box */
  function build(box) {
    const strip = /** @type {HTMLElement} */ (box.querySelector(".lx-strip"));
    const spec = /** @type {Spec} */ (JSON.parse(box.querySelector("script")?.textContent ?? ""));
    const {axes, curve, frames} = spec, n = axes[0].values.length;
    const gutter = curve ? 8 + 7 * Math.max(...curve.ticks.map(([, label]) => label.length)) : 0;
    const stored = /** @type {string[]} */ ([]), drawings = /** @type {string[]} */ ([]); // addresses
    for (const image of strip.querySelectorAll("img"))
      (image.closest(".lx-drawing") ? drawings : stored)[Number(image.dataset.n)] = image.src;
    const {rows, pictures, size} = gallery(frames), {isHere, load} = loader();
    const sliders = axes.map((axis, i) => slider(axis, spec.start[i]));

    const svg = drawn("svg", {role: "img"}), reading = make("b"), numbers = make("dl");
    const drawing = make("div", {class: "lx-drawing"});
    const mark = make("span", {"aria-hidden": "true"}), sentence = make("span");
    const verdict = make("p", {class: "lx-verdict", "aria-live": "polite"}, mark, sentence);
    const plot = make("div", {class: "lx-plot", style: `--gutter:${gutter}px`});
    if (curve) {
      const level = curve.mark[1] ? [make("span", {class: "lx-level"}, curve.mark[1])] : [];
      const name = make("span", {}, `${curve.name} over ${axes[0].name}`);
      plot.append(make("p", {class: "lx-top"}, name, reading, ...level), svg);
    }
    plot.append(...sliders.map(({label}) => label));
    const kind = size > 4 ? "lx-many" : size > 1 ? "lx-some" : size || !drawings.length ? "lx-few" : "lx-bare";
    const parts = [...size ? [pictures] : [], ...drawings.length ? [drawing] : [], plot, verdict, numbers];
    const live = make("div", {class: `lx-live ${kind}${drawings.length ? " lx-drawn" : ""}`, role: "group",
      "aria-label": spec.title}, ...parts);

    /** @param {number[]} place */
    const frameAt = place => frames[place[0] + n * (place[1] ?? 0)];
    const chosen = () => sliders.map(({input}) => Number(input.value));
    /** @param {Frame | null | undefined} frame */
    const sources = frame => (frame?.rows ?? []).flatMap(row => row[1].map(i => stored[i]));

    /**
     * A drawing as a piece of the page, whose colors it takes; where nothing was measured an empty one keeps the place.
     * @param {Frame | null | undefined} frame
     * @param {string} where
     */
    function showDrawing(frame, where) {
      const source = drawings[frame?.drawing ?? 0];
      drawing.innerHTML = decodeURIComponent(source.slice(source.indexOf(",") + 1));
      const svg = /** @type {Element} */ (drawing.firstElementChild);
      if (frame?.drawing == null) {
        svg.replaceChildren();
        svg.setAttribute("aria-hidden", "true");
      } else svg.setAttribute("aria-label", `${where}. ${frame.verdict[1]}`);
    }

    /** @param {Curve} curve */
    function draw({ticks, mark: [level]}) {
      const [here, row = 0] = chosen();
      const points = frames.slice(n * row, n * row + n).map(frame => frame?.curve ?? NOTHING);
      const width = svg.clientWidth, height = svg.clientHeight, low = ticks[0][0], high = ticks[ticks.length - 1][0];
      /** @param {number} i */
      const x = i => gutter + THUMB + (width - gutter - 2 * THUMB) * i / (n - 1);
      /** @param {number} v */
      const y = v => 12 + (height - 24) * (high - v) / (high - low);
      /** @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {string} style */
      const line = (x1, y1, x2, y2, style) => drawn("line", {x1, y1, x2, y2, style});
      const parts = /** @type {SVGElement[]} */ (ticks.flatMap(([v, label]) => [
        line(gutter, y(v), width, y(v), "stroke:var(--lx-line)"),
        drawn("text", {x: gutter - 6, y: y(v) + 4, "text-anchor": "end"}, label)]));
      // Neighbors that were measured; a gap stays a gap.
      let run = /** @type {[number, number, number, number][]} */ ([]);
      function flush() {
        /** @param {1 | 2 | 3} j @param {typeof run} run */
        const path = (j, run) => run.map(point => `${point[0]} ${point[j]}`).join("L");
        if (run.length > 1) parts.push(
          drawn("path", {d: `M${path(2, run)}L${path(3, [...run].reverse())}Z`,
            style: "fill:var(--lx-accent);opacity:.18"}),
          drawn("path", {d: `M${path(1, run)}`, style: "fill:none;stroke:var(--lx-accent);stroke-width:2"}));
        else for (const [at,, low, high] of run)
          parts.push(line(at, low, at, high, "stroke:var(--lx-accent);opacity:.4"));
        run = [];
      }
      points.forEach(([v, low, high], i) => v === null ? flush() : run.push([x(i), y(v), y(low ?? v), y(high ?? v)]));
      flush();
      if (level !== null)
        parts.push(line(gutter, y(level), width, y(level),
          "stroke:var(--lx-threat);stroke-width:1.5;stroke-dasharray:6 4"));
      points.forEach(([v], i) => {
        if (v !== null && i !== here)
          parts.push(drawn("circle", {cx: x(i), cy: y(v), r: 2.5, style: "fill:var(--lx-accent)"}));
      });
      parts.push(line(x(here), y(high), x(here), height, "stroke:var(--lx-muted);stroke-dasharray:1 3"));
      const now = points[here][0];
      if (now !== null) parts.push(drawn("circle", {cx: x(here), cy: y(now), r: 7,
        style: "fill:var(--lx-accent);stroke:var(--lx-surface);stroke-width:3"}));
      svg.replaceChildren(...parts);
    }

    /** @param {Frame | null | undefined} frame @param {string} where */
    function showPictures(frame, where) {
      pictures.classList.remove("lx-wait");
      for (const {name, slots, grid} of rows) {
        const [, shown, captions] = frame?.rows.find(row => row[0] === name) ?? [name, [], []];
        // One or two pictures take the place of eight.
        grid.classList.toggle("lx-big", slots.length > 4 && [1, 2].includes(shown.length));
        slots.forEach(({figure, image, caption}, i) => {
          const source = stored[shown[i]], text = captions[i] ?? "";
          figure.className = source ? "" : !frame || i === 0 ? "lx-none" : "lx-empty";
          figure.replaceChildren(...source ? [image] : [], ...caption ? [caption] : []);
          if (caption) caption.textContent = text;
          if (!source) return;
          image.src = source;
          const number = shown.length > 1 ? ` ${i + 1} of ${shown.length}` : "";
          image.alt = `${name}${number}, ${where}${text && `: ${text}`}`;
        });
      }
    }

    /** @param {boolean} moved by the reader, who may have to wait for pictures */
    function show(moved) {
      const place = chosen(), frame = frameAt(place);
      const where = sliders.map(({axis, value, input}, i) => {
        value.textContent = axis.values[place[i]];
        input.setAttribute("aria-valuetext", axis.values[place[i]]);
        return `${axis.name}: ${axis.values[place[i]]}`;
      }).join(", ");
      const waits = moved && !sources(frame).every(isHere);
      if (!waits) showPictures(frame, where);
      else {
        pictures.classList.add("lx-wait");
        Promise.all(sources(frame).map(load)).then(() => {
          if (frameAt(chosen()) === frame) showPictures(frame, where);
        });
      }
      if (drawings.length) showDrawing(frame, where);
      const [sign, said] = frame?.verdict ?? ["", `Not measured at ${where}.`];
      verdict.className = `lx-verdict ${sign[0] === "✓" ? "lx-holds" : sign[0] === "✗" ? "lx-fails" : ""}`;
      [mark.textContent, sentence.textContent] = [sign, said];
      numbers.replaceChildren(...(frame?.numbers ?? []).map(
        ([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
      if (curve) {
        reading.textContent = frame?.curve[3] || "not measured";
        svg.setAttribute("aria-label", `Curve of ${curve.name} over ${axes[0].name}, at ${axes[0].values[place[0]]}: `
          + reading.textContent + (curve.mark[1] ? `; line at ${curve.mark[1]}` : ""));
        if (moved) draw(curve); // at first, as soon as its size is known
      }
    }

    /** @param {number} reach so many steps along the first axis, and one along the second */
    function loadAround(reach) {
      const [here, row] = chosen();
      const last = Math.min(n - 1, here + reach), places = row === undefined ? [] : [[here, row - 1], [here, row + 1]];
      for (let i = Math.max(0, here - reach); i <= last; i++) places.push([i, row]);
      for (const place of places) sources(frameAt(place)).forEach(load);
    }

    box.dataset.built = "";
    strip.before(.../** @type {Element[]} */ ([strip.querySelector(".lx-title")]), live);
    strip.hidden = true;
    const link = address(box, axes, chosen, place => {
      sliders.forEach(({input}, i) => { input.value = `${place[i]}`; });
      show(true);
    });
    live.append(...link.parts);
    for (const {input} of sliders) input.addEventListener("input", () => { show(true); loadAround(n); link.update(); });
    for (const kind of ["pointerenter", "focusin"]) live.addEventListener(kind, () => loadAround(1), {once: true});
    show(false);
    new ResizeObserver(() => { sliders.forEach(tick); if (curve) draw(curve); }).observe(plot);
  }

  /**
   * On the website a figure has a name, and the page's address says where its sliders stand, counted from 1:
   * `#explore:fig-name=3,2`. In a notebook the address is not ours.
   * @param {HTMLElement} box
   * @param {Axis[]} axes
   * @param {() => number[]} chosen
   * @param {(place: number[]) => void} go
   */
  function address(box, axes, chosen, go) {
    const figure = box.closest("figure[id]");
    if (!figure) return {parts: [], update() {}};
    const start = `#explore:${figure.id}=`;
    const link = make("a", {}, "Link to this position"), said = make("span", {role: "status"});
    const fragment = () => start + chosen().map(i => i + 1).join(",");
    let timer = 0;
    function write() {
      clearTimeout(timer);
      try {
        history.replaceState(history.state, "", fragment());
      } catch { /* the browser forbids it, or finds it too often */ }
    }
    function update() {
      link.setAttribute("href", fragment());
      said.textContent = "";
      clearTimeout(timer);
      timer = setTimeout(write, 300);
    }
    function follow() {
      if (!location.hash.startsWith(start)) return;
      const place = location.hash.slice(start.length).split(",").map(text => Number(text) - 1);
      if (place.length !== axes.length || !place.every((p, i) => p in axes[i].values)) return;
      go(place);
      link.setAttribute("href", fragment());
      figure?.scrollIntoView();
    }
    link.setAttribute("href", fragment());
    link.addEventListener("click", async event => {
      event.preventDefault();
      write();
      try {
        await navigator.clipboard.writeText(location.href);
        said.textContent = "Copied";
      } catch {
        said.textContent = "In the address bar";
      }
    });
    addEventListener("hashchange", follow);
    if (document.readyState === "complete") follow();
    else addEventListener("load", follow);
    return {parts: [make("p", {class: "lx-link"}, said, link)], update};
  }

  const boxes = document.querySelectorAll(".leaky-explorer:not([data-built])");
  /** @type {NodeListOf<HTMLElement>} */ (boxes).forEach(build);
})();
