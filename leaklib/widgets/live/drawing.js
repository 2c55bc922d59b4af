// A picture that the reader draws, with a finger, a pen, a mouse or the keys.

import {COLORS, PIXELS, SIDE} from "./network.js";
import {fromLevels} from "./picture.js";

/** @typedef {{name: string, value: [number, number, number]}} PenColor red, green and blue, 0 to 255 */

/** @type {PenColor[]} */
export const PEN_COLORS = [
  {name: "black", value: [0, 0, 0]}, {name: "white", value: [255, 255, 255]}, {name: "gray", value: [128, 128, 128]},
  {name: "red", value: [214, 40, 40]}, {name: "orange", value: [245, 145, 30]}, {name: "yellow", value: [250, 215, 60]},
  {name: "green", value: [50, 150, 70]}, {name: "blue", value: [40, 90, 200]}, {name: "purple", value: [125, 60, 160]},
  {name: "brown", value: [120, 75, 40]},
];
/** Diameters in pixels of the picture. */
export const PEN_SIZES = [1, 2, 4, 8];
const PAD_CELL = 10; // pixels of the canvas for one of the drawing
const PAD_HISTORY = 100; // strokes that can be undone
/** @type {Record<string, [number, number]>} */
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

/**
 * A sheet to draw on, white at first. Arrow keys move a frame (ten pixels with Shift), the space bar paints below it
 * and, held, along its way, Ctrl+Z or ⌘Z undoes.
 */
export class DrawingPad {
  /**
   * @param {HTMLCanvasElement} canvas gets 320×320 pixels, whatever its size in the page
   * @param {{changed: () => void, say: (text: string) => void}} hear `changed` after each stroke, undo and clear;
   *   `say` gets a text for who does not see the frame move
   */
  constructor(canvas, {changed, say}) {
    canvas.width = canvas.height = SIDE * PAD_CELL;
    const context = canvas.getContext("2d");
    if (!context) throw new Error("This browser has no canvas to draw on: try another one.");
    this.canvas = canvas;
    this.context = context;
    this.changed = changed;
    this.say = say;
    this.levels = new Uint8Array(PIXELS).fill(255); // 32 × 32 × 3
    /** @type {Uint8Array[]} */
    this.history = [];
    this.color = PEN_COLORS[0];
    this.size = 2;
    [this.column, this.row] = [SIDE / 2, SIDE / 2]; // of the frame
    this.framed = false; // whether it is shown
    this.painting = false; // with the space bar held
    /** @type {{id: number, x: number, y: number} | null} */
    this.stroke = null; // of a finger, pen or mouse: where it is
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-roledescription", "drawing pad");
    canvas.setAttribute("aria-label", "Drawing, 32 by 32 pixels. Arrow keys move, space paints, control Z undoes.");
    canvas.style.touchAction = "none"; // a finger draws instead of scrolling
    this.over = new AbortController();
    this.#listen(this.over.signal);
    this.#show();
  }

  /** @returns {Float64Array} 3×32×32 in [0, 1] */
  picture() {
    return fromLevels(this.levels);
  }

  /** @returns {boolean} whether there was anything to undo */
  undo() {
    const before = this.history.pop();
    if (before) this.levels.set(before);
    this.#show();
    if (before) this.changed();
    return Boolean(before);
  }

  clear() {
    this.#begin();
    this.levels.fill(255);
    this.#show();
    this.changed();
  }

  /** @param {PenColor} color */
  setColor(color) {
    this.color = color;
  }

  /** @param {number} size */
  setSize(size) {
    this.size = size;
  }

  close() {
    this.over.abort();
  }

  /** @param {AbortSignal} signal */
  #listen(signal) {
    const {canvas} = this;
    canvas.addEventListener("pointerdown", event => this.#touch(event), {signal});
    canvas.addEventListener("pointermove", event => this.#draw(event), {signal});
    canvas.addEventListener("pointerup", event => this.#leave(event), {signal});
    canvas.addEventListener("pointercancel", event => this.#leave(event), {signal});
    canvas.addEventListener("keydown", event => this.#press(event), {signal});
    canvas.addEventListener("keyup", event => {
      if (event.key === " ") this.#lift();
    }, {signal});
    canvas.addEventListener("focus", () => {
      this.framed = canvas.matches(":focus-visible");
      this.#show();
    }, {signal});
    canvas.addEventListener("blur", () => {
      this.#lift();
      this.framed = false;
      this.#show();
    }, {signal});
  }

  #show() {
    const {context, levels} = this;
    for (let i = 0; i < SIDE * SIDE; i++) {
      context.fillStyle = `rgb(${levels.subarray(COLORS * i, COLORS * i + COLORS).join()})`;
      context.fillRect((i % SIDE) * PAD_CELL, Math.floor(i / SIDE) * PAD_CELL, PAD_CELL, PAD_CELL);
    }
    if (!this.framed) return;
    // Two lines, of which one is seen on any color.
    for (const [style, inset] of /** @type {[string, number][]} */ ([["black", 0.5], ["white", 1.5]])) {
      const [left, top, side] = [this.column * PAD_CELL + inset, this.row * PAD_CELL + inset, PAD_CELL - 2 * inset];
      context.strokeStyle = style;
      context.strokeRect(left, top, side, side);
    }
  }

  /** Keeps what can be gone back to. */
  #begin() {
    this.history.push(this.levels.slice());
    if (this.history.length > PAD_HISTORY) this.history.shift();
  }

  /** @param {number} x of the pen's center, in pixels of the picture @param {number} y */
  #dot(x, y) {
    const {levels, color} = this, reach = this.size / 2;
    let met = false;
    for (let i = 0; i < SIDE * SIDE; i++) {
      const across = (i % SIDE) + 0.5 - x, down = Math.floor(i / SIDE) + 0.5 - y;
      if (across * across + down * down > reach * reach) continue;
      levels.set(color.value, COLORS * i);
      met = true;
    }
    // The smallest pen between two centers: the pixel that it is in.
    const i = Math.floor(y) * SIDE + Math.floor(x);
    if (!met && x >= 0 && y >= 0 && x < SIDE && y < SIDE) levels.set(color.value, COLORS * i);
  }

  /** @param {PointerEvent} event @returns {[number, number]} in pixels of the picture */
  #place(event) {
    const {left, top, width, height} = this.canvas.getBoundingClientRect();
    return [(event.clientX - left) * SIDE / width, (event.clientY - top) * SIDE / height];
  }

  /** @param {PointerEvent} event */
  #touch(event) {
    if (this.stroke || event.button !== 0) return; // a second finger, or another button
    event.preventDefault();
    this.canvas.focus({preventScroll: true});
    this.framed = false;
    try {
      this.canvas.setPointerCapture(event.pointerId);
    } catch {
      // Released already: the stroke is a dot.
    }
    const [x, y] = this.#place(event);
    this.#begin();
    this.#dot(x, y);
    this.stroke = {id: event.pointerId, x, y};
    this.#show();
  }

  /** @param {PointerEvent} event */
  #draw(event) {
    const {stroke} = this;
    if (!stroke || event.pointerId !== stroke.id) return;
    const between = event.getCoalescedEvents?.() ?? [];
    for (const step of between.length ? between : [event]) {
      const [x, y] = this.#place(step), dots = Math.max(1, Math.ceil(2 * Math.hypot(x - stroke.x, y - stroke.y)));
      for (let i = 1; i <= dots; i++) {
        this.#dot(stroke.x + (x - stroke.x) * i / dots, stroke.y + (y - stroke.y) * i / dots);
      }
      [stroke.x, stroke.y] = [x, y];
    }
    this.#show();
  }

  /** @param {PointerEvent} event */
  #leave(event) {
    if (!this.stroke || event.pointerId !== this.stroke.id) return;
    this.stroke = null;
    this.changed();
  }

  #paint() {
    const middle = this.size % 2 ? 0.5 : 1; // of a pen of even size, between pixels: the framed one is left above of it
    this.#dot(this.column + middle, this.row + middle);
  }

  #lift() {
    if (!this.painting) return;
    this.painting = false;
    this.changed();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const arrow = ARROWS[event.key];
    if (arrow && !event.altKey && !event.ctrlKey && !event.metaKey) this.#move(arrow, event.shiftKey ? 10 : 1);
    else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
      this.say(this.undo() ? "undone" : "nothing to undo");
    } else if (event.key !== " ") return;
    else if (!this.painting) {
      this.#begin();
      this.painting = true;
      this.#paint();
      this.#sayPlace();
    }
    event.preventDefault(); // the page does not scroll
    this.framed = true;
    this.#show();
  }

  /** @param {[number, number]} arrow @param {number} steps */
  #move([right, down], steps) {
    for (let i = 0; i < steps; i++) {
      this.column = Math.min(SIDE - 1, Math.max(0, this.column + right));
      this.row = Math.min(SIDE - 1, Math.max(0, this.row + down));
      if (this.painting) this.#paint();
    }
    this.#sayPlace();
  }

  #sayPlace() {
    this.say(`row ${this.row + 1}, column ${this.column + 1}${this.painting ? `, ${this.color.name}` : ""}`);
  }
}
