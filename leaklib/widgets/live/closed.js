// The closed form: from the full gradient of one picture, undo every layer in turn, the last one first.
//
// The last layer hands over its input h and the signal ∂L/∂h; the sigmoid is inverted, so z = σ⁻¹(h) and
// ∂L/∂z = h (1 − h) ∂L/∂h; and a convolution z = W ∗ x + b with the signal d = ∂L/∂z gives two linear systems in x:
//
//   W ∗ x = z − b        one equation for each output
//   d ⋆ x = ∂L/∂W        one for each weight
//
// Each equation counts by how exactly it is known, as in leaklib's attacks/parts/peel.py. They are solved together by
// conjugate gradients for least squares (Hestenes and Stiefel 1952), scaled by the diagonal: they need the layer, its
// weight gradient and the transposes of both, but no matrix.

import {equationsOf} from "./counting.js";
import {tensorOf} from "./network.js";

/** @import {Engine, Layout, Update} from "./types.js" */

const SMALLEST_GAP = 2 ** -52; // a recovered activation may leave (0, 1) by its error
const LOOK_BACK = 10; // iterations that tell how much is still to be gained

/**
 * What is known of a tensor inside the network. Errors are counted in roundings: only their ratios matter.
 * @typedef {object} Known
 * @property {Float64Array} value
 * @property {Float64Array} signal the loss's gradient in it
 * @property {Float64Array} error standard error of each value
 */

/**
 * Rebuilds the picture. Yields after each iteration, so that the caller can pause, show and stop; the last yield has
 * the result. `picture` is the iterate itself, 3 × 32 × 32, which the next iteration changes; only the result is
 * clamped to [0, 1].
 * @param {Engine} engine for one example, with the network's weights in it
 * @param {Update} update
 * @param {{iterations?: number}} [options] at most so many for each layer
 * @returns {Generator<{layer: string, iteration: number, picture?: Float64Array}, void, void>}
 */
export function* peel(engine, update, {iterations = 20000} = {}) {
  checkUpdate(engine.layout, update);
  const rounding = update.sent.every(value => Math.fround(value) === value) ? 2 ** -24 : 2 ** -53;
  let known = undoLast(engine, update.sent);
  let iteration = 0;
  for (let index = 2; index > 0; index--) {
    const layer = new Peeled(engine, index, known, update.sent);
    for (iteration of layer.solve(rounding, iterations)) yield {layer: layer.name, iteration};
    known = layer.input();
  }
  const layer = new Peeled(engine, 0, known, update.sent);
  for (iteration of layer.solve(rounding, iterations)) yield {layer: layer.name, iteration, picture: layer.value};
  layer.value.forEach((value, i) => (layer.value[i] = Math.min(1, Math.max(0, value))));
  yield {layer: layer.name, iteration, picture: layer.value};
}

/**
 * Throws, with a sentence for the reader, unless the update determines the picture.
 * @param {Layout} layout
 * @param {Update} update
 */
function checkUpdate({convolutions, names}, {mechanism, examples}) {
  if (examples !== 1) {
    throw new Error(`The closed form needs the gradient of one picture: this is the mean of ${examples}.`);
  }
  if (mechanism.kind !== "full") {
    const done = {bits: "rounded", signs: "reduced to its signs", top: "thinned out", noise: "clipped and made noisy"};
    throw new Error(`The closed form needs the gradient as it is: this one was ${done[mechanism.kind]}.`);
  }
  for (let index = 2; index >= 0; index--) {
    const {inputs, height, width, outputs} = convolutions[index];
    const [equations, unknowns] = [equationsOf(convolutions[index], 1, outputs), inputs * height * width];
    if (equations >= unknowns) continue;
    const name = names[2 * index].split(".")[0];
    const why = `its output and its gradient determine at most ${equations} of its ${unknowns} inputs`;
    throw new Error(`The closed form cannot undo ${name}: ${why}.`);
  }
}

/**
 * What the last layer hands over: ∂L/∂W = signal · inputᵀ, and its bias tells the signal.
 * @param {Engine} engine
 * @param {Float64Array} sent
 * @returns {Known}
 */
function undoLast({layout, weights}, sent) {
  const {classes, features} = layout;
  const [matrix, gradient, above] = [tensorOf(layout, weights, 6), tensorOf(layout, sent, 6), tensorOf(layout, sent, 7)];
  const [value, signal] = [new Float64Array(features), new Float64Array(features)];
  const square = above.reduce((sum, error) => sum + error ** 2, 0);
  if (square === 0) throw new Error("The closed form cannot undo fc: the gradient in its output is zero.");
  for (let k = 0; k < classes; k++) {
    for (let i = 0; i < features; i++) {
      value[i] += (above[k] * gradient[k * features + i]) / square;
      signal[i] += above[k] * matrix[k * features + i];
    }
  }
  // A rounding is relative; the floor keeps a value near zero from looking infinitely exact.
  const floor = 1e-3 * value.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return {value, signal, error: value.map(v => Math.abs(v) + floor)};
}

/**
 * From the output of a sigmoid to its input z, each with how exactly it is known: one over its error.
 * @param {Known} output
 * @param {number} channels
 */
function undoSigmoid({value, signal, error}, channels) {
  const size = value.length / channels;
  const sum = new Float64Array(value.length); // z
  const below = new Float64Array(value.length); // ∂L/∂z
  const exactness = new Float64Array(value.length); // of z
  const squares = new Float64Array(channels); // of the errors of ∂L/∂z
  for (let i = 0; i < value.length; i++) {
    const activation = Math.min(1 - SMALLEST_GAP, Math.max(SMALLEST_GAP, value[i]));
    const slope = activation * (1 - activation);
    sum[i] = Math.log(activation / (1 - activation));
    below[i] = signal[i] * slope;
    exactness[i] = 1 / Math.hypot(error[i] / slope, sum[i]); // the client rounded z as well
    const bend = signal[i] * (1 - 2 * activation); // how fast ∂L/∂z changes with the activation, over its slope
    squares[Math.floor(i / size)] += (bend * error[i]) ** 2 + below[i] ** 2;
  }
  // The signal's errors meet inputs of about 1/2. A channel without signal only says 0 = 0.
  return {sum, signal: below, exactness, signalExactness: squares.map(square => (square ? 2 / Math.sqrt(square) : 0))};
}

/** A sigmoid and the convolution below it: the equations A x = y for its input x, and their solution. */
class Peeled {
  /**
   * @param {Engine} engine
   * @param {number} index of the convolution
   * @param {Known} output of its sigmoid
   * @param {Float64Array} sent
   */
  constructor(engine, index, output, sent) {
    const {convolutions, names, sizes} = engine.layout;
    const {inputs, height, width, outputs} = convolutions[index];
    const [unknowns, cells, taps] = [inputs * height * width, output.value.length, sizes[2 * index]];
    /** @param {ArrayLike<number>} values */
    const copy = values => {
      const vector = engine.vector(values.length);
      vector.set(values);
      return vector;
    };
    const {sum, signal, exactness, signalExactness} = undoSigmoid(output, outputs);
    this.engine = engine;
    this.index = index;
    this.name = names[2 * index].split(".")[0];
    this.kernel = tensorOf(engine.layout, engine.weights, 2 * index);
    this.signal = copy(signal);
    this.exactness = exactness;
    this.weightedSignal = copy(signal.map((d, i) => d * signalExactness[Math.floor((i * outputs) / cells)]));
    this.value = engine.vector(unknowns).fill(0.5); // x, from mid-gray
    this.step = engine.vector(unknowns);
    this.gradient = engine.vector(unknowns); // Aᵀ(y − A x)
    this.scaled = engine.vector(unknowns); // the gradient over the diagonal of AᵀA
    this.product = engine.vector(unknowns);
    this.outputMisfit = engine.vector(cells); // y − A x, each equation times its exactness
    this.kernelMisfit = engine.vector(taps);
    this.outputChange = engine.vector(cells); // A times a step
    this.kernelChange = engine.vector(taps);
    this.diagonal = this.squares();

    this.apply(this.value);
    const bias = tensorOf(engine.layout, engine.weights, 2 * index + 1);
    const gradient = tensorOf(engine.layout, sent, 2 * index);
    for (let i = 0; i < cells; i++) {
      const target = sum[i] - bias[Math.floor((i * outputs) / cells)];
      this.outputMisfit[i] = exactness[i] * target - this.outputChange[i];
    }
    for (let i = 0; i < taps; i++) {
      this.kernelMisfit[i] = signalExactness[Math.floor((i * outputs) / taps)] * gradient[i] - this.kernelChange[i];
    }
  }

  /** The diagonal of AᵀA: how exactly each input would be known if the others were given. */
  squares() {
    const {engine, index, kernel, exactness, weightedSignal, gradient, product} = this;
    const [squares, cells] = [engine.vector(kernel.length), engine.vector(exactness.length)];
    squares.set(kernel.map(weight => weight * weight));
    cells.set(exactness.map(e => e * e));
    engine.transpose(index, squares, cells, gradient);
    squares.fill(1); // every tap meets the signal as it is
    cells.set(weightedSignal.map(d => d * d));
    engine.transpose(index, squares, cells, product);
    return gradient.map((square, i) => square + product[i]);
  }

  /**
   * A · input, into `outputChange` and `kernelChange`.
   * @param {Float64Array} input
   */
  apply(input) {
    const {engine, index, exactness, outputChange} = this;
    engine.convolve(index, this.kernel, input, outputChange);
    for (let i = 0; i < exactness.length; i++) outputChange[i] *= exactness[i];
    engine.correlate(index, this.weightedSignal, input, this.kernelChange);
  }

  /** Aᵀ · misfit, into `gradient` and, divided by the diagonal, `scaled`. Returns their product. */
  descend() {
    const {engine, index, exactness, gradient, scaled, diagonal, outputChange} = this;
    for (let i = 0; i < exactness.length; i++) outputChange[i] = exactness[i] * this.outputMisfit[i];
    engine.transpose(index, this.kernel, outputChange, gradient);
    engine.transpose(index, this.kernelMisfit, this.weightedSignal, this.product);
    for (let i = 0; i < gradient.length; i++) {
      gradient[i] += this.product[i];
      scaled[i] = gradient[i] / diagonal[i];
    }
    return engine.dot(gradient, scaled);
  }

  /**
   * Conjugate gradients on `value`. ‖A (x − solution)‖² is about what the next iterations take away. When the last
   * ones took less than one rounding of the gradient is worth, what is left belongs to the roundings.
   * @param {number} rounding
   * @param {number} iterations at most
   */
  *solve(rounding, iterations) {
    const {engine, step, scaled, outputMisfit, outputChange, kernelMisfit, kernelChange} = this;
    const gains = new Float64Array(LOOK_BACK).fill(Infinity);
    let size = this.descend();
    step.set(scaled);
    for (let iteration = 1; gains.reduce((sum, gain) => sum + gain) > rounding ** 2 && size > 0; iteration++) {
      if (!(iteration <= iterations)) {
        throw new Error(`The closed form cannot undo ${this.name}: its equations are too ill-conditioned.`);
      }
      this.apply(step);
      const length = size / (engine.dot(outputChange, outputChange) + engine.dot(kernelChange, kernelChange));
      engine.add(length, step, this.value);
      engine.add(-length, outputChange, outputMisfit);
      engine.add(-length, kernelChange, kernelMisfit);
      gains[iteration % LOOK_BACK] = length * size;
      const last = size;
      size = this.descend();
      for (let i = 0; i < step.length; i++) step[i] = scaled[i] + (size / last) * step[i];
      yield iteration;
    }
  }

  /** What is known of the convolution's input, once it is solved. @returns {Known} */
  input() {
    this.engine.transpose(this.index, this.kernel, this.signal, this.product);
    return {value: this.value, signal: this.product, error: this.diagonal.map(square => 1 / Math.sqrt(square))};
  }
}
