// The second pane: what leaves the phone, as a picture of each layer, and the label that stands in it.

import {paintLayer} from "./canvas.js";
import {byId} from "./elements.js";
import {plainNumber, sentSentence} from "./words.js";

/** @import {Layout, Update} from "./types.js" */
/** @import {Color, Scale} from "./canvas.js" */

/**
 * A color of the style sheet.
 * @param {string} name
 * @returns {Color}
 */
function namedColor(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim(); // #rrggbb
  return /** @type {Color} */ ([1, 3, 5].map(i => parseInt(text.slice(i, i + 2), 16)));
}

/** @param {boolean} signs black and white, otherwise from blue to orange @returns {Scale} */
function colorScale(signs) {
  const [negative, positive] = signs ? ["--minus", "--plus"] : ["--negative", "--positive"];
  return {negative: namedColor(negative), zero: namedColor("--nought"), positive: namedColor(positive)};
}

/**
 * @param {Layout} layout
 * @param {number} layer 0 to 3
 * @returns {{name: string, numbers: string, kind: string}}
 */
function layerWords(layout, layer) {
  const numbers = plainNumber(layout.sizes[2 * layer] + layout.sizes[2 * layer + 1]);
  if (layer === 3) return {name: "last layer", numbers, kind: "10 rows, each ends in its bias"};
  const {inputs, outputs} = layout.convolutions[layer];
  return {name: `conv${layer + 1}`, numbers, kind: `${inputs} × ${outputs} filters of 5 × 5, and biases`};
}

/**
 * Shows an update; before there is one, the places of its numbers.
 * @param {Layout} layout
 * @param {Update | null} update
 */
export function showSent(layout, update) {
  const signs = update?.mechanism.kind === "signs", scale = colorScale(signs);
  const sent = update?.sent ?? new Float64Array(layout.total);
  /** @type {NodeListOf<HTMLElement>} */
  const figures = byId("layers").querySelectorAll("figure");
  figures.forEach((figure, layer) => {
    const {name, numbers, kind} = layerWords(layout, layer);
    const canvas = /** @type {HTMLCanvasElement} */ (figure.querySelector("canvas"));
    const caption = /** @type {HTMLElement} */ (figure.querySelector("figcaption"));
    paintLayer(canvas, sent, layout, layer, scale);
    const what = `What is sent of ${name}: ${numbers} numbers as colors, ${kind}`;
    canvas.setAttribute("aria-label", update ? what : `Nothing sent of ${name} yet`);
    figure.title = kind;
    caption.replaceChildren(Object.assign(document.createElement("b"), {textContent: name}), ` ${numbers}`);
  });
  byId("legend").classList.toggle("signs", signs);
  byId("legend-text").textContent = signs ? "−1 and +1" : "negative to positive; each layer has its own scale";
  byId("sent-words").textContent = update ? sentSentence(update, layout) : "";
}

/**
 * Points out the labels' rows in the last layer; no labels take the marks away.
 * @param {number[]} labels
 * @param {string} sentence
 */
export function markLabels(labels, sentence) {
  for (const mark of document.querySelectorAll(".read-label")) mark.remove();
  byId("label-words").textContent = sentence;
  byId("last-rows").append(...labels.map(label => {
    const mark = Object.assign(document.createElement("span"), {className: "read-label", textContent: `◂ ${label}`});
    mark.style.setProperty("--label", String(label));
    return mark;
  }));
}
