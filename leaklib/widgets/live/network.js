// DLG's LeNet on a batch: its gradient, and how a distance between gradients changes with the pictures.
//
//   D(x) = dist(g(x)),  g(x) = ∇w L(w; x, y).  With R = ∂D/∂g held fixed,  ∂D/∂x = d/dε ∇x L(w + εR; x, y)  at ε = 0.
//
// That is Pearlmutter's R-operator: a forward and a backward pass, each with its tangent. No graph of the gradient is
// kept and nothing is differentiated twice by machine.

/** @import {Convolution, Engine, Layout} from "./types.js" */

export const SIDE = 32; // of a picture,
export const COLORS = 3;
export const PIXELS = COLORS * SIDE * SIDE; // numbers in one picture
const KERNEL = 5; // every kernel is KERNEL × KERNEL,
export const TAPS = KERNEL * KERNEL;
const PADDING = 2; // with this many zeros around its input.
const CLASSES = 10;

/**
 * The network's tensors and sizes.
 * @param {number} channels of every convolution
 * @returns {Layout}
 */
export function layout(channels) {
  /** @type {Convolution[]} */
  const convolutions = [];
  let [inputs, side] = [COLORS, SIDE];
  for (const stride of [2, 2, 1]) {
    const rows = side / stride;
    convolutions.push({inputs, height: side, width: side, outputs: channels, rows, columns: rows, stride});
    [inputs, side] = [channels, rows];
  }
  const features = channels * side * side;
  const sizes = convolutions.flatMap(c => [c.outputs * c.inputs * TAPS, c.outputs]);
  sizes.push(CLASSES * features, CLASSES);
  const names = ["conv1", "conv2", "conv3", "fc"].flatMap(name => [`${name}.weight`, `${name}.bias`]);
  const offsets = sizes.map((_, tensor) => sizes.slice(0, tensor).reduce((sum, size) => sum + size, 0));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return {channels, classes: CLASSES, convolutions, features, names, offsets, sizes, total};
}

/**
 * One tensor of a flat vector, as a view.
 * @param {Layout} layout
 * @param {Float64Array} values `layout.total` numbers
 * @param {number} tensor its place in `layout.names`
 */
export function tensorOf({offsets, sizes}, values, tensor) {
  return values.subarray(offsets[tensor], offsets[tensor] + sizes[tensor]);
}

/**
 * The patches of a convolution, (inputs · 25) × (rows · columns): what each weight of a kernel meets at each output,
 * which makes a convolution a product of small matrices. Here where each entry lies in the input, −1 in the padding.
 * @param {Convolution} convolution
 */
function placesOfPatches({inputs, height, width, rows, columns, stride}) {
  const places = new Int32Array(inputs * TAPS * rows * columns).fill(-1);
  let at = 0;
  for (let channel = 0; channel < inputs; channel++) {
    for (let tap = 0; tap < TAPS; tap++) {
      const [down, right] = [Math.floor(tap / KERNEL) - PADDING, (tap % KERNEL) - PADDING];
      for (let y = down; y < down + stride * rows; y += stride) {
        for (let x = right; x < right + stride * columns; x += stride, at++) {
          if (y >= 0 && y < height && x >= 0 && x < width) places[at] = (channel * height + y) * width + x;
        }
      }
    }
  }
  return places;
}

/**
 * @param {Int32Array} places
 * @param {Float64Array} input inputs × height × width
 * @param {Float64Array} patches
 */
function gatherPatches(places, input, patches) {
  for (let i = 0; i < places.length; i++) patches[i] = places[i] < 0 ? 0 : input[places[i]];
}

/**
 * The transpose of gatherPatches: each entry of `patches` is added to where it came from, in an input of zeros.
 * @param {Int32Array} places
 * @param {Float64Array} patches
 * @param {Float64Array} input
 */
function scatterPatches(places, patches, input) {
  input.fill(0);
  for (let i = 0; i < places.length; i++) if (places[i] >= 0) input[places[i]] += patches[i];
}

// The three products work on KERNEL rows at once, the weights of one row of a kernel: that always comes out even.

/**
 * c += a · b, where a is m × k, b is k × n, c is m × n.
 * @param {Float64Array} a
 * @param {Float64Array} b
 * @param {Float64Array} c
 * @param {number} m
 * @param {number} k
 * @param {number} n
 */
function addProduct(a, b, c, m, k, n) {
  for (let i = 0; i < m; i++) {
    for (let p = 0; p < k; p += KERNEL) {
      const at = i * k + p;
      const [a0, a1, a2, a3, a4] = [a[at], a[at + 1], a[at + 2], a[at + 3], a[at + 4]];
      let [b0, to] = [p * n, i * n];
      let [b1, b2, b3, b4] = [b0 + n, b0 + 2 * n, b0 + 3 * n, b0 + 4 * n];
      for (const end = to + n; to < end; to++) {
        c[to] += a0 * b[b0++] + a1 * b[b1++] + a2 * b[b2++] + a3 * b[b3++] + a4 * b[b4++];
      }
    }
  }
}

/**
 * c += aᵀ · b, where a is m × k, b is m × n, c is k × n.
 * @param {Float64Array} a
 * @param {Float64Array} b
 * @param {Float64Array} c
 * @param {number} m
 * @param {number} k
 * @param {number} n
 */
function addTransposedProduct(a, b, c, m, k, n) {
  for (let p = 0; p < k; p += KERNEL) {
    for (let i = 0; i < m; i++) {
      const at = i * k + p;
      const [a0, a1, a2, a3, a4] = [a[at], a[at + 1], a[at + 2], a[at + 3], a[at + 4]];
      let [c0, from] = [p * n, i * n];
      let [c1, c2, c3, c4] = [c0 + n, c0 + 2 * n, c0 + 3 * n, c0 + 4 * n];
      for (const end = from + n; from < end; from++) {
        const value = b[from];
        c[c0++] += a0 * value;
        c[c1++] += a1 * value;
        c[c2++] += a2 * value;
        c[c3++] += a3 * value;
        c[c4++] += a4 * value;
      }
    }
  }
}

/**
 * c += a · bᵀ, where a is m × n, b is k × n, c is m × k.
 * @param {Float64Array} a
 * @param {Float64Array} b
 * @param {Float64Array} c
 * @param {number} m
 * @param {number} k
 * @param {number} n
 */
function addProductTransposed(a, b, c, m, k, n) {
  for (let i = 0; i < m; i++) {
    for (let p = 0; p < k; p += KERNEL) {
      let [c0, c1, c2, c3, c4] = [0, 0, 0, 0, 0];
      let [from, b0] = [i * n, p * n];
      let [b1, b2, b3, b4] = [b0 + n, b0 + 2 * n, b0 + 3 * n, b0 + 4 * n];
      for (const end = from + n; from < end; from++) {
        const value = a[from];
        c0 += value * b[b0++];
        c1 += value * b[b1++];
        c2 += value * b[b2++];
        c3 += value * b[b3++];
        c4 += value * b[b4++];
      }
      const to = i * k + p;
      c[to] += c0;
      c[to + 1] += c1;
      c[to + 2] += c2;
      c[to + 3] += c3;
      c[to + 4] += c4;
    }
  }
}

/**
 * The network in plain JavaScript, where WebAssembly is missing, and what the kernel is tested against.
 * @param {number} channels 8 to 16
 * @param {number} examples 1 or 2
 * @returns {Engine}
 */
export function plainEngine(channels, examples) {
  const network = layout(channels);
  const convolutions = network.convolutions.map(c => {
    const places = placesOfPatches(c);
    return {...c, taps: c.inputs * TAPS, cells: c.rows * c.columns, places, patches: new Float64Array(places.length)};
  });
  const [weights, gradient, direction] = Array.from({length: 3}, () => new Float64Array(network.total));
  const [pictures, slope] = Array.from({length: 2}, () => new Float64Array(examples * PIXELS));
  const targets = new Float64Array(examples * CLASSES);
  const [weight, partial, tangent] = [weights, gradient, direction]
    .map(all => network.sizes.map((_, tensor) => tensorOf(network, all, tensor)));
  const batch = Array.from({length: examples}, () => new Example(convolutions, weight, partial, tangent, examples));
  /** @param {Float64Array} all @param {number} e @returns {Float64Array} example e's share of a field */
  const of = (all, e) => all.subarray((e * all.length) / examples, ((e + 1) * all.length) / examples);

  return {
    layout: network, examples, weights, pictures, targets, gradient, direction, slope,
    evaluate() {
      gradient.fill(0);
      let loss = 0;
      batch.forEach((example, e) => {
        example.forward(of(pictures, e));
        loss += example.loss(of(targets, e));
        example.backward();
      });
      return loss;
    },
    mixed() {
      batch.forEach((example, e) => {
        example.forwardTangent();
        example.lossTangent();
        example.backwardTangent(of(slope, e));
      });
    },
    vector: length => new Float64Array(length),
    dot(a, b) {
      let [even, odd] = [0, 0]; // two sums: neither waits for the other
      for (let i = 1; i < a.length; i += 2) {
        even += a[i - 1] * b[i - 1];
        odd += a[i] * b[i];
      }
      const last = a.length - 1;
      return even + odd + (last % 2 === 0 ? a[last] * b[last] : 0);
    },
    add(factor, a, b) {
      for (let i = 0; i < a.length; i++) b[i] += factor * a[i];
    },
    convolve(layer, kernel, input, output) {
      const {outputs, taps, cells, places, patches} = convolutions[layer];
      gatherPatches(places, input, patches);
      addProduct(kernel, patches, output.fill(0), outputs, taps, cells);
    },
    correlate(layer, signal, input, kernel) {
      const {outputs, taps, cells, places, patches} = convolutions[layer];
      gatherPatches(places, input, patches);
      addProductTransposed(signal, patches, kernel.fill(0), outputs, taps, cells);
    },
    transpose(layer, kernel, signal, input) {
      const {outputs, taps, cells, places, patches} = convolutions[layer];
      addTransposedProduct(kernel, signal, patches.fill(0), outputs, taps, cells);
      scatterPatches(places, patches, input);
    },
  };
}

/**
 * A convolution with the sizes of its kernels and outputs, and where `patches` that nothing keeps can be written.
 * @typedef {Convolution & {taps: number, cells: number, places: Int32Array, patches: Float64Array}} Gathered
 */

/** What one example leaves in each layer: `evaluate` the values, `mixed` their tangents (d/dε). */
class Example {
  /**
   * @param {Gathered[]} convolutions
   * @param {Float64Array[]} weight the tensors of the engine's weights,
   * @param {Float64Array[]} partial of its gradient
   * @param {Float64Array[]} tangent and of its direction, along which the weights move
   * @param {number} examples in the batch, whose mean is the loss
   */
  constructor(convolutions, weight, partial, tangent, examples) {
    this.convolutions = convolutions;
    this.weight = weight;
    this.partial = partial;
    this.tangent = tangent;
    this.examples = examples;
    const outputs = () => convolutions.map(c => new Float64Array(c.outputs * c.cells));
    this.patches = convolutions.map(c => new Float64Array(c.patches.length)); // of the inputs
    this.activations = outputs(); // a = σ(z)
    this.sensitivities = outputs(); // ∂L/∂z
    this.upper = outputs(); // ∂L/∂a
    this.sums = outputs(); // dz/dε
    this.activationTangents = outputs();
    this.sensitivityTangents = outputs();
    this.upperTangents = outputs();
    this.probabilities = new Float64Array(CLASSES);
    this.errors = new Float64Array(CLASSES); // ∂L/∂logits
  }

  /** Activations of the three convolutions. @param {Float64Array} picture */
  forward(picture) {
    this.convolutions.forEach(({outputs, taps, cells, places}, l) => {
      const [kernel, bias] = this.weight.slice(2 * l);
      const activation = this.activations[l];
      gatherPatches(places, l ? this.activations[l - 1] : picture, this.patches[l]);
      for (let o = 0; o < outputs; o++) activation.fill(bias[o], o * cells, (o + 1) * cells);
      addProduct(kernel, this.patches[l], activation, outputs, taps, cells);
      for (let i = 0; i < activation.length; i++) activation[i] = 1 / (1 + Math.exp(-activation[i]));
    });
  }

  /**
   * The last layer and the softmax: leaves `errors` and `upper` of the last convolution.
   * @param {Float64Array} target
   * @returns {number} this example's share of the mean loss
   */
  loss(target) {
    const {probabilities, errors, examples} = this;
    const [matrix, bias] = this.weight.slice(6);
    const [last, upper] = [this.activations[2], this.upper[2].fill(0)];
    const features = last.length;
    const logits = bias.slice();
    let highest = -Infinity;
    for (let k = 0; k < CLASSES; k++) {
      for (let i = 0; i < features; i++) logits[k] += matrix[k * features + i] * last[i];
      highest = Math.max(highest, logits[k]);
    }
    let sum = 0;
    for (let k = 0; k < CLASSES; k++) sum += probabilities[k] = Math.exp(logits[k] - highest);
    let loss = 0;
    for (let k = 0; k < CLASSES; k++) {
      probabilities[k] /= sum;
      errors[k] = (probabilities[k] - target[k]) / examples;
      loss -= (target[k] * (logits[k] - highest - Math.log(sum))) / examples;
      for (let i = 0; i < features; i++) upper[i] += errors[k] * matrix[k * features + i];
    }
    return loss;
  }

  /** Adds this example's gradient to the engine's. */
  backward() {
    const {errors, partial} = this;
    const last = this.activations[2], features = last.length;
    for (let k = 0; k < CLASSES; k++) {
      partial[7][k] += errors[k];
      for (let i = 0; i < features; i++) partial[6][k * features + i] += errors[k] * last[i];
    }
    for (let l = 2; l >= 0; l--) {
      const {outputs, taps, cells, places, patches} = this.convolutions[l];
      const [activation, sensitivity, upper] = [this.activations[l], this.sensitivities[l], this.upper[l]];
      for (let i = 0; i < sensitivity.length; i++) {
        sensitivity[i] = upper[i] * activation[i] * (1 - activation[i]);
        partial[2 * l + 1][Math.floor(i / cells)] += sensitivity[i];
      }
      addProductTransposed(sensitivity, this.patches[l], partial[2 * l], outputs, taps, cells);
      if (l === 0) return;
      addTransposedProduct(this.weight[2 * l], sensitivity, patches.fill(0), outputs, taps, cells);
      scatterPatches(places, patches, this.upper[l - 1]);
    }
  }

  /** The tangent of `forward`. */
  forwardTangent() {
    this.convolutions.forEach(({outputs, taps, cells, places, patches}, l) => {
      const [kernel, bias] = this.tangent.slice(2 * l);
      const [activation, sum, moved] = [this.activations[l], this.sums[l], this.activationTangents[l]];
      for (let o = 0; o < outputs; o++) sum.fill(bias[o], o * cells, (o + 1) * cells);
      addProduct(kernel, this.patches[l], sum, outputs, taps, cells);
      if (l) {
        gatherPatches(places, this.activationTangents[l - 1], patches);
        addProduct(this.weight[2 * l], patches, sum, outputs, taps, cells);
      }
      for (let i = 0; i < moved.length; i++) moved[i] = activation[i] * (1 - activation[i]) * sum[i];
    });
  }

  /** The tangent of `loss`: leaves `upperTangents` of the last convolution. */
  lossTangent() {
    const {probabilities, errors, examples} = this;
    const [last, moved, upper] = [this.activations[2], this.activationTangents[2], this.upperTangents[2].fill(0)];
    const [matrix, [matrixTangent, biasTangent]] = [this.weight[6], this.tangent.slice(6)];
    const features = last.length;
    const logits = biasTangent.slice();
    let mean = 0; // of the logits' tangents under the probabilities
    for (let k = 0; k < CLASSES; k++) {
      for (let i = 0, at = k * features; i < features; i++, at++) {
        logits[k] += matrixTangent[at] * last[i] + matrix[at] * moved[i];
      }
      mean += probabilities[k] * logits[k];
    }
    for (let k = 0; k < CLASSES; k++) {
      const error = (probabilities[k] * (logits[k] - mean)) / examples;
      for (let i = 0, at = k * features; i < features; i++, at++) {
        upper[i] += error * matrix[at] + errors[k] * matrixTangent[at];
      }
    }
  }

  /** The tangent of `backward`, down to the picture. @param {Float64Array} slope */
  backwardTangent(slope) {
    for (let l = 2; l >= 0; l--) {
      const {outputs, taps, cells, places, patches} = this.convolutions[l];
      const [activation, sum, moved] = [this.activations[l], this.sums[l], this.sensitivityTangents[l]];
      const [upper, upperTangent] = [this.upper[l], this.upperTangents[l]];
      for (let i = 0; i < moved.length; i++) {
        const slopeOfSigmoid = activation[i] * (1 - activation[i]);
        moved[i] = slopeOfSigmoid * (upperTangent[i] + upper[i] * (1 - 2 * activation[i]) * sum[i]);
      }
      addTransposedProduct(this.weight[2 * l], moved, patches.fill(0), outputs, taps, cells);
      addTransposedProduct(this.tangent[2 * l], this.sensitivities[l], patches, outputs, taps, cells);
      scatterPatches(places, patches, l ? this.upperTangents[l - 1] : slope);
    }
  }
}
