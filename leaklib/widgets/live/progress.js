// The third pane: what every method has computed so far, and the curves below.

import {clearPicture, paintPicture, scoreGuesses} from "./canvas.js";
import {addPoint, drawChart} from "./curves.js";
import {PIXELS} from "./network.js";
import {byId} from "./elements.js";
import {METHOD_NAMES, chartSentence, clockTime, counted, decibelText, scienceText} from "./words.js";

/** @import {Frame} from "./types.js" */
/** @import {Chart} from "./curves.js" */
/** @import {Helper} from "./helper.js" */

/**
 * One method at work.
 * @typedef {object} Lane
 * @property {"matching" | "closed"} method
 * @property {number} id of its job
 * @property {Helper} helper
 * @property {boolean} timed whether its curves run over seconds: iterations of the closed form are no evaluations
 * @property {Frame | null} frame the latest
 * @property {boolean} fresh whether the frame has not been shown
 * @property {string} reason why it ended, "" while it runs
 * @property {number[]} scores PSNR in dB of each original
 * @property {number[]} order which guess is of which original
 * @property {[number, number][]} quality PSNR over evaluations or seconds
 * @property {[number, number][]} losses
 * @property {{evaluations: number, seconds: number} | null} clear when it passed 30 dB
 */

export const LANDMARKS = [20, 30]; // dB that are told in words
const CHART_PAUSE = 50; // milliseconds between two drawings of the curves
const FIRST_STILL = 25; // evaluations

/**
 * Every frame counts for the curves, also where the screen shows fewer.
 * @param {Lane} lane
 * @param {Frame} frame
 * @param {Float64Array[]} originals
 */
export function measureFrame(lane, frame, originals) {
  const x = lane.timed ? frame.seconds : frame.evaluations;
  lane.frame = frame;
  lane.fresh = true;
  if (lane.method === "matching") addPoint(lane.losses, x, frame.loss);
  if (!originals.length) return;
  const before = worstScore(lane);
  ({scores: lane.scores, order: lane.order} = scoreGuesses(frame.pictures, originals));
  addPoint(lane.quality, x, worstScore(lane));
  if (worstScore(lane) >= 30) lane.clear ??= {evaluations: frame.evaluations, seconds: frame.seconds};
  if (LANDMARKS.some(mark => before < mark && worstScore(lane) >= mark)) describeGuess(lane);
}

/** PSNR in dB of the picture that is worse off, −∞ where none is known. @param {Lane} lane */
export function worstScore({scores}) {
  return scores.length ? Math.min(...scores) : -Infinity;
}

/** @param {Lane} lane @returns {HTMLElement} */
function guessOf({method}) {
  return byId("guesses").querySelector(`[data-method=${method}]`);
}

/**
 * Empty pictures for methods that begin.
 * @param {Lane["method"][]} methods
 * @param {number} examples in the batch
 * @param {boolean} known whether there are originals to compare with
 */
export function showLanes(methods, examples, known) {
  for (const guess of byId("guesses").children) {
    guess.hidden = !methods.includes(guess.dataset.method);
    delete guess.dataset.shown;
    guess.querySelectorAll("canvas").forEach((/** @type {HTMLCanvasElement} */ canvas, /** @type {number} */ i) => {
      clearPicture(canvas);
      canvas.hidden = i >= examples;
      canvas.setAttribute("aria-label", "Nothing computed yet");
    });
    guess.querySelector(".score").textContent = guess.querySelector(".work").textContent = "";
  }
  byId("guesses").classList.toggle("race", methods.length > 1);
  byId("guesses").classList.toggle("two", examples === 2);
  byId("loss-chart").hidden = !methods.includes("matching");
  byId("psnr-chart").hidden = !known;
}

/**
 * Shows the latest frame of a method.
 * @param {Lane} lane
 * @param {boolean} still whether pictures should not move: then one is shown whenever the work has doubled
 */
export function showFrame(lane, still) {
  const frame = /** @type {Frame} */ (lane.frame), guess = guessOf(lane), shown = Number(guess.dataset.shown ?? 0);
  lane.fresh = false;
  if (!still || lane.reason || !shown || frame.evaluations >= 2 * shown) {
    guess.dataset.shown = String(Math.max(FIRST_STILL, frame.evaluations));
    guess.querySelectorAll("canvas").forEach((canvas, i) => {
      if (i < lane.order.length) paintPicture(canvas, frame.pictures, lane.order[i] * PIXELS);
    });
  }
  const where = frame.layer && !lane.reason ? `${frame.layer}, ` : "";
  const spent = counted(frame.evaluations, lane.method === "closed" ? "iteration" : "evaluation");
  const work = `${where}${spent}, ${clockTime(frame.seconds)}`;
  const score = lane.scores.length ? lane.scores.map(decibelText).join(" and ") : `loss ${scienceText(frame.lowest)}`;
  /** @type {HTMLElement} */ (guess.querySelector(".score")).textContent = score;
  /** @type {HTMLElement} */ (guess.querySelector(".work")).textContent = work;
}

/** Tells in words what the canvases of a method show. @param {Lane} lane */
export function describeGuess(lane) {
  const loss = `loss ${scienceText(lane.frame?.lowest ?? 0)}`, method = METHOD_NAMES[lane.method].toLowerCase();
  guessOf(lane).querySelectorAll("canvas").forEach((canvas, i) => {
    const quality = i < lane.scores.length ? `${decibelText(lane.scores[i])} against the original` : loss;
    canvas.setAttribute("aria-label", `Computed from the update alone, ${method}: ${quality}`);
  });
}

/** Sizes in pixels, kept so that no drawing has to wait for a layout. @type {Map<Element, DOMRectReadOnly>} */
const chartSizes = new Map();
let lastCharts = -Infinity;

/** @param {() => void} changed draws the charts anew */
export function watchCharts(changed) {
  const watch = new ResizeObserver(entries => {
    for (const {target, contentRect} of entries) chartSizes.set(target, contentRect);
    changed();
  });
  for (const svg of document.querySelectorAll(".charts svg")) watch.observe(svg);
}

/**
 * @param {Lane[]} lanes
 * @param {number[]} gray PSNR in dB of a gray picture against each original
 * @param {boolean} now even if they were drawn a moment ago
 */
export function drawCharts(lanes, gray, now) {
  if (!now && performance.now() - lastCharts < CHART_PAUSE) return;
  lastCharts = performance.now();
  const unit = lanes.some(lane => lane.timed) ? "seconds" : "evaluations", floor = Math.min(...gray);
  const frame = lanes.find(lane => lane.method === "matching")?.frame;
  drawCurves("psnr-chart", "PSNR in dB", "higher is closer", {
    logarithmic: false, unit, range: [10, 40], curves: lanes.map(({method, quality}) => ({method, points: quality})),
    lines: [
      ...Number.isFinite(floor) ? [{at: floor, name: `gray picture ${floor.toFixed(0)} dB`, kind: "gray"}] : [],
      {at: 30, name: "30 dB", kind: "goal"},
    ],
  });
  drawCurves("loss-chart", "Loss", "distance of the gradients", {
    logarithmic: true, unit, range: frame ? [frame.gray, frame.gray] : [1e-12, 1],
    curves: lanes.map(({method, losses}) => ({method, points: losses})),
    lines: frame ? [
      {at: frame.gray, name: "gray picture", kind: "gray"},
      ...frame.enough > 0 ? [{at: frame.enough, name: "only noise is left", kind: "floor"}] : [],
    ] : [],
  });
}

/** @param {string} id @param {string} name @param {string} meaning @param {Chart} chart */
function drawCurves(id, name, meaning, chart) {
  const figure = byId(id), svg = figure.querySelector("svg"), size = chartSizes.get(svg);
  if (!size?.width) return; // hidden
  figure.querySelector("figcaption").textContent = `${name} over ${chart.unit}: ${meaning}`;
  drawChart(svg, size.width, size.height, chart);
  if (document.documentElement.dataset.state !== "running") svg.setAttribute("aria-label", chartSentence(name, chart));
}
