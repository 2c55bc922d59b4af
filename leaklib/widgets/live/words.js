// What the page says: sentences made from numbers, for eyes and for screen readers.

import {tensorOf} from "./network.js";

/** @import {Layout, Update} from "./types.js" */
/** @import {Chart} from "./curves.js" */

/**
 * How one method stands.
 * @typedef {object} Standing
 * @property {"matching" | "closed"} method
 * @property {number[]} scores PSNR in dB of each picture, empty where the original is not known
 * @property {number} evaluations of the network, or iterations of the closed form
 * @property {number} seconds
 * @property {number} lowest loss so far
 * @property {number} gray loss of mid-gray pictures
 * @property {number} enough loss at which only noise is left to fit, 0 where nothing was lost
 * @property {number} restart
 * @property {string} reason why it ended, "" while it runs
 * @property {{evaluations: number, seconds: number} | null} clear when it passed 30 dB
 */

// A loss of gray pictures up to so many times the one at which only noise is left says next to nothing against them.
const HIDDEN = 1.25;

export const METHOD_NAMES = {matching: "Matching", closed: "Closed form"};

/**
 * At most two decimals, thousands with commas. The browser's own formats would cost a tenth of a second at first use.
 * @param {number} value
 */
export function plainNumber(value) {
  const [whole, decimals] = String(Number(value.toFixed(2))).split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (decimals ? `.${decimals}` : "");
}

/** @param {number} count @param {string} one */
export function counted(count, one) {
  return `${plainNumber(count)} ${one}${count === 1 ? "" : "s"}`;
}

/** @param {number} seconds */
export function clockTime(seconds) {
  return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}

/** @param {number} score in dB */
export function decibelText(score) {
  return score === Infinity ? "exact" : `${score.toFixed(score < 100 ? 1 : 0)} dB`;
}

/** @param {number[]} scores */
function roundedDecibels(scores) {
  const rounded = scores.map(score => score === Infinity ? "∞" : String(Math.round(score)));
  return `${rounded.join(" and ")} dB`;
}

/** An exponent. @param {number} power */
export function raised(power) {
  return String(power).replace(/[-\d]/g, sign => sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(sign)]);
}

/** A number of any size. @param {number} value */
export function scienceText(value) {
  const [digits, power] = value.toExponential(1).split("e");
  if (value === 0 || (value >= 0.001 && value < 1000)) return String(Number(value.toPrecision(2)));
  return `${digits === "1.0" ? "" : `${digits} · `}10${raised(Number(power))}`;
}

/**
 * How much leaves the phone.
 * @param {Update} update
 * @param {Layout} layout
 */
export function sentSentence(update, layout) {
  const {mechanism, bits} = update, all = plainNumber(layout.total), bytes = bits / 8, own = 3072 * update.examples;
  const kept = update.sent.reduce((count, value) => count + (value === 0 ? 0 : 1), 0);
  const what = {
    full: `${all} numbers`,
    bits: `${all} numbers of ${mechanism.kind === "bits" ? counted(mechanism.bits, "bit") : ""}`,
    signs: `${all} signs`,
    top: `The largest ${plainNumber(kept)} of ${all} numbers, and where they stand`,
    noise: `${all} numbers, clipped and with noise`,
  }[mechanism.kind];
  const times = bytes / own, than = update.examples === 1 ? "the picture itself has" : "the pictures themselves have";
  const compared = times >= 1.5 ? `${Math.round(times)} times as many as` : `${Math.round(100 * times)} % of what`;
  return `${what}: ${plainNumber(Math.ceil(bytes))} bytes, ${compared} ${than}.`;
}

/**
 * Whether the labels stand in the signs of the last bias: of its ten numbers only theirs are negative.
 * @param {number[]} labels
 * @param {Update} update
 * @param {Layout} layout
 */
export function signsTell(labels, update, layout) {
  const bias = tensorOf(layout, update.sent, 7);
  const negative = [...bias.keys()].filter(k => bias[k] < 0);
  return negative.length === labels.length && negative.every(k => labels.includes(k));
}

/**
 * @param {number[]} labels inferred
 * @param {number[] | null} truth null where it is not known
 * @param {boolean} bySigns
 */
export function labelSentence(labels, truth, bySigns) {
  const name = `${labels.length === 1 ? "Label" : "Labels"} ${labels.join(" and ")}`;
  const how = bySigns ? "read off the signs" : "inferred from the last layer";
  if (!truth) return `${name}, ${how}.`;
  const right = [...labels].sort().join() === [...truth].sort().join();
  return `${name}, ${how}: ${right ? "right" : `wrong, it is ${truth.join(" and ")}`}.`;
}

/** Where the labels are seen. @param {number[]} labels */
export function biasSentence(labels) {
  return labels.length === 1 ? `In the last column only the bias of row ${labels[0]} is below zero: the label.`
    : `In the last column only the biases of rows ${labels.join(" and ")} are below zero: the labels.`;
}

/**
 * Why the attack ended without the picture, where that needs a word.
 * @param {Standing} standing
 * @param {boolean} determined by counting
 * @param {boolean} lossy whether less was sent than was computed
 */
export function endSentence({method, scores, restart, reason, gray, enough}, determined, lossy) {
  if (enough > 0 && gray <= HIDDEN * enough && ["floor", "stuck", "budget"].includes(reason)) {
    return "The noise hides the picture: a gray one explains what was sent nearly as well.";
  }
  if (reason === "floor") return "It stopped where the noise begins: a lower loss would fit noise, not the picture.";
  const found = scores.length > 0 && Math.min(...scores) >= 30;
  if (method === "closed" || found || !["solved", "stuck", "budget"].includes(reason)) return "";
  if (!determined) return "Many pictures have this gradient, and the search found one of them.";
  if (reason === "solved") return lossy ? "All that was sent is explained: what was left out can only be guessed." : "";
  const why = reason === "stuck" ? `It got stuck ${counted(restart + 1, "time")}` : "Its evaluations are spent";
  return `${why}: a failed search, and no proof that the picture is safe.`;
}

/**
 * How far one method is.
 * @param {Standing} standing
 * @param {boolean} named with the method's name before it
 */
export function standingSentence({method, scores, evaluations, seconds, lowest, reason, clear}, named) {
  const unit = method === "closed" ? "iteration" : "evaluation";
  /** In a race only the clock can be compared. @param {{evaluations: number, seconds: number}} at */
  const spent = at => `${named ? "" : `${counted(at.evaluations, unit)} and `}${clockTime(at.seconds)}`;
  const loss = `loss of ${scienceText(lowest)}`;
  const fit = reason === "solved" ? `explained, with a ${loss},` : `a ${loss}`;
  const stopped = reason === "stopped" ? "stopped at " : "";
  const passed = clear && Math.min(...scores) >= 35 ? `30 dB after ${spent(clear)}, ` : "";
  const result = scores.length ? roundedDecibels(scores) : fit;
  const sentence = `${passed}${stopped}${result} after ${spent({evaluations, seconds})}.`;
  return named ? `${METHOD_NAMES[method]}: ${sentence}` : sentence[0].toUpperCase() + sentence.slice(1);
}

/** @param {number[]} gray PSNR in dB of a gray picture against each original */
export function graySentence(gray) {
  return gray.length === 0 ? "" : `A plain gray picture scores ${roundedDecibels(gray)}.`;
}

/**
 * What counting says about an experiment.
 * @param {{equations: number, unknowns: number}} forecast
 */
export function forecastSentence({equations, unknowns}) {
  const count = `${plainNumber(unknowns)} unknowns, at most ${plainNumber(equations)} equations in the whole gradient`;
  return equations < unknowns ? `${count}: cannot be determined.` : `${count}: counting does not forbid it.`;
}

/**
 * A chart for those who do not see it.
 * @param {string} name
 * @param {Chart} chart
 */
export function chartSentence(name, {curves, lines, logarithmic, unit}) {
  /** @param {number} value */
  const level = value => logarithmic ? scienceText(value) : decibelText(value);
  const ends = curves.filter(({points}) => points.length).map(({method, points}) => {
    const [x, y] = points[points.length - 1];
    return `${METHOD_NAMES[method]} ends at ${level(y)} after ${plainNumber(x)} ${unit}`;
  });
  const marks = lines.map(line => `line at ${level(line.at)}: ${line.name}`);
  return `${name} over ${unit}. ${[...ends, ...marks].join("; ")}`;
}
