// How many numbers of a picture the gradient of DLG's LeNet can determine at most, from its shape alone. The bound
// and its proof are leaklib's (identifiability/counting.py); here in closed form for 5×5 convolutions, padding 2.

import {layout} from "./network.js";

/** @import {Convolution} from "./types.js" */

/**
 * At most `equations` of the `unknowns` are determined, whatever the weights, the pictures and the attack.
 * @param {number} channels of every convolution
 * @param {number} examples pictures in the batch
 * @returns {{equations: number, unknowns: number}}
 */
export function forecast(channels, examples) {
  const {convolutions, features, classes} = layout(channels);
  // The last layer: for each of the independent signals, of which an example leaves one, `features` equations from
  // the weights' gradient, less `classes` that follow from the output.
  const signals = Math.min(classes, examples);
  const fromWeights = signals * Math.max(0, features - classes) + examples * classes;
  let known = Math.min(examples * features, (features + 1) * classes, fromWeights);
  for (const convolution of convolutions.toReversed()) known = equationsBelow(convolution, examples, known);
  return {equations: known, unknowns: examples * 3 * 32 * 32};
}

/**
 * The bound for the input of a convolution, from the one for its output.
 * @param {Convolution} convolution
 * @param {number} examples
 * @param {number} above
 */
function equationsBelow(convolution, examples, above) {
  const {inputs, height, width, outputs, rows, columns, stride} = convolution;
  // With stride 2, offsets −2, 0, 2 meet the even pixels and −1, 1 the odd ones, in each direction: four systems.
  const offsets = stride === 2 ? [3, 2] : [5];
  const places = examples * (height / stride) * (width / stride);
  let fromWeights = 0;
  for (let signals = 0; signals <= Math.min(outputs, examples * rows * columns); signals++) {
    let met = 0;
    for (const down of offsets) for (const across of offsets) met += Math.min(signals * down * across, places);
    fromWeights = Math.max(fromWeights, inputs * met - signals * outputs);
  }
  const parameters = outputs * (inputs * 25 + 1);
  return Math.min(examples * inputs * height * width, above + parameters, examples * outputs * rows * columns + fromWeights);
}
