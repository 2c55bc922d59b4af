// The labels behind an update, read off the gradient of the last layer. With p the probabilities and y the label, an
// example leaves p − onehot(y) in the bias, and the outer product of that with its features in the weights; a batch
// leaves the mean. For one example the rules are leaklib's, with their sources: attacks/parts/labels.py.

import {tensorOf} from "./network.js";

/** @import {Layout, Update} from "./types.js" */

const POWERS = 200; // of the 10×10 matrix whose leading eigenvectors are sought
const ANGLES = 720; // into which the circle is divided

/**
 * The label of one example, or those of two that differ, in the order of the classes. An Error where no class has
 * the negative entry that a label leaves.
 * @param {Update} update
 * @param {Layout} layout
 * @returns {number[]}
 */
export function inferLabels(update, layout) {
  const bias = tensorOf(layout, update.sent, 7);
  const negative = bias.filter(value => value < 0).length;
  // What the client computed from one example has one negative entry; compression can leave none or several.
  const lost = update.examples === 1 && update.mechanism.kind !== "full" && negative !== 1;
  const evidence = lost ? sumsOfProducts(update, layout) : bias;
  const order = rising(evidence);
  if (!(evidence[order[0]] < 0)) throw new Error("No class has the negative gradient that a label leaves.");
  if (update.examples === 1) return [order[0]];
  // Only labels can be negative in the mean. Where just one is, both pictures look like the other label to the
  // network, and the rows of the weights tell which one that is.
  const second = negative === 1 ? rising(overshoots(update, layout)).find(c => c !== order[0]) : order[1];
  return [order[0], Number(second)].sort((a, b) => a - b);
}

/** The classes from the lowest value to the highest, of equal ones the first. @param {Float64Array} values */
function rising(values) {
  return [...values.keys()].sort((a, b) => values[a] - values[b]);
}

/**
 * The inner products of all rows of the last weights' gradient, classes × classes.
 * @param {Update} update
 * @param {Layout} layout
 */
function productsOfRows({sent}, layout) {
  const {classes, features} = layout;
  const rows = tensorOf(layout, sent, 6);
  return Array.from({length: classes}, (_, a) => Float64Array.from({length: classes}, (_, b) => {
    let sum = 0;
    for (let i = 0; i < features; i++) sum += rows[a * features + i] * rows[b * features + i];
    return sum;
  }));
}

/**
 * Of each class, its row's products with all others: −(p − [is the label])² ‖features‖², lowest for the label.
 * @param {Update} update
 * @param {Layout} layout
 */
function sumsOfProducts(update, layout) {
  const products = productsOfRows(update, layout);
  return Float64Array.from(products, (row, c) => row.reduce((sum, value, other) => other === c ? sum : sum + value, 0));
}

/**
 * How far below zero other entries go, at best, in a combination of the columns whose entry at this class is −1.
 * The columns of two examples' gradient span a plane that holds p − onehot(y) of each, so labels score 0.
 * @param {Update} update
 * @param {Layout} layout
 */
function overshoots(update, layout) {
  const [first, second] = leadingEigenvectors(productsOfRows(update, layout));
  const lowest = new Float64Array(layout.classes).fill(Infinity);
  for (let k = 0; k < ANGLES; k++) {
    const [x, y] = [Math.cos(2 * Math.PI * k / ANGLES), Math.sin(2 * Math.PI * k / ANGLES)];
    const combination = first.map((value, c) => x * value + y * second[c]);
    const order = rising(combination);
    for (const c of order) {
      if (!(combination[c] < 0)) break;
      const below = Math.max(0, -combination[c === order[0] ? order[1] : order[0]]);
      lowest[c] = Math.min(lowest[c], below / -combination[c]);
    }
  }
  return lowest;
}

/**
 * Two orthogonal unit vectors, by powers of the matrix.
 * @param {Float64Array[]} matrix symmetric, no eigenvalue below 0; changed
 */
function leadingEigenvectors(matrix) {
  return [0, 1].map(() => {
    const largest = matrix.reduce((most, row, c) => row[c] > matrix[most][most] ? c : most, 0);
    let vector = normalized(matrix[largest]);
    for (let k = 0; k < POWERS; k++) vector = normalized(times(matrix, vector));
    const image = times(matrix, vector);
    matrix.forEach((row, c) => row.forEach((_, other) => row[other] -= image[c] * vector[other]));
    return vector;
  });
}

/** @param {Float64Array[]} matrix @param {Float64Array} vector */
function times(matrix, vector) {
  return Float64Array.from(matrix, row => row.reduce((sum, value, c) => sum + value * vector[c], 0));
}

/** @param {Float64Array} vector */
function normalized(vector) {
  const norm = Math.hypot(...vector) || 1;
  return vector.map(value => value / norm);
}
