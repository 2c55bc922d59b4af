// The first pane: the pictures that stay on the phone, their labels, and the ways to another picture.

import {SAMPLE_NAMES} from "./address.js";
import {clearPicture, paintPicture} from "./canvas.js";
import {DrawingPad, PEN_COLORS, PEN_SIZES} from "./drawing.js";
import {byId} from "./elements.js";
import {updateText} from "./pasted.js";
import {fromClipboard, openCamera, readFile, samplePicture} from "./picture.js";

/**
 * @typedef {object} PhoneEvents
 * @property {(sample: string) => void} chosen another picture or label; `sample` is "" for the reader's own picture
 * @property {(text: string) => void} pasted an update arrived instead of a picture
 * @property {(text: string) => void} failed a sentence for the reader
 */

/**
 * @param {string} text
 * @param {Record<string, string>} [attributes]
 */
function makeButton(text, attributes = {}) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  for (const [name, value] of Object.entries(attributes)) button.setAttribute(name, value);
  return button;
}

const OWN_LABEL = 3; // of a picture that is the reader's own

/** One place for a picture. */
class Slot {
  /** @param {HTMLElement} root @param {() => void} relabelled */
  constructor(root, relabelled) {
    this.root = root;
    this.canvas = /** @type {HTMLCanvasElement} */ (root.querySelector("canvas"));
    this.select = /** @type {HTMLSelectElement} */ (root.querySelector("select"));
    for (let label = 0; label < 10; label++) this.select.add(new Option(String(label)));
    this.select.addEventListener("change", relabelled);
    /** @type {Float64Array | null} */
    this.picture = null;
    this.name = "";
  }

  get label() {
    return Number(this.select.value);
  }

  /** @param {Float64Array} picture @param {string} name of the sample, "" for the reader's own */
  fill(picture, name) {
    this.picture = picture;
    this.name = name;
    paintPicture(this.canvas, picture);
    this.root.closest(".phone")?.classList.remove("unknown");
    this.canvas.setAttribute("aria-label", `The picture on the phone: ${name || "your own"}, 32 by 32 pixels`);
  }
}

export class Phone {
  /**
   * @param {Record<string, string>} samples data URLs by name
   * @param {Record<string, number>} labels of the samples
   * @param {PhoneEvents} events
   */
  constructor(samples, labels, events) {
    this.samples = samples;
    this.sampleLabels = labels;
    this.events = events;
    this.pane = byId("phone-name").closest("section");
    this.batch = 1;
    this.latest = 0; // counts choices: of two that are read at once, the later one counts
    const roots = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".slot")]);
    this.slots = roots.map((root, i) => new Slot(root, () => this.relabel(i)));
    /** @type {(() => void) | null} */
    this.closeEasel = null;
    this.listen();
    this.listSamples();
  }

  /** The pictures in the batch; empty while one is missing. @returns {Float64Array[]} */
  get pictures() {
    const pictures = this.used.flatMap(slot => slot.picture ?? []);
    return pictures.length === this.batch ? pictures : [];
  }

  get labels() {
    return this.used.map(slot => slot.label);
  }

  get used() {
    return this.slots.slice(0, this.batch);
  }

  /** The slot that the next picture goes to. */
  get active() {
    const chosen = Number(/** @type {HTMLInputElement} */ (document.querySelector("[name=slot]:checked")).value);
    return this.slots[this.batch === 1 ? 0 : chosen];
  }

  /** @param {1 | 2} batch */
  async setBatch(batch) {
    this.batch = batch;
    this.slots[1].root.hidden = batch === 1;
    this.pane.classList.toggle("two", batch === 2);
    if (!this.slots[0].picture) await this.fillWithSample(this.slots[0], "cat");
    if (batch === 2 && !this.slots[1].picture) {
      await this.fillWithSample(this.slots[1], this.slots[0].name === "astronaut" ? "cat" : "astronaut");
    }
    this.keepDistinct(this.slots[0]);
    this.markSample();
  }

  /** @param {string} name */
  async showSample(name) {
    await this.fillWithSample(this.slots[0], name);
    this.keepDistinct(this.slots[0]);
  }

  /** Nothing is known of the picture behind a pasted update. */
  forget() {
    for (const slot of this.slots) {
      slot.picture = null;
      slot.name = "";
      clearPicture(slot.canvas);
      slot.canvas.setAttribute("aria-label", "Not known: only its update is");
    }
    this.pane.classList.add("unknown");
    this.markSample();
  }

  /** @param {Slot} slot @param {string} name */
  async fillWithSample(slot, name) {
    const picture = await samplePicture(this.samples[name]);
    slot.fill(picture, name);
    slot.select.value = String(this.sampleLabels[name]);
    this.markSample();
  }

  /**
   * @param {() => Promise<Float64Array>} read
   * @param {Slot} [slot]
   */
  async take(read, slot = this.active) {
    const mine = ++this.latest;
    try {
      const picture = await read();
      if (mine !== this.latest) return;
      if (slot.name) slot.select.value = String(OWN_LABEL); // a second picture of the reader's keeps the chosen label
      slot.fill(picture, "");
      this.keepDistinct(this.other(slot));
      this.markSample();
      this.events.chosen("");
    } catch (error) {
      if (mine === this.latest) this.fail(error);
    }
  }

  /** A file is a picture, or an update as JSON. @param {File} file @param {Slot} [slot] */
  async takeFile(file, slot) {
    if (!/\.json$/i.test(file.name) && file.type !== "application/json") return this.take(() => readFile(file), slot);
    try {
      this.events.pasted(await updateText(file));
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {unknown} error */
  fail(error) {
    this.events.failed(error instanceof Error ? error.message : String(error));
  }

  /** @param {Slot} slot */
  other(slot) {
    return this.slots[slot === this.slots[0] ? 1 : 0];
  }

  /** Two pictures have two labels. @param {Slot} kept the other one gives way */
  keepDistinct(kept) {
    const other = this.other(kept);
    if (this.batch === 2 && kept.label === other.label) other.select.value = String((kept.label + 1) % 10);
  }

  /** @param {number} i of the slot */
  relabel(i) {
    this.keepDistinct(this.slots[i]);
    if (this.pictures.length) this.events.chosen(this.slots[0].name);
  }

  markSample() {
    for (const button of byId("samples").children) {
      button.setAttribute("aria-pressed", String(this.used.some(slot => slot.name === button.dataset.sample)));
    }
  }

  listSamples() {
    byId("samples").append(...SAMPLE_NAMES.map(name => {
      const button = makeButton("", {"data-sample": name, "aria-pressed": "false", "aria-label": name, title: name});
      const image = document.createElement("img");
      image.src = this.samples[name];
      image.alt = "";
      button.append(image);
      button.addEventListener("click", async () => {
        this.latest++;
        this.closeEasel?.();
        const slot = this.active;
        await this.fillWithSample(slot, name);
        this.keepDistinct(this.other(slot));
        this.events.chosen(this.slots[0].name);
      });
      return button;
    }));
  }

  listen() {
    byId("file").addEventListener("change", (/** @type {any} */ event) => {
      const [file] = event.target.files;
      this.closeEasel?.();
      if (file) this.takeFile(file);
      event.target.value = ""; // so that the same file can be chosen again
    });
    byId("paste").addEventListener("click", () => this.take(() => fromClipboard()));
    byId("camera").addEventListener("click", () => this.useCamera());
    byId("draw").addEventListener("click", () => this.usePad());
    document.addEventListener("keydown", event => {
      if (event.key === "Escape") this.closeEasel?.();
    });
    document.addEventListener("paste", event => this.pasteByKey(event));
    document.addEventListener("dragover", event => {
      event.preventDefault();
      this.pane.classList.add("over");
    });
    for (const name of ["dragleave", "drop"]) {
      document.addEventListener(name, () => this.pane.classList.remove("over"));
    }
    document.addEventListener("drop", event => {
      event.preventDefault(); // the browser would open the file instead of this page
      const [file] = event.dataTransfer?.files ?? [], text = event.dataTransfer?.getData("text") ?? "";
      const target = event.target instanceof Element ? event.target.closest(".slot") : null;
      this.closeEasel?.();
      if (file) this.takeFile(file, this.used.find(slot => slot.root === target));
      else if (text.trim().startsWith("{")) this.events.pasted(text);
      else this.events.failed("This is not a file, and this page fetches nothing: save the picture and drop its file.");
    });
  }

  /** @param {ClipboardEvent} event */
  pasteByKey(event) {
    if (event.target instanceof HTMLTextAreaElement) return;
    const text = event.clipboardData?.getData("text") ?? "";
    if (text.trim().startsWith("{")) this.events.pasted(text);
    else this.take(() => fromClipboard(event));
  }

  /** Shows the pad or the video in the place of the pictures. @param {HTMLElement} tools @param {() => void} close */
  openEasel(tools, close) {
    this.closeEasel?.();
    const opener = document.activeElement;
    this.pane.classList.add("at-easel");
    byId("easel").hidden = tools.hidden = false;
    byId("ways").hidden = true;
    this.closeEasel = () => {
      this.closeEasel = null;
      close();
      this.pane.classList.remove("at-easel");
      byId("easel").hidden = tools.hidden = true;
      byId("ways").hidden = false;
      if (opener instanceof HTMLElement) opener.focus();
    };
  }

  async useCamera() {
    const video = byId("video"), over = new AbortController(), {signal} = over;
    try {
      const camera = await openCamera(video);
      this.openEasel(byId("camera-tools"), () => {
        over.abort();
        camera.close();
        video.hidden = true;
      });
      video.hidden = false;
      byId("pad").hidden = true;
      byId("shoot").addEventListener("click", async () => {
        await this.take(() => camera.picture());
        this.closeEasel?.();
      }, {signal});
      byId("turn").addEventListener("click", () => camera.turn().catch(error => this.fail(error)), {signal});
      byId("camera-close").addEventListener("click", () => this.closeEasel?.(), {signal});
      byId("shoot").focus();
    } catch (error) {
      this.fail(error);
    }
  }

  usePad() {
    const canvas = byId("pad"), over = new AbortController(), {signal} = over;
    const pad = new DrawingPad(canvas, {
      changed: () => this.take(() => Promise.resolve(pad.picture())),
      say: text => { byId("pen-place").textContent = text; },
    });
    this.openEasel(byId("pen-tools"), () => {
      over.abort();
      pad.close();
      canvas.hidden = true;
    });
    canvas.hidden = false;
    byId("video").hidden = true;
    const pens = PEN_COLORS.map((color, i) => {
      const button = makeButton("", {"aria-label": color.name, title: color.name, "aria-pressed": String(i === 0)});
      button.style.backgroundColor = `rgb(${color.value.join()})`;
      button.addEventListener("click", () => {
        pad.setColor(color);
        for (const other of pens) other.setAttribute("aria-pressed", String(other === button));
      });
      return button;
    });
    byId("pens").replaceChildren(...pens);
    const sizes = PEN_SIZES.map(size => new Option(String(size), String(size), size === 2, size === 2));
    byId("pen-size").replaceChildren(...sizes);
    byId("pen-size").addEventListener("change", () => pad.setSize(Number(byId("pen-size").value)), {signal});
    byId("undo").addEventListener("click", () => pad.undo(), {signal});
    byId("clear").addEventListener("click", () => pad.clear(), {signal});
    byId("pad-close").addEventListener("click", () => this.closeEasel?.(), {signal});
    canvas.focus();
  }
}
