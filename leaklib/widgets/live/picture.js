// From whatever a reader has to a picture of 3×32×32 numbers: files, the camera, the clipboard.
//
// A picture is treated as leaklib's ImageFile treats it: upright as its EXIF orientation says, on white where it is
// transparent, without color profiles, cut to its center square, each pixel the mean of what lies under it, 8 bits
// per level; of an animation the first frame. The browser decodes, all else happens here, because browsers shrink
// pictures each in their own way. What cannot be read is an Error whose message is a sentence for the reader.

import {COLORS, PIXELS, SIDE} from "./network.js";

const MEGABYTE = 1e6;
const LARGEST_FILE = 100 * MEGABYTE;
const LARGEST_PICTURE = 2 ** 30 / 12; // pixels: where Pillow, and with it ImageFile, stops too
const STRIP_PIXELS = 2 ** 20; // pixels that are read back at once: 4 MB
const LONGEST_WORK = 12; // milliseconds of averaging before the page may draw

/** @typedef {HTMLCanvasElement | HTMLVideoElement | ImageBitmap} Source what holds decoded pixels */

/**
 * Which pixels of `length` each of 32 means is taken of: all whose center lies in its part. A shorter side is
 * enlarged in blocks. The rule, rounding included, is Pillow's box filter.
 * @param {number} length
 * @returns {{first: number, count: number, factor: number}[]} `factor` is 2²² / count, as an integer
 */
function boxes(length) {
  const step = length / SIDE, reach = Math.max(step, 1), scale = 1 / reach;
  return Array.from({length: SIDE}, (_, i) => {
    const center = (i + 0.5) * step;
    const end = Math.min(length, Math.floor(center + reach / 2 + 0.5));
    const inside = [];
    for (let x = Math.max(0, Math.floor(center - reach / 2 + 0.5)); x < end; x++) {
      const distance = (x - center + 0.5) * scale;
      if (distance > -0.5 && distance <= 0.5) inside.push(x);
    }
    return {first: inside[0], count: inside.length, factor: Math.floor(0.5 + (1 / inside.length) * 2 ** 22)};
  });
}

/**
 * The mean of each box: along a row of pixels, or along a column of such means.
 * @param {ArrayLike<number>} values 8-bit levels
 * @param {number} start of the row or column in `values`
 * @param {number} stride from one to the next
 * @param {{first: number, count: number, factor: number}} box
 * @returns {number} a level, 0 to 255
 */
function boxMean(values, start, stride, {first, count, factor}) {
  let sum = 0;
  for (let i = start + first * stride, end = i + count * stride; i < end; i += stride) sum += values[i];
  return Math.min(255, Math.floor((sum * factor + 2 ** 21) / 2 ** 22));
}

/** Lets the page draw and hear the reader. */
const breathe = () => new Promise(done => setTimeout(done));

/** @param {number} width @param {number} height @returns {CanvasRenderingContext2D} white, for reading back */
function whiteGround(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  if (!context) throw new Error("This browser has no canvas to read pictures with: try another one.");
  context.imageSmoothingEnabled = false;
  context.fillStyle = "white";
  return context;
}

/** Some browsers blur what a page reads from a canvas, against tracking: then the picture would be noise. */
function checkCanvas() {
  const context = whiteGround(16, 1);
  const painted = Array.from({length: 16}, (_, i) => [16 * i, 255 - 16 * i, (97 * i) % 256]);
  painted.forEach((color, i) => {
    context.fillStyle = `rgb(${color.join()})`;
    context.fillRect(i, 0, 1, 1);
  });
  const read = context.getImageData(0, 0, 16, 1).data;
  if (painted.some((color, i) => color.some((level, c) => Math.abs(level - read[4 * i + c]) > 2))) {
    throw new Error("This browser hides from pages what is on a canvas: allow it for this page, or try another one.");
  }
}

/**
 * The center square of what is decoded, averaged to 32×32, in strips: no second copy of a large picture is made.
 * @param {Source} source
 * @param {number} width of all of it, in pixels
 * @param {number} height
 * @returns {Promise<Float64Array>} 3×32×32 in [0, 1], to the bit what leaklib makes of the same pixels
 */
async function averaged(source, width, height) {
  checkCanvas();
  const side = Math.min(width, height), left = Math.floor((width - side) / 2), top = Math.floor((height - side) / 2);
  const box = boxes(side), rows = Math.max(1, Math.min(side, Math.floor(STRIP_PIXELS / side)));
  const context = whiteGround(side, rows);
  const means = new Uint8Array(side * SIDE * COLORS); // each row of the square, 32 pixels wide
  let since = performance.now();
  for (let row = 0; row < side; row += rows) {
    const here = Math.min(rows, side - row);
    context.fillRect(0, 0, side, here);
    context.drawImage(source, left, top + row, side, here, 0, 0, side, here);
    const pixels = context.getImageData(0, 0, side, here).data; // red, green, blue, opaque
    for (let y = 0; y < here; y++) {
      for (let x = 0; x < SIDE; x++) {
        const at = ((row + y) * SIDE + x) * COLORS;
        for (let c = 0; c < COLORS; c++) means[at + c] = boxMean(pixels, y * side * 4 + c, 4, box[x]);
      }
    }
    if (performance.now() - since > LONGEST_WORK) {
      await breathe();
      since = performance.now();
    }
  }
  const levels = new Uint8Array(PIXELS), across = SIDE * COLORS;
  for (let i = 0; i < PIXELS; i++) levels[i] = boxMean(means, i % across, across, box[Math.floor(i / across)]);
  return fromLevels(levels);
}

/**
 * @param {Uint8Array} levels 32 × 32 × 3, the colors of a pixel one after the other
 * @returns {Float64Array} 3×32×32 in [0, 1], rounded to float32 as in leaklib
 */
export function fromLevels(levels) {
  const area = SIDE * SIDE;
  return Float64Array.from(levels, (_, i) => Math.fround(levels[(i % area) * COLORS + Math.floor(i / area)] / 255));
}

/**
 * Width and height, which the browser finds without decoding the pixels.
 * @param {Blob} file
 * @returns {Promise<{width: number, height: number} | null>} null where it finds none
 */
async function sizeOf(file) {
  const address = URL.createObjectURL(file), image = new Image();
  try {
    return await new Promise(done => {
      image.onload = () => done({width: image.naturalWidth, height: image.naturalHeight});
      image.onerror = () => done(null);
      image.src = address;
    });
  } finally {
    image.src = "";
    URL.revokeObjectURL(address);
  }
}

// How files of pictures begin.
const SIGNATURES = /** @type {const} */ ([
  ["PNG", /^\x89PNG/], ["JPEG", /^\xff\xd8\xff/], ["GIF", /^GIF8/], ["WebP", /^RIFF[^]{4}WEBP/], ["BMP", /^BM/],
  ["AVIF", /^[^]{4}ftypavi[fs]/], ["HEIC", /^[^]{4}ftyp(hei[cxms]|hev[cx]|mif1|msf1)/], ["TIFF", /^(II\*\0|MM\0\*)/],
]);
const READABLE_FORMATS = "PNG, JPEG, WebP or GIF";
// Where these say what their colors mean: profiles, or numbers in their place. They stand before the pixels.
const COLOR_MARKS = /ICC_PROFILE|ICCP|iCCP|cICP|cHRM|gAMA/;
const FILE_START = 2 ** 18; // bytes

/**
 * @param {Blob} file
 * @returns {Promise<{format: string, plain: boolean}>} `format` is "" for anything that is not known; `plain` where
 *   there is certainly no color profile
 */
async function formatOf(file) {
  if (file.size === 0) throw new Error("The file is empty: choose a picture.");
  if (file.size > LARGEST_FILE) {
    throw new Error(`The file has ${Math.ceil(file.size / MEGABYTE)} MB: at most 100 MB are read.`);
  }
  let bytes;
  try {
    bytes = new Uint8Array(await file.slice(0, FILE_START).arrayBuffer());
  } catch {
    throw new Error("The file cannot be opened: is it a folder, or was it moved or changed?");
  }
  const start = String.fromCharCode(...bytes.subarray(0, 1024));
  const format = SIGNATURES.find(([, signature]) => signature.test(start))?.[0] ?? "";
  // A drawing in SVG has no pixels, and is a program of a kind: nothing here runs what a file says.
  if (!format && /<svg[\s>]/i.test(start)) {
    throw new Error("A drawing in SVG has no pixels of its own: save it as PNG.");
  }
  const marked = COLOR_MARKS.test(new TextDecoder("latin1").decode(bytes));
  return {format, plain: !marked && ["PNG", "JPEG", "WebP", "GIF"].includes(format)};
}

/**
 * Whether all of a picture has arrived. Browsers show the upper part of half a photograph, and gray below.
 * @param {string} format of the two that this is told of; others are left to the browser
 * @param {Blob} file
 * @returns {Promise<boolean>}
 */
async function hasArrived(format, file) {
  if (format !== "JPEG" && format !== "PNG") return true;
  const bytes = new DataView(await file.arrayBuffer()), end = bytes.byteLength;
  if (format === "PNG") {
    // Chunks: length, name, content and checksum.
    for (let at = 8; at + 12 <= end; at += 12 + bytes.getUint32(at)) {
      if (bytes.getUint32(at + 4) === 0x49454e44) return true; // IEND
    }
    return false;
  }
  const letters = new Uint8Array(bytes.buffer);
  for (let at = 2; at >= 0 && at + 2 <= end; at = letters.indexOf(0xff, at)) {
    const marker = letters[at + 1];
    if (marker === 0xd9) return true; // the end of the picture, whatever follows it
    const alone = marker === 0 || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8); // without content
    if (marker === 0xff) at += 1;
    else if (alone) at += 2;
    else if (at + 4 <= end) at += 2 + bytes.getUint16(at + 2);
    else return false;
  }
  return false;
}

/**
 * A picture from a file, of any format that the browser decodes.
 * @param {Blob} file of at most 100 MB and 89 megapixels
 * @returns {Promise<Float64Array>} 3×32×32 in [0, 1]
 */
export async function readFile(file) {
  const {format, plain} = await formatOf(file), size = await sizeOf(file);
  const unreadable = ["HEIC", "TIFF", "AVIF"].includes(format)
    ? `This browser does not read ${format}: save the picture as ${READABLE_FORMATS}.`
    : format ? `The ${format} file is broken or not complete: try another copy of it.`
    : `This is not a picture that the browser reads: choose a ${READABLE_FORMATS}.`;
  if (!size || !size.width || !size.height) throw new Error(unreadable);
  const megapixels = size.width * size.height / 1e6;
  if (size.width * size.height > LARGEST_PICTURE) {
    throw new Error(`The picture has ${Math.ceil(megapixels)} megapixels: at most 89 are read.`);
  }
  if (!await hasArrived(format, file)) throw new Error(unreadable);
  let bitmap;
  try {
    // Chromium makes a second copy of the pixels for "none", so only where it matters.
    const colorSpaceConversion = plain ? "default" : "none";
    bitmap = await createImageBitmap(file, {imageOrientation: "from-image", colorSpaceConversion});
  } catch {
    throw new Error(megapixels > 12 ? `This device has no room for ${Math.ceil(megapixels)} megapixels, or the file `
      + "is broken: try a smaller picture." : unreadable);
  }
  try {
    return await averaged(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close(); // at once, not whenever memory is cleared up: it may have 300 MB
  }
}

/**
 * A picture that came with the page.
 * @param {string} dataUrl `data:image/png;base64,...`; the page may not fetch, not even this
 * @returns {Promise<Float64Array>} 3×32×32 in [0, 1]
 */
export function samplePicture(dataUrl) {
  const [head, text] = dataUrl.split(",", 2);
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return readFile(new Blob([bytes], {type: head.slice("data:".length).split(";")[0]}));
}

/**
 * The center square of what a canvas or a running video shows.
 * @param {Source} source
 * @returns {Promise<Float64Array>} 3×32×32 in [0, 1]
 */
export function fromCanvas(source) {
  const [width, height] = "videoWidth" in source
    ? [source.videoWidth, source.videoHeight] : [source.width, source.height];
  if (!width || !height) return Promise.reject(new Error("There is no picture yet: wait a moment and try again."));
  return averaged(source, width, height);
}

/**
 * A picture that was pasted. To be called while a paste event is handled, or with what `navigator.clipboard.read()`
 * gave, or without anything: then it asks the browser for what is in the clipboard.
 * @param {ClipboardEvent | ClipboardItem[]} [source]
 * @returns {Promise<Float64Array>} 3×32×32 in [0, 1]
 */
export async function fromClipboard(source) {
  if (source && "clipboardData" in source) {
    const files = [...source.clipboardData?.files ?? []];
    const file = files.find(one => one.type.startsWith("image/")) ?? files[0];
    if (file) return readFile(file);
  } else {
    for (const item of source ?? await clipboardItems()) {
      const type = item.types.find(one => one.startsWith("image/") && one !== "image/svg+xml");
      if (type) return readFile(await item.getType(type));
    }
  }
  throw new Error("There is no picture in the clipboard: copy one first.");
}

/** @returns {Promise<ClipboardItem[]>} what the browser lets a page see after the reader agreed */
async function clipboardItems() {
  if (!navigator.clipboard?.read) throw new Error("This browser lets no button paste: press Ctrl+V or ⌘V instead.");
  try {
    return await navigator.clipboard.read();
  } catch {
    throw new Error("The browser did not let the page see the clipboard: press Ctrl+V or ⌘V instead.");
  }
}

/** @typedef {"user" | "environment"} Facing the camera beside the screen, or the one on the back */

// Why there is no picture from a camera, by the name of the browser's error.
/** @type {Record<string, string>} */
const CAMERA_TROUBLE = {
  NotAllowedError: "The camera is not allowed here: allow it in the browser, or choose a file.",
  SecurityError: "The camera is not allowed here: allow it in the browser, or choose a file.",
  NotFoundError: "This device has no camera: choose a file.",
  OverconstrainedError: "This device has no such camera: choose a file.",
  NotReadableError: "Another program uses the camera: close it and try again, or choose a file.",
};

/**
 * Shows the camera in `video`. Nothing is kept or sent: `picture` takes what is seen at that moment.
 * @param {HTMLVideoElement} video
 * @param {Facing} [facing] which camera, where there are two
 * @returns {Promise<{facing: () => Facing, picture: () => Promise<Float64Array>, turn: () => Promise<void>,
 *   close: () => void}>} `turn` changes to the other camera, `close` turns the camera off
 */
export async function openCamera(video, facing = "user") {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("The browser gives this page no camera: open it over https, or choose a file.");
  }
  let now = facing, open = true;
  /** @type {MediaStream | null} */
  let stream = null;
  const stop = () => {
    stream?.getTracks().forEach(track => track.stop());
    stream = video.srcObject = null;
  };
  /** @param {Facing} wanted */
  const start = async wanted => {
    stop(); // a phone opens one camera at a time
    let found;
    try {
      // "ideal" by itself: a laptop opens its only camera for either.
      found = await navigator.mediaDevices.getUserMedia({video: {facingMode: wanted}, audio: false});
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      throw new Error(CAMERA_TROUBLE[name] ?? "The camera does not start: choose a file.");
    }
    stream = found;
    if (!open) return stop(); // closed while the reader was asked
    video.muted = true;
    video.playsInline = true; // otherwise phones show it in full screen
    video.srcObject = stream;
    now = wanted;
    await video.play().catch(() => {}); // interrupted by a change of the camera
  };
  await start(facing);
  return {
    facing: () => now,
    picture: () => fromCanvas(video),
    turn: async () => {
      try {
        await start(now === "user" ? "environment" : "user");
      } catch (error) {
        await start(now); // there is no other one
        throw error;
      }
    },
    close: () => {
      open = false;
      stop();
    },
  };
}
