// The shapes that the files of this folder hand to each other. Nothing here runs.

/**
 * One 5×5 convolution: `inputs` × height × width in, `outputs` × rows × columns out, padding 2.
 * @typedef {object} Convolution
 * @property {number} inputs
 * @property {number} height
 * @property {number} width
 * @property {number} outputs
 * @property {number} rows
 * @property {number} columns
 * @property {number} stride
 */

/**
 * Where each tensor of DLG's LeNet lies in one flat vector, in the order of leaklib's parameters:
 * conv1.weight, conv1.bias, conv2.weight, conv2.bias, conv3.weight, conv3.bias, fc.weight, fc.bias.
 * @typedef {object} Layout
 * @property {number} channels of every convolution, 8 to 16
 * @property {number} classes always 10
 * @property {Convolution[]} convolutions three
 * @property {number} features that enter the last layer: 64 for each channel
 * @property {string[]} names of the tensors
 * @property {number[]} offsets of the tensors
 * @property {number[]} sizes of the tensors
 * @property {number} total numbers in all, 15,826 at 12 channels
 */

/**
 * The network on a batch, and the few products that attacks need. Two engines have this shape: plain JavaScript
 * (network.js) and C as WebAssembly (compiled.js). All numbers are float64.
 * @typedef {object} Engine
 * @property {Layout} layout
 * @property {number} examples pictures in the batch, 1 or 2
 * @property {Float64Array} weights `layout.total`
 * @property {Float64Array} pictures examples × 3 × 32 × 32, in [0, 1]
 * @property {Float64Array} targets examples × 10, one-hot labels
 * @property {Float64Array} gradient `layout.total`: of the mean cross-entropy in the weights, left by `evaluate`
 * @property {Float64Array} direction `layout.total`: R = ∂D/∂gradient, set by the caller before `mixed`
 * @property {Float64Array} slope examples × 3,072: ∂D/∂pictures, left by `mixed`
 * @property {() => number} evaluate fills `gradient` at weights, pictures and targets; returns the mean loss
 * @property {() => void} mixed after `evaluate`: d/dε ∇pictures L(weights + ε direction) into `slope`
 * @property {(length: number) => Float64Array} vector zeros, where `dot` and `add` can reach them
 * @property {(a: Float64Array, b: Float64Array) => number} dot of two `vector`s or of the fields above
 * @property {(factor: number, a: Float64Array, b: Float64Array) => void} add b += factor · a
 * @property {(layer: number, kernel: Float64Array, input: Float64Array, output: Float64Array) => void} convolve
 *   of one example, output = kernel ∗ input, without a bias, as convolution `layer` does
 * @property {(layer: number, signal: Float64Array, input: Float64Array, kernel: Float64Array) => void} correlate
 *   of one example, kernel = signal ⋆ input: the gradient in the layer's weights
 * @property {(layer: number, kernel: Float64Array, signal: Float64Array, input: Float64Array) => void} transpose
 *   of one example, input = kernelᵀ signal: the gradient in the layer's input
 */

/**
 * What the client does to its gradient before it sends it. `clip` is the L2 norm, `multiplier` the noise's
 * standard deviation in units of it: noise without clipping would mean something else for every network.
 * @typedef {{kind: "full"} | {kind: "bits", bits: number} | {kind: "signs"} | {kind: "top", fraction: number}
 *   | {kind: "noise", clip: number, multiplier: number}} Mechanism
 */

/**
 * All that the server receives from the client, besides the weights, which it sent out itself.
 * @typedef {object} Update
 * @property {Float64Array} sent `layout.total` numbers
 * @property {Mechanism} mechanism public, part of the protocol
 * @property {number} examples
 * @property {number} bits that travelled
 */

/**
 * How far a candidate gradient is from what was sent, as a share of the squared norm of what was sent. Fills
 * `direction` with the derivative in the candidate; both hold `layout.total` numbers.
 * @typedef {(candidate: Float64Array, direction: Float64Array) => number} Distance
 */

/**
 * The attack after an evaluation.
 * @typedef {object} Step
 * @property {number} evaluations in all starts
 * @property {number} loss at this point
 * @property {number} lowest loss of all starts
 * @property {Float64Array} best the pictures of the lowest loss: one array, which later steps overwrite
 * @property {number} restart from 0
 * @property {number} strays how often the search went back to its best point
 */

/** @typedef {"default" | "uniform"} Initialisation PyTorch's own, or U(−½, ½) as the code of DLG draws it */
/** @typedef {{channels: number, weights: Float64Array}} Network what server and client both hold */

/**
 * From the page to the worker. A `share` is the client's work and sees the pictures; an `attack` is the
 * server's and does not.
 * @typedef {{type: "init", wasm: ArrayBuffer | null}
 *   | {type: "share", id: number, network: Network, pictures: Float64Array, labels: number[],
 *      mechanism: Mechanism, seed: number}
 *   | {type: "attack", id: number, network: Network, update: Update, method: "matching" | "closed", seed: number}
 *   | {type: "stop", id: number}} Request
 */

/**
 * How far an attack is. `enough` is the loss below which it stops, since only noise or rounding is left to fit (0 where
 * nothing was lost); `gray` is the loss of mid-gray pictures. `layer` is where the closed form is at work.
 * @typedef {object} Frame
 * @property {number} id
 * @property {Float32Array} pictures examples × 3,072: the best so far
 * @property {number} evaluations
 * @property {number} loss
 * @property {number} lowest
 * @property {number} gray
 * @property {number} enough
 * @property {number} restart
 * @property {number} seconds
 * @property {string} [layer]
 */

/**
 * From the worker to the page. Why an attack ended: "solved" (explains the update), "floor" (as well as noise or
 * rounding lets it), "stuck" (all starts), "budget" (evaluations spent), "stopped" (by the reader).
 * @typedef {{type: "ready", engine: "js" | "wasm"}
 *   | {type: "update", id: number, update: Update}
 *   | {type: "labels", id: number, labels: number[]}
 *   | ({type: "frame"} & Frame)
 *   | ({type: "done", reason: "solved" | "floor" | "stuck" | "budget" | "stopped"} & Frame)
 *   | {type: "error", id: number, text: string}} Reply
 */

export {};
