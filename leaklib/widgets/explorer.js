// Sliders, buttons, pictures and curves over the frames of a film strip, which is hidden then.
(() => {
  /** @typedef {{name: string, values: string[], families: string[], buttons: boolean}} Axis */
  /**
   * @typedef {[value: number | null, low: number | null, high: number | null, floor: number | null,
   *   said: [value: string, spread: string]]} Point
   */
  /** @typedef {[name: string, pictures: number[], captions: string[]]} Row */
  /**
   * @typedef {object} Curve
   * @property {string} name
   * @property {[[low: number, text: string], [high: number, text: string]]} limits
   * @property {[number, string][]} ticks
   * @property {[number | null, string | null]} mark
   * @property {string} spread
   * @property {string} floor
   */
  /**
   * @typedef {object} Frame
   * @property {Row[]} rows
   * @property {[name: string, value: string][]} numbers
   * @property {[mark: string, sentence: string]} verdict
   * @property {Point} curve
   * @property {number | null} drawing
   */
  /** @typedef {{title: string, axes: Axis[], start: number[], curve: Curve | null, frames: (Frame | null)[]}} Spec */
  /**
   * What moves along one axis: `show` says where it stands and, per value, why it cannot be chosen or "".
   * @typedef {object} Control
   * @property {HTMLElement} box
   * @property {HTMLInputElement[]} inputs
   * @property {() => number} read
   * @property {(value: number, reasons: () => string[]) => void} show
   * @property {() => void} fit
   */

  const THUMB = 12; // pixels: half a thumb, by which it stays inside its track
  const NOTHING = /** @type {Point} */ ([null, null, null, null, ["", ""]]);
  const ACCENT = "var(--lx-accent)", MUTED = "var(--lx-muted)";

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

  /** @param {Axis} axis @returns {Control} */
  function slider(axis) {
    const value = make("b"), ticks = make("span", {class: "lx-ticks", "aria-hidden": "true"});
    const input = make("input", {type: "range", min: 0, max: axis.values.length - 1, step: 1, "aria-label": axis.name,
      autocomplete: "off", "data-lm-suppress-shortcuts": "true"}); // or JupyterLab takes the arrow keys
    const track = make("span", {class: "lx-track"}, input, ticks);
    let off = /** @type {string[]} */ ([]);
    const mark = () => axis.values.forEach((_, i) => {
      const text = /** @type {HTMLElement | null} */ (ticks.querySelector(`[data-i="${i}"]`));
      if (!text) return;
      text.classList.toggle("lx-off", off[i] !== "");
      text.title = off[i];
    });
    return {
      box: make("label", {class: "lx-slider"}, make("span", {class: "lx-name"}, axis.name, value), track),
      inputs: [input],
      read: () => Number(input.value),
      show(i, reasons) {
        off = reasons();
        mark();
        input.value = `${i}`;
        value.textContent = axis.values[i];
        input.setAttribute("aria-valuetext", axis.values[i]);
      },
      fit() {
        tick(axis, ticks);
        mark();
      },
    };
  }

  /** @param {Axis} axis @returns {Control} */
  function buttons(axis) {
    const name = `lx-${Math.random()}`; // radio buttons of one name belong together, in the whole page
    const all = axis.values.map((text, i) => {
      const input = make("input", {type: "radio", name, value: i, autocomplete: "off",
        "data-lm-suppress-shortcuts": "true"});
      const reason = make("span", {class: "lx-hidden"});
      return {input, reason, label: make("label", {}, input, text, reason)};
    });
    const inputs = all.map(({input}) => input);
    return {
      box: make("div", {class: "lx-choice", role: "radiogroup", "aria-label": axis.name},
        make("span", {class: "lx-name", "aria-hidden": "true"}, axis.name),
        make("span", {class: "lx-buttons"}, ...all.map(({label}) => label))),
      inputs,
      read: () => inputs.findIndex(input => input.checked),
      show(value, reasons) {
        inputs[value].checked = true;
        reasons().forEach((why, i) => {
          const {input, reason, label} = all[i];
          input.disabled = why !== "";
          reason.textContent = why && ` (${why})`;
          label.title = why;
        });
      },
      fit() {},
    };
  }

  /**
   * As many ticks as fit, always the first one, each below the place where the thumb stands.
   * @param {Axis} axis
   * @param {HTMLElement} ticks
   */
  function tick(axis, ticks) {
    const last = axis.values.length - 1, width = ticks.clientWidth - 2 * THUMB;
    const longest = 7 * Math.max(...axis.values.map(text => text.length));
    const room = Math.max(longest + 12, 1.5 * longest + 8 - THUMB); // the last one stands inside, nearer to the one before
    let every = Math.max(1, Math.ceil(last * room / Math.max(width, 1)));
    // A little wider where that reaches the last value.
    for (let step = every; step <= 2 * every; step++) if (last % step === 0) { every = step; break; }
    // Both ends stand inside, which may be too much for the two alone.
    const ends = 7 * (axis.values[0].length + axis.values[last].length) + 12;
    if (every === last && ends > width + 2 * THUMB) every = last + 1;
    ticks.replaceChildren(...axis.values.flatMap((text, i) => {
      if (i % every) return [];
      const edge = 7 * text.length <= 2 * THUMB ? "" : i === 0 ? "lx-start" : i === last ? "lx-end" : "";
      return [make("span", {style: `left:${THUMB + width * i / last}px`, class: edge, "data-i": i}, text)];
    }));
  }

  /**
   * The places of the grid, one number per axis, and how to get from one that was measured to another. The first
   * number is a place along the curve, the others are its setting.
   * @param {Axis[]} axes
   * @param {(Frame | null)[]} frames
   */
  function grid(axes, frames) {
    const sizes = axes.map(axis => axis.values.length), [n] = sizes;
    /** @param {number[]} place */
    const frameAt = place => frames[place.reduceRight((sum, p, i) => sum * sizes[i] + p, 0)];
    /** @param {number[]} setting */
    const along = setting => axes[0].values.map((_, i) => frameAt([i, ...setting]));
    const settings = /** @type {number[][]} */ ([]);
    for (let at = 0; at < frames.length; at += n) {
      if (!frames.slice(at, at + n).some(Boolean)) continue;
      let rest = at / n;
      settings.push(sizes.slice(1).map(size => {
        const p = rest % size;
        rest = (rest - p) / size;
        return p;
      }));
    }

    /**
     * The nearest place of a setting to where the reader wants to stand along the curve, if it has any.
     * @param {number[]} setting
     * @param {number} wanted
     */
    function nearest(setting, wanted) {
      const known = along(setting).flatMap((frame, i) => frame ? [i] : []);
      if (!known.length) return null;
      return [known.reduce((best, i) => Math.abs(i - wanted) < Math.abs(best - wanted) ? i : best), ...setting];
    }

    /**
     * Where a move along an axis ends: at `value`, or at the next one in this direction that was measured.
     * @param {number[]} place
     * @param {number} axis
     * @param {number} value
     * @param {number} wanted
     */
    function moved(place, axis, value, wanted) {
      const step = Math.sign(value - place[axis]) || 1;
      /** @param {number} v */
      const to = v => {
        const next = place.map((p, i) => i === axis ? v : p);
        return axis === 0 ? (frameAt(next) ? next : null) : nearest(next.slice(1), wanted);
      };
      for (let v = value; v in axes[axis].values; v += step) {
        const found = to(v);
        if (found) return found;
      }
      for (let v = value - step; v !== place[axis] && v in axes[axis].values; v -= step) {
        const found = to(v);
        if (found) return found;
      }
      return place;
    }

    /**
     * For each value of an axis why it leads nowhere from here, or "".
     * @param {number[]} place
     * @param {number} axis
     */
    function reasons(place, axis) {
      /** @param {[number, number][]} changes */
      const leads = (...changes) => {
        const next = [...place];
        for (const [i, v] of changes) next[i] = v;
        return axis === 0 ? Boolean(frameAt(next)) : along(next.slice(1)).some(Boolean);
      };
      return axes[axis].values.map((_, v) => {
        if (leads([axis, v])) return "";
        const others = axes.map((_, i) => i).filter(i => i !== axis && (i > 0 || axis === 0));
        const blame = others.filter(i => axes[i].values.some((_, w) => leads([axis, v], [i, w])));
        const named = (blame.length ? blame : others).map(i => `${axes[i].name}: ${axes[i].values[place[i]]}`);
        return named.length ? `not measured with ${named.join(", ")}` : "not measured";
      });
    }
    return {frameAt, along, settings, nearest, moved, reasons};
  }

  /**
   * The curves of all settings over the first axis, with the one of the chosen place in front.
   * @param {Spec} spec
   * @param {Curve} curve
   * @param {ReturnType<typeof grid>} places
   * @param {(setting: number[]) => void} choose
   */
  function chart({axes, frames}, {limits: [[low, lowest], [high, highest]], ...curve}, places, choose) {
    const [axis, ...rest] = axes, n = axis.values.length, families = axis.families.length > 0;
    const points = frames.flatMap(frame => frame ? [frame.curve] : []);
    const values = points.flatMap(([v, a, b]) => [v, a, b]).flatMap(v => v === null ? [] : [v]);
    const over = values.some(v => v > high), under = values.some(v => v < low);
    const scale = [...curve.ticks.map(([, text]) => text), ...over ? [`> ${highest}`] : [], ...under ? [`< ${lowest}`] : []];
    const gutter = 8 + 7 * Math.max(...scale.map(text => text.length));
    const ghosts = places.settings.length > 1, spread = points.some(point => point[4][1]);
    const svg = drawn("svg", {role: ghosts ? "group" : "img", class: ghosts ? "lx-high" : ""});
    const hint = make("span", {class: "lx-hint", hidden: ""});
    /** @param {number[]} setting */
    const named = setting => rest.map((axis, i) => `${axis.name}: ${axis.values[setting[i]]}`).join(", ");

    /** @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {string} style */
    const line = (x1, y1, x2, y2, style) => drawn("line", {x1, y1, x2, y2, style});
    /** @param {number} x @param {number} y @param {number} r @param {boolean} up */
    const triangle = (x, y, r, up) => drawn("path", {d: `M${x - r} ${y}h${2 * r}l${-r} ${up ? -1.6 * r : 1.6 * r}Z`});
    const OPEN = `fill:var(--lx-surface);stroke:${ACCENT};stroke-width:1.5`;

    /** What each mark means: a sample of it, and words. */
    function legend() {
      /** @param {string | Node} words @param {SVGElement[]} parts */
      const item = (words, ...parts) =>
        make("li", {}, drawn("svg", {viewBox: "0 0 24 12", "aria-hidden": "true"}, ...parts), words);
      const edge = triangle(12, 10, 5, over);
      edge.setAttribute("style", OPEN);
      const beyond = [...over ? [`above ${highest}`] : [], ...under ? [`below ${lowest}`] : []].join(" or ");
      return make("ul", {class: "lx-legend"}, ...[
        ghosts && item("this setting", line(0, 6, 24, 6, `stroke:${ACCENT};stroke-width:2`),
          drawn("circle", {cx: 12, cy: 6, r: 3.5, style: `fill:${ACCENT}`})),
        points.some(([, low, high]) => low !== null && low !== high)
          && item(curve.spread, line(12, 0, 12, 12, `stroke:${ACCENT};stroke-width:2;opacity:.55`)),
        ghosts && item("other settings", line(0, 6, 24, 6, `stroke:${MUTED};stroke-width:1.25;opacity:.6`)),
        points.some(point => point[3] !== null) && item(curve.floor,
          drawn("rect", {y: 3, width: 24, height: 9, class: "lx-floor"}), line(0, 3, 24, 3, `stroke:${MUTED}`)),
        curve.mark[1] && item(curve.mark[1],
          line(0, 6, 24, 6, "stroke:var(--lx-threat);stroke-width:1.5;stroke-dasharray:6 4")),
        beyond && item(beyond, edge),
      ].filter(one => one instanceof Node));
    }

    /** @param {number[]} place */
    function draw(place) {
      const [here, ...setting] = place, width = svg.clientWidth, height = svg.clientHeight;
      if (!width) return; // not laid out
      const names = 18 * Number(families); // pixels
      const top = over ? 40 : 12, bottom = height - 12 - names - 28 * Number(under);
      const step = (width - gutter - 2 * THUMB) / (n - 1);
      /** @param {number} i */
      const x = i => gutter + THUMB + step * i;
      /** What is beyond the limits stands at the edge. @param {number} v */
      const y = v => v > high ? top - 18 : v < low ? bottom + 14 : top + (bottom - top) * (high - v) / (high - low);
      const pointsOf = (/** @type {number[]} */ setting) => places.along(setting).map(frame => frame?.curve ?? NOTHING);

      /**
       * Neighbors that were measured and are of one family; a gap stays a gap. What stands alone is a dash.
       * @param {Point[]} points
       */
      function path(points) {
        const joined = points.map(([v], i) =>
          i > 0 && v !== null && points[i - 1][0] !== null && axis.families[i] === axis.families[i - 1]);
        return points.flatMap(([v], i) => v === null ? [] : joined[i] ? [`L${x(i)} ${y(v)}`]
          : joined[i + 1] ? [`M${x(i)} ${y(v)}`] : [`M${x(i) - 4} ${y(v)}h8`]).join("");
      }

      const ground = drawn("g", {"aria-hidden": "true"}, ...curve.ticks.flatMap(([v, label]) => [
        line(gutter, y(v), width, y(v), "stroke:var(--lx-line)"),
        drawn("text", {x: gutter - 6, y: y(v) + 4, "text-anchor": "end"}, label)]));
      for (const [v, label] of /** @type {[number, string][]} */ ([...over ? [[high + 1, `>${highest}`]] : [],
        ...under ? [[low - 1, `<${lowest}`]] : []]))
        ground.append(drawn("text", {x: gutter - 6, y: y(v) + 4, "text-anchor": "end"}, label));
      axis.families.forEach((family, i) => {
        if (family === axis.families[i - 1]) return;
        const last = axis.families.lastIndexOf(family), border = x(i) - step / 2;
        if (i > 0) ground.append(line(border, top - 6, border, height - names, "stroke:var(--lx-line)"));
        ground.append(drawn("text", {x: (x(i) + x(last)) / 2, y: height - 2, "text-anchor": "middle"}, family));
      });

      const own = pointsOf(setting);
      const front = drawn("g", {"aria-hidden": "true", class: "lx-front"});
      own.forEach(([, , , floor], i) => {
        if (floor === null) return;
        const from = Math.max(gutter, x(i) - step / 2), to = Math.min(width, x(i) + step / 2);
        ground.append(drawn("rect", {x: from, y: y(floor), width: to - from, height: y(low) - y(floor), class: "lx-floor"}),
          line(from, y(floor), to, y(floor), `stroke:${MUTED}`));
      });
      if (curve.mark[0] !== null) ground.append(line(gutter, y(curve.mark[0]), width, y(curve.mark[0]),
        "stroke:var(--lx-threat);stroke-width:1.5;stroke-dasharray:6 4"));

      const behind = places.settings.flatMap((other, i) => {
        if (other.every((p, j) => p === setting[j])) return [];
        const d = path(pointsOf(other)), name = named(other);
        return [drawn("g", {class: "lx-ghost", role: "button", tabindex: -1, "aria-label": name, "data-i": i},
          drawn("path", {d}), drawn("path", {d, class: "lx-near"}))];
      });

      front.append(drawn("path", {d: path(own), style: `fill:none;stroke:${ACCENT};stroke-width:2;stroke-linecap:round`}));
      const every = Math.ceil(30 / step); // numbers beyond the edge stand so far apart
      own.forEach(([v, least, most], i) => {
        if (v === null) return;
        const r = i === here ? 7 : 3;
        if (least !== null && most !== null)
          front.append(line(x(i), y(least), x(i), y(most), `stroke:${ACCENT};stroke-width:2;opacity:.55`));
        if (i === here) front.append(line(x(i), top - 8, x(i), height - names, `stroke:${MUTED};stroke-dasharray:1 3`));
        if (v >= low && v <= high) {
          front.append(drawn("circle", {cx: x(i), cy: y(v), r, class: i === here ? "lx-here" : "",
            style: `fill:${ACCENT};stroke:var(--lx-surface);stroke-width:${i === here ? 3 : 0}`}));
          return;
        }
        const up = v > high, mark = triangle(x(i), y(v) + (up ? 0.5 : -0.5) * r, r, up);
        mark.setAttribute("style", OPEN);
        mark.setAttribute("class", i === here ? "lx-here" : "");
        mark.setAttribute("cx", `${x(i)}`);
        front.append(mark);
        if (i === here || (i - here) % every === 0)
          front.append(drawn("text", {x: x(i), y: y(v) + (up ? -10 : 20), "text-anchor": "middle",
            class: i === here ? "lx-said" : ""}, `${Math.round(v)}`));
      });
      svg.replaceChildren(ground, ...behind, front);
    }

    /** @param {Event} event */
    const ghost = event => event.target instanceof Element ? event.target.closest(".lx-ghost") : null;
    svg.addEventListener("pointerdown", event => ghost(event) && event.preventDefault()); // what had the focus keeps it
    svg.addEventListener("click", event => {
      const i = ghost(event)?.getAttribute("data-i");
      if (i != null) choose(places.settings[Number(i)]);
    });
    for (const kind of ["pointerover", "pointerleave"]) svg.addEventListener(kind, event => {
      hint.textContent = ghost(event)?.getAttribute("aria-label") ?? "";
      hint.hidden = !hint.textContent;
    });
    return {svg, hint, spread, legend, draw, gutter};
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
    const {axes, curve, frames} = spec, places = grid(axes, frames), {frameAt} = places;
    const stored = /** @type {string[]} */ ([]), drawings = /** @type {string[]} */ ([]); // addresses
    for (const image of strip.querySelectorAll("img"))
      (image.closest(".lx-drawing") ? drawings : stored)[Number(image.dataset.n)] = image.src;
    const {rows, pictures, size} = gallery(frames), {isHere, load} = loader();
    const controls = axes.map(axis => axis.buttons ? buttons(axis) : slider(axis));
    let place = spec.start, wanted = place[0]; // along the curve, where some settings have nothing

    const plotted = curve && chart(spec, curve, places, setting => go(places.nearest(setting, wanted) ?? place));
    const reading = make("b"), more = make("span"), numbers = make("dl");
    const drawing = make("div", {class: "lx-drawing"});
    const mark = make("span", {"aria-hidden": "true"}), sentence = make("span");
    const verdict = make("p", {class: "lx-verdict", "aria-live": "polite"}, mark, sentence);
    const plot = make("div", {class: "lx-plot", style: `--gutter:${plotted?.gutter ?? 0}px`});
    if (plotted) {
      const name = make("span", {}, `${curve.name} over ${axes[0].name}`);
      plot.append(make("p", {class: "lx-top"}, name, plotted.hint, reading, ...plotted.spread ? [more] : []), plotted.legend(), plotted.svg);
    }
    const boxes = (/** @type {boolean} */ asked) => controls.filter((_, i) => axes[i].buttons === asked).map(({box}) => box);
    const choices = make("div", {class: "lx-choices"}, ...boxes(true));
    plot.append(...boxes(false));
    const kind = size > 4 ? "lx-many" : size > 1 ? "lx-some" : size || !drawings.length ? "lx-few" : "lx-bare";
    const parts = [...size ? [pictures] : [], ...drawings.length ? [drawing] : [],
      ...[plot, choices].filter(part => part.hasChildNodes()), verdict, numbers];
    const also = `${drawings.length ? " lx-drawn" : ""}${choices.hasChildNodes() ? " lx-asked" : ""}${size === 2 ? " lx-two" : ""}`;
    const live = make("div", {class: `lx-live ${kind}${also}`, role: "group",
      "aria-label": spec.title}, ...parts);

    /** @param {Frame | null} frame */
    const sources = frame => (frame?.rows ?? []).flatMap(row => row[1].map(i => stored[i]));

    /**
     * A drawing as a piece of the page, whose colors it takes; where there is none an empty one keeps the place.
     * @param {Frame} frame
     * @param {string} where
     */
    function showDrawing(frame, where) {
      const source = drawings[frame.drawing ?? 0];
      drawing.innerHTML = decodeURIComponent(source.slice(source.indexOf(",") + 1));
      const svg = /** @type {Element} */ (drawing.firstElementChild);
      if (frame.drawing === null) {
        svg.replaceChildren();
        svg.setAttribute("aria-hidden", "true");
      } else svg.setAttribute("aria-label", `${where}. ${frame.verdict[1]}`);
    }

    /** @param {Frame} frame @param {string} where */
    function showPictures(frame, where) {
      pictures.classList.remove("lx-wait");
      for (const {name, slots, grid} of rows) {
        const [, shown, captions] = frame.rows.find(row => row[0] === name) ?? [name, [], []];
        // One or two pictures take the place of eight.
        grid.classList.toggle("lx-big", slots.length > 4 && [1, 2].includes(shown.length));
        slots.forEach(({figure, image, caption}, i) => {
          const source = stored[shown[i]], text = captions[i] ?? "";
          figure.className = source ? "" : i === 0 ? "lx-none" : "lx-empty";
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
      const frame = /** @type {Frame} */ (frameAt(place));
      const where = axes.map((axis, i) => `${axis.name}: ${axis.values[place[i]]}`).join(", ");
      controls.forEach((control, i) => control.show(place[i], () => places.reasons(place, i)));
      if (!moved || sources(frame).every(isHere)) showPictures(frame, where);
      else {
        pictures.classList.add("lx-wait");
        Promise.all(sources(frame).map(load)).then(() => {
          if (frameAt(place) === frame) showPictures(frame, where);
        });
      }
      if (drawings.length) showDrawing(frame, where);
      const [sign, said] = frame.verdict;
      verdict.className = `lx-verdict ${sign[0] === "✓" ? "lx-holds" : sign[0] === "✗" ? "lx-fails" : ""}`;
      [mark.textContent, sentence.textContent] = [sign, said];
      numbers.replaceChildren(...frame.numbers.map(
        ([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
      if (!plotted) return;
      [reading.textContent, more.textContent] = frame.curve[4];
      reading.textContent ||= "no value";
      plotted.svg.setAttribute("aria-label", `Curve of ${curve.name} over ${axes[0].name}, at ${axes[0].values[place[0]]}: `
        + [reading.textContent, more.textContent].filter(Boolean).join(", ") + (curve.mark[1] ? `; line at ${curve.mark[1]}` : ""));
      if (moved) plotted.draw(place); // at first, as soon as its size is known
    }

    /** @param {number[]} next */
    function go(next) {
      place = next;
      show(true);
      loadAround(axes[0].values.length);
      link.update();
    }

    /** @param {number} reach so many steps along the first axis, and one along the others */
    function loadAround(reach) {
      const near = axes.flatMap((axis, a) => axis.values.map((_, v) => ({a, v})))
        .filter(({a, v}) => Math.abs(v - place[a]) <= (a === 0 ? reach : axes[a].buttons ? Infinity : 1))
        .map(({a, v}) => places.moved(place, a, v, wanted));
      for (const next of near) sources(frameAt(next)).forEach(load);
    }

    box.dataset.built = "";
    strip.before(.../** @type {Element[]} */ ([strip.querySelector(".lx-title")]), live);
    strip.hidden = true;
    const link = address(box, axes, () => place, next => {
      if (!frameAt(next)) return false;
      place = next;
      wanted = next[0];
      show(true);
      return true;
    });
    live.append(...link.parts);
    controls.forEach(({inputs, read}, axis) => inputs.forEach(input => input.addEventListener("input", () => {
      const next = places.moved(place, axis, read(), wanted);
      if (axis === 0) wanted = next[0];
      go(next);
    })));
    for (const kind of ["pointerenter", "focusin"]) live.addEventListener(kind, () => loadAround(1), {once: true});
    show(false);
    new ResizeObserver(() => { controls.forEach(({fit}) => fit()); plotted?.draw(place); }).observe(plot);
  }

  /**
   * On the website a figure has a name, and the page's address says where its controls stand, counted from 1:
   * `#explore:fig-name=3,2`. In a notebook the address is not ours.
   * @param {HTMLElement} box
   * @param {Axis[]} axes
   * @param {() => number[]} chosen
   * @param {(place: number[]) => boolean} go says whether there is such a place
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
      if (!go(place)) return;
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
