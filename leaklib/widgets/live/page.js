// The page: a picture becomes an update in one worker, and an attack in another makes a picture of the update again.

import {readSettings, writeSettings} from "./address.js";
import {PICTURE_VALUES, clearPicture, paintLayer, paintPicture, pictureScore, scoreGuesses} from "./canvas.js";
import {Controls} from "./controls.js";
import {forecast} from "./counting.js";
import {addPoint, drawChart} from "./curves.js";
import {layout} from "./network.js";
import {readUpdate} from "./pasted.js";
import {Phone, byId} from "./phone.js";
import {initialWeights} from "./random.js";
import {Helper} from "./runs.js";
import {METHOD_NAMES, biasSentence, clockTime, counted, decibelText, endSentence, forecastSentence, graySentence, labelSentence, scienceText, plainNumber, sentSentence, signsTell, standingSentence} from "./words.js";

/** @typedef {import("./types.js").Network} Network */
/** @typedef {import("./types.js").Update} Update */
/** @typedef {import("./types.js").Reply} Reply */
/** @typedef {import("./types.js").Frame} Frame */
/** @typedef {import("./canvas.js").Color} Color */
/** @typedef {"matching" | "closed"} Method */

/**
 * What the build hands to the page.
 * @typedef {object} Constants
 * @property {{init: number[], LeNet: number[], attack: number[], mechanism: number[]}} seeds of leaklib's streams
 * @property {Record<string, string>} samples data URLs
 * @property {Record<string, number>} labels of the samples
 * @property {string} wasm the kernel, in base64
 * @property {string} worker the worker's script
 */

/**
 * One method at work.
 * @typedef {object} Lane
 * @property {Method} method
 * @property {number} id of its job
 * @property {Helper} helper
 * @property {Frame | null} frame the latest
 * @property {boolean} fresh whether the frame has not been shown
 * @property {string} reason why it ended, "" while it runs
 * @property {number[]} scores PSNR in dB of each original
 * @property {number[]} order which guess is of which original
 * @property {[number, number][]} quality PSNR over evaluations or seconds
 * @property {[number, number][]} losses
 * @property {{evaluations: number, seconds: number} | null} clear when it passed 30 dB
 */

/**
 * One experiment.
 * @typedef {object} Run
 * @property {number} id of the client's job
 * @property {Network} network
 * @property {Float64Array[]} originals empty where they are not known
 * @property {number[] | null} truth the labels, null where they are not known
 * @property {number[]} gray PSNR in dB of a gray picture against each original
 * @property {Update | null} update
 * @property {string} labelWords
 * @property {Lane[]} lanes
 * @property {Set<string>} said milestones that were announced
 */

const {seeds, samples, labels: sampleLabels, wasm, worker} = /** @type {{CONSTANTS: Constants}} */ (/** @type {any} */ (globalThis)).CONSTANTS;
const root = document.documentElement;
const embedded = window !== window.parent;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const CHART_PAUSE = 50; // milliseconds between two drawings of the curves
const LANDMARKS = [20, 30]; // dB that are announced

class LivePage {
  constructor() {
    this.settings = readSettings(location.hash);
    this.theme = /** @type {string} */ (this.settings.theme);
    this.applyTheme();
    root.classList.add("scripted", ...embedded ? ["embedded"] : []);
    this.jobs = 0; // numbers of jobs that were given out
    /** @type {Run | null} */
    this.run = null;
    /** @type {import("./pasted.js").Pasted | null} */
    this.pasted = null;
    this.lastCharts = 0;
    this.waiting = false; // for the next frame of the screen
    this.script = URL.createObjectURL(new Blob([worker], {type: "text/javascript"}));
    this.kernel = Uint8Array.from(atob(wasm), letter => letter.charCodeAt(0));
    this.client = this.hire();
    this.server = this.hire();
    /** @type {Helper | null} */
    this.second = null; // a race has two attackers
    this.controls = new Controls(this.settings, () => this.settled(), () => this.end("changing"));
    this.phone = new Phone(samples, sampleLabels, {
      chosen: sample => {
        if (this.pasted) {
          this.pasted = null;
          this.controls.fix(null);
          this.showNetwork();
        }
        if (sample && sample !== this.settings.sample) {
          this.settings.sample = sample;
          this.tellSettings();
        }
        this.begin();
        this.lookAtResult();
      },
      pasted: text => this.paste(text),
      failed: text => this.notice(text),
    });
    this.listen();
    this.open();
  }

  hire() {
    return new Helper(this.script, this.kernel, text => {
      this.end("stopped");
      this.notice(`The computation failed: ${text}.`);
    });
  }

  async open() {
    this.tellIgnored(this.settings.ignored);
    await this.phone.showSample(this.settings.sample);
    await this.phone.setBatch(this.settings.batch);
    await Promise.all([this.client.ready, this.server.ready]);
    byId("go").disabled = false;
    if (root.dataset.state) return; // the reader was faster
    this.state("ready");
    this.status("Press Start, or choose a picture of your own.");
    if (this.settings.start === "auto" && !still.matches) this.beginWhenSeen();
  }

  /** @param {string[]} ignored parts of the address */
  tellIgnored(ignored) {
    byId("ignored").textContent = `Not understood in the address, so as usual: ${ignored.join(", ")}.`;
    byId("ignored").hidden = !ignored.length;
  }

  beginWhenSeen() {
    const watch = new IntersectionObserver(entries => {
      if (!entries.some(entry => entry.isIntersecting)) return;
      watch.disconnect();
      if (root.dataset.state === "ready") this.begin();
    }, {threshold: 0.3});
    watch.observe(byId("guesses"));
  }

  listen() {
    byId("go").addEventListener("click", () => {
      if (root.dataset.state === "running") this.end("stopped");
      else this.begin();
    });
    byId("update-go").addEventListener("click", () => this.paste(byId("update-text").value));
    window.addEventListener("message", event => {
      const {leaky, theme} = event.data ?? {};
      if (event.source !== window.parent || leaky !== "theme" || !["light", "dark"].includes(theme)) return;
      this.theme = theme;
      this.applyTheme();
    });
    darkSystem.addEventListener("change", () => this.applyTheme());
    window.addEventListener("beforeprint", () => this.applyTheme("light"));
    window.addEventListener("afterprint", () => this.applyTheme());
    window.addEventListener("hashchange", () => this.readdress());
    for (const chart of document.querySelectorAll(".charts svg")) {
      new ResizeObserver(() => this.drawCharts(true)).observe(chart);
    }
    if (embedded) {
      new ResizeObserver(() => {
        const height = Math.ceil(document.body.getBoundingClientRect().height);
        window.parent.postMessage({leaky: "height", height}, "*");
      }).observe(document.body);
    }
  }

  /** Where the panes stand below each other, a new picture leads to what is made of it. */
  lookAtResult() {
    if (embedded || this.phone.closeEasel || document.body.clientWidth > 544) return;
    byId("guesses").scrollIntoView({block: "nearest", behavior: still.matches ? "auto" : "smooth"});
  }

  /** @param {string} theme the address's or the book's, otherwise the system's */
  applyTheme(theme = this.theme) {
    root.dataset.theme = theme || (darkSystem.matches ? "dark" : "light");
    if (this.run?.update) this.showUpdate(this.run);
    else this.showNetwork();
  }

  /** The address was changed by hand, by a link of the book or by going back. A picture of the reader's stays. */
  async readdress() {
    const settings = readSettings(location.hash);
    this.tellIgnored(settings.ignored);
    if (writeSettings(settings) === writeSettings(this.settings)) return;
    this.end("changing");
    const before = this.settings.sample;
    Object.assign(this.settings, settings);
    this.controls.write();
    if (settings.sample !== before) await this.phone.showSample(settings.sample);
    this.settled();
  }

  /** The reader's changes have come to rest. */
  async settled() {
    this.tellSettings();
    if (!this.pasted) await this.phone.setBatch(this.settings.batch);
    this.showNetwork();
    this.begin();
  }

  tellSettings() {
    const fragment = writeSettings(this.settings);
    if (embedded) window.parent.postMessage({leaky: "settings", fragment}, "*");
    else history.replaceState(null, "", `#${fragment}`);
  }

  showNetwork() {
    const {channels, batch} = this.settings, {network, update} = this.pasted ?? {network: {channels}, update: {examples: batch}};
    byId("forecast").textContent = forecastSentence(forecast(network.channels, update.examples));
    byId("channels-value").textContent = String(network.channels);
    if (this.run) return;
    const shape = layout(channels);
    this.showLayers(new Float64Array(shape.total), shape, false);
  }

  /** @param {string} text */
  paste(text) {
    try {
      const pasted = readUpdate(text);
      this.pasted = pasted;
      this.controls.fix(pasted.update);
      this.phone.forget();
      this.showNetwork();
      this.begin();
    } catch (error) {
      this.notice(error instanceof Error ? error.message : String(error));
    }
  }

  /** @returns {Network} */
  network() {
    const {weights, channels, seed} = this.settings;
    return {channels, weights: initialWeights(weights, channels, {init: seeds.init[seed], LeNet: seeds.LeNet[seed]})};
  }

  /** Which methods the settings ask for, where they can work. @param {Run} run @returns {Method[]} */
  methods({update}) {
    const {method} = this.settings, full = update?.mechanism.kind === "full" && update.examples === 1;
    if (!full || method === "matching") return ["matching"];
    return method === "closed" ? ["closed"] : ["matching", "closed"];
  }

  /** Starts the experiment; one that runs ends. */
  begin() {
    this.end("changing");
    this.notice("");
    const {settings, pasted} = this, originals = pasted ? [] : this.phone.pictures;
    if (!pasted && !originals.length) return;
    /** @type {Run} */
    const run = {
      id: ++this.jobs, network: pasted?.network ?? this.network(), originals, truth: pasted ? pasted.labels ?? null : this.phone.labels,
      gray: originals.map(original => pictureScore(new Float64Array(PICTURE_VALUES).fill(0.5), original)),
      update: null, labelWords: "", lanes: [], said: new Set(),
    };
    this.run = run;
    this.state("running");
    this.status(pasted ? "The attack begins." : "The phone computes its gradient.");
    this.say("started", "The attack has started.");
    if (pasted) {
      this.attack(run, pasted.update);
      return;
    }
    const pictures = new Float64Array(PICTURE_VALUES * originals.length);
    originals.forEach((original, i) => pictures.set(original, i * PICTURE_VALUES));
    this.client.begin({
      type: "share", id: run.id, network: run.network, pictures, labels: this.phone.labels, mechanism: settings.sent,
      seed: seeds.mechanism[settings.seed],
    }, reply => {
      if (reply.type !== "update") return;
      this.client.end(run.id, false);
      this.attack(run, reply.update);
    });
  }

  /** The server's part: it is handed the update, and what it gave out itself. @param {Run} run @param {Update} update */
  attack(run, update) {
    if (run !== this.run) return;
    run.update = update;
    this.showUpdate(run);
    const methods = this.methods(run);
    if (methods.length > 1) this.second ??= this.hire();
    run.lanes = methods.map((method, i) => ({
      method, id: ++this.jobs, helper: i ? /** @type {Helper} */ (this.second) : this.server, frame: null, fresh: false,
      reason: "", scores: [], order: [...Array(update.examples).keys()], quality: [], losses: [], clear: null,
    }));
    this.showLanes(run);
    for (const lane of run.lanes) {
      lane.helper.begin({
        type: "attack", id: lane.id, network: run.network, update, method: lane.method,
        seed: seeds.attack[this.settings.seed],
      }, reply => this.hear(run, lane, reply));
    }
  }

  /** @param {Run} run @param {Lane} lane @param {Reply} reply */
  hear(run, lane, reply) {
    if (reply.type === "labels") this.showLabels(run, reply.labels);
    if (reply.type !== "frame" && reply.type !== "done") return;
    this.measure(run, lane, reply);
    if (reply.type === "done") {
      lane.reason = reply.reason;
      lane.helper.end(lane.id, false);
      this.render();
      if (run.lanes.every(other => other.reason)) this.finish(run);
    } else if (!this.waiting) {
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        this.render();
      });
    }
  }

  /** Every frame counts for the curves, also where the screen shows fewer. @param {Run} run @param {Lane} lane @param {Frame} frame */
  measure(run, lane, frame) {
    const x = this.overTime(run) ? frame.seconds : frame.evaluations;
    lane.frame = frame;
    lane.fresh = true;
    if (lane.method === "matching") addPoint(lane.losses, x, frame.loss);
    if (!run.originals.length) return;
    const before = lane.scores.length ? Math.min(...lane.scores) : -Infinity;
    ({scores: lane.scores, order: lane.order} = scoreGuesses(frame.pictures, run.originals));
    const now = Math.min(...lane.scores);
    addPoint(lane.quality, x, now);
    if (now >= 30) lane.clear ??= {evaluations: frame.evaluations, seconds: frame.seconds};
    if (LANDMARKS.some(mark => before < mark && now >= mark)) this.describe(run, lane);
  }

  /**
   * Ends the experiment: "stopped" by the reader, or "changing" to another one.
   * @param {"stopped" | "changing"} how
   */
  end(how) {
    const {run} = this;
    if (!run || root.dataset.state !== "running") return;
    this.client.end(run.id, false);
    for (const lane of run.lanes) lane.helper.end(lane.id, !lane.reason);
    if (how === "changing") return;
    for (const lane of run.lanes) lane.reason ||= "stopped";
    this.state("stopped");
    this.render();
    if (!run.lanes.some(lane => lane.frame)) this.status("Stopped.");
    this.say("stopped", byId("status").textContent);
  }

  /** @param {Run} run */
  finish(run) {
    this.state("done");
    this.render();
    this.drawCharts(true);
    this.say("ended", `The attack has ended. ${byId("status").textContent}`);
    for (const lane of run.lanes) this.describe(run, lane);
  }

  /** @param {"ready" | "running" | "done" | "stopped"} state */
  state(state) {
    root.dataset.state = state;
    byId("go").textContent = {ready: "Start", running: "Stop", done: "Again", stopped: "Again"}[state];
    if (state !== "running") return;
    root.dataset.psnr = root.dataset.evaluations = root.dataset.label = "";
    byId("label-words").textContent = "";
    for (const mark of document.querySelectorAll(".read-label")) mark.remove();
  }

  /** @param {string} text */
  status(text) {
    byId("status").textContent = text;
  }

  /** Tells those who do not see it, once for each milestone. @param {string} milestone @param {string} text */
  say(milestone, text) {
    if (this.run?.said.has(milestone)) return;
    this.run?.said.add(milestone);
    byId("said").textContent = text;
  }

  /** What went wrong, "" for nothing. @param {string} text */
  notice(text) {
    byId("notice").textContent = text;
    byId("notice").hidden = !text;
  }

  /** Shows what was sent, layer by layer. @param {Run} run */
  showUpdate({update, network}) {
    if (!update) return;
    const shape = layout(network.channels);
    this.showLayers(update.sent, shape, update.mechanism.kind === "signs");
    byId("sent-words").textContent = sentSentence(update, shape);
  }

  /** @param {Float64Array} sent @param {import("./types.js").Layout} shape @param {boolean} signs */
  showLayers(sent, shape, signs) {
    const style = getComputedStyle(root);
    /** @param {string} name @returns {Color} */
    const color = name => /** @type {Color} */ ([1, 3, 5].map(i => parseInt(style.getPropertyValue(name).trim().slice(i, i + 2), 16)));
    const scale = signs ? {negative: color("--minus"), zero: color("--nought"), positive: color("--plus")}
      : {negative: color("--negative"), zero: color("--nought"), positive: color("--positive")};
    const figures = byId("layers").querySelectorAll("figure");
    [0, 1, 2, 3].forEach(layer => {
      const figure = figures[layer];
      const canvas = /** @type {HTMLCanvasElement} */ (figure.querySelector("canvas"));
      const caption = /** @type {HTMLElement} */ (figure.querySelector("figcaption"));
      const numbers = plainNumber(shape.sizes[2 * layer] + shape.sizes[2 * layer + 1]);
      const {inputs = 0, outputs = 0} = shape.convolutions[layer] ?? {};
      const name = layer < 3 ? `conv${layer + 1}` : "last layer";
      const kind = layer < 3 ? `${inputs} × ${outputs} filters of 5 × 5, and biases` : "10 rows, each ends in its bias";
      paintLayer(canvas, sent, shape, layer, scale);
      canvas.setAttribute("aria-label", `What is sent of ${name}: ${numbers} numbers as colors, ${kind}`);
      figure.setAttribute("title", kind);
      caption.textContent = numbers;
      caption.prepend(Object.assign(document.createElement("b"), {textContent: name}));
    });
    byId("legend").classList.toggle("signs", signs);
    byId("legend-text").textContent = signs ? "−1 and +1" : "below zero to above; each layer has its own scale";
  }

  /** @param {Run} run @param {number[]} labels */
  showLabels(run, labels) {
    if (!run.update || run.labelWords) return;
    const shape = layout(run.network.channels), bySigns = signsTell(labels, run.update, shape);
    run.labelWords = labelSentence(labels, run.truth, bySigns);
    root.dataset.label = labels.join(" ");
    byId("label-words").textContent = bySigns ? biasSentence(labels) : run.labelWords;
    byId("last-rows").append(...labels.map(label => {
      const mark = document.createElement("span");
      mark.className = "read-label";
      mark.textContent = `◂ ${label}`;
      mark.style.setProperty("--label", String(label));
      return mark;
    }));
    this.say("label", run.labelWords);
  }

  /** Which reconstructions are seen. @param {Run} run */
  showLanes({lanes, update}) {
    for (const guess of this.guesses()) {
      guess.hidden = !lanes.some(lane => lane.method === guess.dataset.method);
      const canvases = /** @type {HTMLCanvasElement[]} */ ([...guess.querySelectorAll("canvas")]);
      canvases[1].hidden = update?.examples !== 2;
      for (const canvas of canvases) {
        clearPicture(canvas);
        canvas.setAttribute("aria-label", "Nothing computed yet");
      }
      for (const part of [".score", ".work"]) /** @type {HTMLElement} */ (guess.querySelector(part)).textContent = "";
    }
    byId("guesses").classList.toggle("race", lanes.length > 1);
    byId("guesses").classList.toggle("two", update?.examples === 2);
    byId("loss-chart").hidden = !lanes.some(lane => lane.method === "matching");
    byId("psnr-chart").hidden = !this.run?.originals.length;
  }

  /** @returns {HTMLElement[]} */
  guesses() {
    return [...byId("guesses").children];
  }

  /** Shows the latest frame of every method. */
  render() {
    const {run} = this;
    if (!run) return;
    for (const lane of run.lanes.filter(candidate => candidate.fresh)) this.showFrame(run, lane);
    const shown = run.lanes.filter(lane => lane.frame);
    if (!shown.length) return;
    const best = shown.filter(lane => lane.scores.length).map(lane => Math.min(...lane.scores));
    root.dataset.psnr = best.length ? Math.max(...best).toFixed(1) : "";
    root.dataset.evaluations = String(shown[0].frame?.evaluations);
    const {equations, unknowns} = forecast(run.network.channels, run.update?.examples ?? 1);
    this.status([
      ...shown.map(lane => standingSentence(this.standing(lane), run.lanes.length > 1)),
      graySentence(run.gray), run.labelWords,
      ...shown.map(lane => endSentence(this.standing(lane), equations >= unknowns)),
    ].filter(Boolean).join(" "));
    for (const mark of LANDMARKS) {
      if (best.length && Math.max(...best) >= mark) this.say(String(mark), `${mark} decibels after ${clockTime(Math.max(...shown.map(lane => lane.frame?.seconds ?? 0)))}.`);
    }
    this.drawCharts(root.dataset.state !== "running");
  }

  /** @param {Lane} lane */
  standing({method, scores, frame, reason, clear}) {
    const {evaluations = 0, seconds = 0, lowest = 0, restart = 0} = frame ?? {};
    return {method, scores, evaluations, seconds, lowest, restart, reason, clear};
  }

  /** @param {Run} run @param {Lane} lane */
  showFrame(run, lane) {
    const frame = /** @type {Frame} */ (lane.frame);
    lane.fresh = false;
    const guess = /** @type {HTMLElement} */ (this.guesses().find(one => one.dataset.method === lane.method));
    // With still pictures, one is shown whenever the work has doubled.
    const due = !still.matches || lane.reason || !(frame.evaluations < 2 * Number(guess.dataset.shown ?? 0));
    if (due || frame.evaluations < Number(guess.dataset.shown)) {
      guess.dataset.shown = String(Math.max(25, frame.evaluations));
      guess.querySelectorAll("canvas").forEach((canvas, i) => {
        if (i < lane.order.length) paintPicture(canvas, frame.pictures, lane.order[i] * PICTURE_VALUES);
      });
    }
    const score = /** @type {HTMLElement} */ (guess.querySelector(".score"));
    const work = /** @type {HTMLElement} */ (guess.querySelector(".work"));
    score.textContent = lane.scores.length ? lane.scores.map(decibelText).join(" and ") : `loss ${scienceText(frame.lowest)}`;
    const where = frame.layer && !lane.reason ? `${frame.layer}, ` : "";
    work.textContent = `${where}${counted(frame.evaluations, lane.method === "closed" ? "iteration" : "evaluation")}, ${clockTime(frame.seconds)}`;
  }

  /** Tells in words what a canvas shows. @param {Run} run @param {Lane} lane */
  describe(run, lane) {
    const guess = this.guesses().find(one => one.dataset.method === lane.method);
    guess?.querySelectorAll("canvas").forEach((canvas, i) => {
      const quality = lane.scores[i] === undefined ? `loss ${scienceText(lane.frame?.lowest ?? 0)}` : `${decibelText(lane.scores[i])} against the original`;
      canvas.setAttribute("aria-label", `Computed from the update alone, ${METHOD_NAMES[lane.method].toLowerCase()}: ${quality}`);
    });
  }

  /** Whether curves run over seconds: iterations of the closed form are no evaluations. @param {Pick<Run, "lanes">} run */
  overTime({lanes}) {
    return lanes.some(lane => lane.method === "closed");
  }

  /** @param {boolean} now even if they were drawn a moment ago */
  drawCharts(now) {
    /** @type {Pick<Run, "lanes" | "gray">} */
    const run = this.run ?? {lanes: [], gray: []};
    if ((!now && performance.now() - this.lastCharts < CHART_PAUSE)) return;
    this.lastCharts = performance.now();
    /** @type {"s" | "evaluations"} */
    const unit = this.overTime(run) ? "s" : "evaluations", gray = Math.min(...run.gray);
    const frame = run.lanes.find(lane => lane.method === "matching")?.frame;
    this.drawCurves("psnr-chart", "PSNR in dB", ": higher is closer", {
      logarithmic: false, unit, range: [10, 40], curves: run.lanes.map(({method, quality}) => ({method, points: quality})),
      lines: [
        ...Number.isFinite(gray) ? [{at: gray, name: `gray picture ${gray.toFixed(0)} dB`, kind: "gray"}] : [],
        {at: 30, name: "30 dB", kind: "goal"},
      ],
    });
    this.drawCurves("loss-chart", "Loss", ": how far the two gradients are apart", {
      logarithmic: true, unit, range: frame ? [frame.gray, frame.gray] : [1e-12, 1],
      curves: run.lanes.map(({method, losses}) => ({method, points: losses})),
      lines: frame ? [
        {at: frame.gray, name: "gray picture", kind: "gray"},
        ...frame.enough > 0 ? [{at: frame.enough, name: "noise floor", kind: "floor"}] : [],
      ] : [],
    });
  }

  /** @param {string} id @param {string} name @param {string} meaning @param {import("./curves.js").Chart} chart */
  drawCurves(id, name, meaning, chart) {
    byId(id).querySelector("figcaption").textContent = `${name} over ${chart.unit === "s" ? "seconds" : chart.unit}${meaning}`;
    const svg = byId(id).querySelector("svg"), {width, height} = svg.getBoundingClientRect();
    if (!width || !height) return;
    drawChart(svg, width, height, chart);
    if (root.dataset.state !== "done" && root.dataset.state !== "stopped") return;
    const ends = chart.curves.filter(curve => curve.points.length).map(({method, points}) => {
      const [x, y] = points[points.length - 1];
      return `${METHOD_NAMES[/** @type {Method} */ (method)]} ends at ${chart.logarithmic ? scienceText(y) : decibelText(y)} after ${plainNumber(x)} ${chart.unit}`;
    });
    svg.setAttribute("aria-label", `${name} over ${chart.unit}. ${ends.join("; ")}; ${chart.lines.map(line => `line at ${chart.logarithmic ? scienceText(line.at) : decibelText(line.at)}: ${line.name}`).join("; ")}`);
  }
}

new LivePage();
