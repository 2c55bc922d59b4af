// A chart of curves over evaluations or seconds, as SVG: its text stays text and its colors follow the page.

import {plainNumber, raised} from "./words.js";

/**
 * @typedef {object} Curve
 * @property {"matching" | "closed"} method names the class that colors it
 * @property {[number, number][]} points x and y, in the order of x
 */

/**
 * @typedef {object} Line a level to compare with
 * @property {number} at
 * @property {string} name
 * @property {string} kind names its class: gray, goal or floor
 */

/**
 * @typedef {object} Chart
 * @property {boolean} logarithmic in y
 * @property {"seconds" | "evaluations"} unit of x
 * @property {[number, number]} range of y that is shown at least
 * @property {Curve[]} curves
 * @property {Line[]} lines
 */

const GUTTER = 42, FOOT = 20, HEAD = 8; // pixels beside, below and above the curves
const MOST = 400; // points that a curve keeps: more than a chart has pixels is of no use

/**
 * Adds a point. A curve that grows too long loses every second one.
 * @param {[number, number][]} points
 * @param {number} x
 * @param {number} y
 */
export function addPoint(points, x, y) {
  if (!Number.isFinite(y)) return;
  if (points.length >= MOST) points.splice(0, points.length, ...points.filter((_, i) => i % 2 === 0));
  points.push([x, y]);
}

/**
 * Round numbers from 0 to at least `end`, at most six of them.
 * @param {number} end
 * @returns {number[]}
 */
export function roundTicks(end) {
  const rough = end / 5, power = 10 ** Math.floor(Math.log10(rough));
  const steps = [1, 2, 5, 10].map(factor => factor * power);
  const step = steps.find(candidate => candidate >= rough * (1 - 1e-9)) ?? 10 * power;
  return Array.from({length: Math.ceil(end / step - 1e-9) + 1}, (_, i) => Number((i * step).toPrecision(6)));
}

/**
 * @param {SVGSVGElement} svg is emptied and drawn anew
 * @param {number} width in pixels
 * @param {number} height in pixels
 * @param {Chart} chart
 */
export function drawChart(svg, width, height, chart) {
  const {curves, lines, logarithmic, unit} = chart;
  const drawn = curves.flatMap(curve => curve.points);
  const levels = [...drawn.map(point => point[1]), ...lines.map(line => line.at), ...chart.range];
  const [low, high, ticks] = logarithmic ? decades(levels) : decibels(levels);
  const end = Math.max(unit === "seconds" ? 0.5 : 50, ...drawn.map(point => point[0]));
  const across = roundTicks(end), last = across[across.length - 1];
  /** @param {number} value */
  const x = value => GUTTER + (width - GUTTER - 10) * value / last;
  /** @param {number} value */
  const y = value => {
    const share = logarithmic ? Math.log10(value / low) / Math.log10(high / low) : (value - low) / (high - low);
    return HEAD + (height - HEAD - FOOT) * (1 - Math.min(1, Math.max(0, share)));
  };
  const right = width - 10;
  svg.replaceChildren(
    ...ticks.flatMap(at => [
      chartPiece("line", {x1: GUTTER, x2: right, y1: y(at), y2: y(at), class: "grid"}),
      chartText(GUTTER - 6, y(at) + 4, "end", logarithmic ? powerOfTen(at) : String(at)),
    ]),
    ...across.filter((_, i) => i % (width < 300 && across.length > 4 ? 2 : 1) === 0)
      .map(at => chartText(x(at), height - 4, at === last ? "end" : "middle", plainNumber(at))),
    ...lines.map(({at, kind}) => chartPiece("line", {x1: GUTTER, x2: right, y1: y(at), y2: y(at), class: kind})),
    ...curves.filter(({points}) => points.length).flatMap(({method, points}) => {
      const [lastX, lastY] = points[points.length - 1];
      return [
        chartPiece("path", {d: `M${points.map(([a, b]) => `${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("L")}`,
          class: `curve ${method}`}),
        chartPiece("circle", {cx: x(lastX), cy: y(lastY), r: 4, class: `end ${method}`}),
      ];
    }),
    ...lines.map(({at, name, kind}) =>
      chartText(right, y(at) + (kind !== "gray" || y(at) > height - FOOT - 12 ? -5 : 13), "end", name)),
  );
}

/** @param {number[]} levels @returns {[number, number, number[]]} */
function decibels(levels) {
  const most = Math.max(...levels), step = most > 100 ? 40 : most > 50 ? 20 : 10, least = Math.min(...levels);
  const first = Math.floor(least / step) * step, high = Math.ceil(most / step) * step;
  // Room for the name of the lowest line.
  const low = least - first < 0.15 * (high - first) ? first - step / 2 : first;
  const count = Math.round((high - first) / step) + 1;
  return [low, high, Array.from({length: count}, (_, i) => first + i * step)];
}

/** @param {number[]} levels @returns {[number, number, number[]]} */
function decades(levels) {
  const logs = levels.filter(level => level > 0).map(Math.log10);
  const low = Math.floor(Math.min(...logs)), high = Math.max(low + 1, Math.ceil(Math.max(...logs) - 1e-9));
  const step = Math.ceil((high - low) / 4);
  const count = Math.floor((high - low) / step) + 1;
  return [10 ** low, 10 ** high, Array.from({length: count}, (_, i) => 10 ** (high - i * step))];
}

/** @param {number} value a power of ten */
function powerOfTen(value) {
  const power = Math.round(Math.log10(value));
  if (power >= -2 && power <= 2) return String(Number(value.toPrecision(1)));
  return `10${raised(power)}`;
}

/** @param {string} tag @param {Record<string, string | number>} attributes */
function chartPiece(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** @param {number} x @param {number} y @param {string} anchor @param {string} text */
function chartText(x, y, anchor, text) {
  const element = chartPiece("text", {x, y, "text-anchor": anchor});
  element.textContent = text;
  return element;
}
