// How many numbers of a picture the gradient of DLG's LeNet can determine at most, from its shape alone. The bound
// and its proof are leaklib's (identifiability/counting.py); here in closed form for 5×5 convolutions, padding 2.

import {PIXELS, TAPS, layout} from "./network.js";

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
  return {equations: known, unknowns: examples * PIXELS};
}

/**
 * The bound for the input of a convolution, from the one for its output.
 * @param {Convolution} convolution
 * @param {number} examples
 * @param {number} above
 */
function equationsBelow(convolution, examples, above) {
  const {inputs, height, width, outputs, rows, columns} = convolution;
  const most = Math.min(outputs, examples * rows * columns);
  const both = Array.from({length: most + 1}, (_, signals) => equationsOf(convolution, examples, signals));
  return Math.min(examples * inputs * height * width, above + outputs * (inputs * TAPS + 1), Math.max(...both));
}

/**
 * How many equations the output of a convolution and the gradient in its weights give, less those that follow from
 * others. A stride of 2 splits pixels and taps of the kernel into four classes that never meet; in each, the taps of
 * all signals say no more of an input channel than it has pixels. And for each output o and each signal d,
 * Σ W_o · (d ⋆ x) = Σ d · (W_o ∗ x).
 * @param {Convolution} convolution
 * @param {number} examples
 * @param {number} signals that are independent
 */
export function equationsOf({inputs, height, width, outputs, rows, columns, stride}, examples, signals) {
  const pixels = examples * height * width / stride ** 2;
  const taps = stride === 2 ? [3, 2] : [5]; // of each class, in each direction
  let rank = 0; // of d ⋆ in one input channel
  for (const down of taps) for (const right of taps) rank += Math.min(signals * down * right, pixels);
  return examples * outputs * rows * columns + inputs * rank - signals * outputs;
}
