// Pictures and gradients on canvases. One number is one pixel here; the style sheet enlarges them.

import {COLORS, PIXELS, SIDE, tensorOf} from "./network.js";

/** @import {Layout} from "./types.js" */
/** @typedef {[number, number, number]} Color red, green, blue from 0 to 255 */
/** @typedef {{negative: Color, zero: Color, positive: Color}} Scale colors at −1, 0 and 1 */

const FILTER_SIDE = 5, MAP_SIDE = 8; // a filter is 5×5, a map that enters the last layer 8×8

/**
 * Shows a picture, channel first; values outside [0, 1] as the nearest that a screen has.
 * @param {HTMLCanvasElement} canvas 32×32
 * @param {ArrayLike<number>} values
 * @param {number} [from] where the picture begins in `values`
 */
export function paintPicture(canvas, values, from = 0) {
  const image = new ImageData(SIDE, SIDE), area = SIDE * SIDE;
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < COLORS; c++) image.data[4 * i + c] = Math.round(255 * values[from + c * area + i]);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

/** @param {HTMLCanvasElement} canvas */
export function clearPicture(canvas) {
  canvas.getContext("2d")?.clearRect(0, 0, canvas.width, canvas.height);
}

/**
 * Where each number of a layer's weights and biases is drawn: columns are the filters of a convolution, each above
 * its bias, and rows what enters it; in the last layer, each class is a row and its bias ends it.
 * @param {Layout} layout
 * @param {number} layer 0 to 3
 * @returns {{width: number, height: number, weights: (index: number) => number, bias: (index: number) => number[]}}
 *   `weights` gives the pixel of a weight, `bias` all pixels of a bias, counted row by row
 */
export function arrangement(layout, layer) {
  if (layer === 3) {
    const maps = layout.channels, step = MAP_SIDE + 1, width = maps * step + 1 + MAP_SIDE, area = MAP_SIDE * MAP_SIDE;
    return {
      width, height: layout.classes * step - 1,
      weights: index => {
        const k = Math.floor(index / layout.features), at = index % area;
        const map = Math.floor(index % layout.features / area);
        return (k * step + Math.floor(at / MAP_SIDE)) * width + map * step + at % MAP_SIDE;
      },
      bias: k => pixelBlock(k * step, maps * step + 1, MAP_SIDE, MAP_SIDE, width),
    };
  }
  const {inputs, outputs} = layout.convolutions[layer], step = FILTER_SIDE + 1, width = outputs * step - 1;
  return {
    width, height: inputs * step + FILTER_SIDE - 1,
    weights: index => {
      const at = index % (FILTER_SIDE * FILTER_SIDE), tile = Math.floor(index / (FILTER_SIDE * FILTER_SIDE));
      const column = Math.floor(tile / inputs), row = tile % inputs;
      return (row * step + Math.floor(at / FILTER_SIDE)) * width + column * step + at % FILTER_SIDE;
    },
    bias: filter => pixelBlock(inputs * step + 1, filter * step, FILTER_SIDE - 2, FILTER_SIDE, width),
  };
}

/** @param {number} top @param {number} left @param {number} height @param {number} breadth @param {number} width */
function pixelBlock(top, left, height, breadth, width) {
  return Array.from({length: height * breadth}, (_, i) => (top + Math.floor(i / breadth)) * width + left + i % breadth);
}

/**
 * Shows one layer of what was sent. Weights and biases are scaled to their own largest number, and small ones are
 * lifted: the color goes with the square root.
 * @param {HTMLCanvasElement} canvas
 * @param {Float64Array} sent `layout.total` numbers
 * @param {Layout} layout
 * @param {number} layer 0 to 3
 * @param {Scale} scale
 */
export function paintLayer(canvas, sent, layout, layer, scale) {
  const {width, height, weights, bias} = arrangement(layout, layer);
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (const tensor of [2 * layer, 2 * layer + 1]) {
    const values = tensorOf(layout, sent, tensor);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    values.forEach((value, index) => {
      const color = mixedColor(scale, value / largest);
      for (const pixel of tensor % 2 ? bias(index) : [weights(index)]) image.data.set([...color, 255], 4 * pixel);
    });
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

/**
 * @param {Scale} scale
 * @param {number} value from −1 to 1
 * @returns {number[]}
 */
function mixedColor(scale, value) {
  const strength = Math.sqrt(Math.abs(value)), end = value < 0 ? scale.negative : scale.positive;
  return scale.zero.map((channel, c) => channel + strength * (end[c] - channel));
}

/**
 * PSNR in dB of one picture, its values held to [0, 1] as they are shown.
 * @param {ArrayLike<number>} guess
 * @param {ArrayLike<number>} original
 * @param {number} [from] where the picture begins in `guess`
 */
export function pictureScore(guess, original, from = 0) {
  let sum = 0;
  for (let i = 0; i < PIXELS; i++) sum += (Math.min(1, Math.max(0, guess[from + i])) - original[i]) ** 2;
  return -10 * Math.log10(sum / PIXELS);
}

/**
 * PSNR of every original against its guess, in the order of the guesses that suits best, and that order.
 * @param {ArrayLike<number>} guesses one picture after another
 * @param {ArrayLike<number>[]} originals one or two
 * @returns {{scores: number[], order: number[]}} `order[i]` is the guess of original i
 */
export function scoreGuesses(guesses, originals) {
  const orders = originals.length === 1 ? [[0]] : [[0, 1], [1, 0]];
  const scored = orders.map(order => {
    return {order, scores: order.map((at, i) => pictureScore(guesses, originals[i], at * PIXELS))};
  });
  /** @param {number[]} scores */
  const error = scores => scores.reduce((sum, score) => sum + 10 ** (-score / 10), 0);
  return scored.sort((a, b) => error(a.scores) - error(b.scores))[0];
}
