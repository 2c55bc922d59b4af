// The engine of network.js as WebAssembly, from kernel.c: about four times as fast, the same within rounding.

import {PIXELS, layout} from "./network.js";

/** @import {Engine} from "./types.js" */

/**
 * @param {BufferSource} bytes of kernel.wasm
 * @returns {Promise<WebAssembly.Module>}
 */
export function compileKernel(bytes) {
  return WebAssembly.compile(bytes);
}

/**
 * What kernel.c exports. Arrays are addresses in its memory, in bytes.
 * @typedef {object} Kernel
 * @property {WebAssembly.Memory} memory of a fixed size: a view of it stays valid
 * @property {(channels: number, examples: number) => void} prepare
 * @property {(length: number) => number} allocate an address, or 0 where the memory is full
 * @property {(weights: number, pictures: number, targets: number, gradient: number) => number} evaluate
 * @property {(weights: number, direction: number, slope: number) => void} mixed
 * @property {(a: number, b: number, length: number) => number} dot
 * @property {(factor: number, a: number, b: number, length: number) => void} add
 * @property {(layer: number, kernel: number, input: number, output: number) => void} convolve
 * @property {(layer: number, signal: number, input: number, kernel: number) => void} correlate
 * @property {(layer: number, kernel: number, signal: number, input: number) => void} transpose
 */

/**
 * An engine with a memory of its own.
 * @param {WebAssembly.Module} module from `compileKernel`
 * @param {number} channels 8 to 16
 * @param {number} examples 1 or 2
 * @returns {Engine}
 */
export function compiledEngine(module, channels, examples) {
  const kernel = /** @type {Kernel} */ (/** @type {unknown} */ (new WebAssembly.Instance(module).exports));
  const {buffer} = kernel.memory;
  kernel.prepare(channels, examples);

  /** @param {number} length @returns {Float64Array} */
  const vector = length => {
    const address = kernel.allocate(length);
    if (!address) throw new RangeError(`the kernel's memory is full: no room for ${length} more numbers`);
    return new Float64Array(buffer, address, length);
  };
  /** @param {Float64Array} array @returns {number} */
  const at = array => {
    if (array.buffer !== buffer) throw new TypeError("the kernel reaches only what its engine's vector() made");
    return array.byteOffset;
  };

  const network = layout(channels);
  const [weights, gradient, direction] = [vector(network.total), vector(network.total), vector(network.total)];
  const [pictures, slope] = [vector(examples * PIXELS), vector(examples * PIXELS)];
  const targets = vector(examples * network.classes);
  return {
    layout: network, examples, weights, pictures, targets, gradient, direction, slope, vector,
    evaluate: () => kernel.evaluate(at(weights), at(pictures), at(targets), at(gradient)),
    mixed: () => kernel.mixed(at(weights), at(direction), at(slope)),
    dot: (a, b) => kernel.dot(at(a), at(b), a.length),
    add: (factor, a, b) => kernel.add(factor, at(a), at(b), a.length),
    convolve: (layer, weight, input, output) => kernel.convolve(layer, at(weight), at(input), at(output)),
    correlate: (layer, signal, input, weight) => kernel.correlate(layer, at(signal), at(input), at(weight)),
    transpose: (layer, weight, signal, input) => kernel.transpose(layer, at(weight), at(signal), at(input)),
  };
}
