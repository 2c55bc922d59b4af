// The page: a picture becomes an update in one worker, and an attack in another makes a picture of the update again.

import {readSettings, writeSettings} from "./address.js";
import {pictureScore} from "./canvas.js";
import {Controls} from "./controls.js";
import {forecast} from "./counting.js";
import {byId} from "./elements.js";
import {Helper} from "./helper.js";
import {PIXELS, layout} from "./network.js";
import {readUpdate} from "./pasted.js";
import {Phone} from "./phone.js";
import {initialWeights} from "./random.js";
import {LANDMARKS, describeGuess, measureFrame, showFrame, showLanes, worstScore} from "./progress.js";
import {drawCharts, watchCharts} from "./progress.js";
import {markLabels, showSent} from "./layers.js";
import {biasSentence, clockTime, endSentence, forecastSentence, graySentence} from "./words.js";
import {labelSentence, signsTell, standingSentence} from "./words.js";

/** @import {Network, Reply, Update} from "./types.js" */
/** @import {Lane} from "./progress.js" */
/** @import {Pasted} from "./pasted.js" */
/** @typedef {Lane["method"]} Method */

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

/** @type {Constants} */
const {seeds, samples, labels: sampleLabels, wasm, worker} = /** @type {any} */ (globalThis).CONSTANTS;
const root = document.documentElement;
const embedded = window !== window.parent;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

class LivePage {
  constructor() {
    this.settings = readSettings(location.hash);
    this.theme = /** @type {string} */ (this.settings.theme);
    this.applyTheme();
    root.classList.add("scripted", ...embedded ? ["embedded"] : []);
    this.ignored = "";
    this.jobs = 0; // numbers of jobs that were given out
    /** @type {Run | null} */
    this.run = null;
    /** @type {Pasted | null} */
    this.pasted = null;
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
    this.showNetwork();
    const {sent: mechanism, batch: examples} = this.settings;
    showLanes(this.methods({mechanism, examples}), examples, true); // so that nothing jumps when they begin
    this.prepare();
  }

  hire() {
    return new Helper(this.script, this.kernel, text => {
      this.end("stopped");
      this.notice(`The computation failed: ${text}.`);
    });
  }

  async prepare() {
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
    this.ignored = ignored.length ? `Not understood in the address, so as usual: ${ignored.join(", ")}.` : "";
    this.notice("");
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
    watchCharts(() => this.charts(true));
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
    this.showUpdate();
  }

  /** What was sent, or where it will be seen. */
  showUpdate() {
    const {network, update} = this.run ?? {network: this.settings, update: null};
    showSent(layout(network.channels), update);
  }

  /** @param {boolean} now even if they were drawn a moment ago */
  charts(now) {
    drawCharts(this.run?.lanes ?? [], this.run?.gray ?? [], now);
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
    const channels = this.pasted?.network.channels ?? this.settings.channels;
    const examples = this.pasted?.update.examples ?? this.settings.batch;
    byId("forecast").textContent = forecastSentence(forecast(channels, examples));
    byId("channels-value").textContent = String(channels);
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

  /**
   * Which methods the settings ask for, where they can work.
   * @param {Pick<Update, "mechanism" | "examples">} update
   * @returns {Method[]}
   */
  methods({mechanism, examples}) {
    const {method} = this.settings, full = mechanism.kind === "full" && examples === 1;
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
      id: ++this.jobs, network: pasted?.network ?? this.network(), originals,
      truth: pasted ? pasted.labels ?? null : this.phone.labels,
      gray: originals.map(original => pictureScore(new Float64Array(PIXELS).fill(0.5), original)),
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
    const pictures = new Float64Array(PIXELS * originals.length);
    originals.forEach((original, i) => pictures.set(original, i * PIXELS));
    this.client.begin({
      type: "share", id: run.id, network: run.network, pictures, labels: this.phone.labels, mechanism: settings.sent,
      seed: seeds.mechanism[settings.seed],
    }, reply => {
      if (reply.type !== "update") return;
      this.client.end(run.id, false);
      this.attack(run, reply.update);
    });
  }

  /**
   * The server's part: it is handed the update, and what it gave out itself.
   * @param {Run} run
   * @param {Update} update
   */
  attack(run, update) {
    if (run !== this.run) return;
    run.update = update;
    this.showUpdate();
    const methods = this.methods(update), timed = methods.includes("closed");
    run.lanes = methods.map((method, i) => ({
      method, id: ++this.jobs, helper: i ? this.second ??= this.hire() : this.server, timed, frame: null, fresh: false,
      reason: "", scores: [], order: [...Array(update.examples).keys()], quality: [], losses: [], clear: null,
    }));
    showLanes(methods, update.examples, run.originals.length > 0);
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
    measureFrame(lane, reply, run.originals);
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
    this.charts(true);
    this.say("ended", `The attack has ended. ${byId("status").textContent}`);
    for (const lane of run.lanes) describeGuess(lane);
  }

  /** @param {"ready" | "running" | "done" | "stopped"} state */
  state(state) {
    root.dataset.state = state;
    byId("go").textContent = {ready: "Start", running: "Stop", done: "Again", stopped: "Again"}[state];
    if (state !== "running") return;
    root.dataset.psnr = root.dataset.evaluations = root.dataset.label = "";
    markLabels([], "");
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

  /** What went wrong, "" for nothing, after what is wrong in the address. @param {string} text */
  notice(text) {
    const all = [this.ignored, text].filter(Boolean).join(" "), element = byId("notice");
    if (element.textContent !== all) element.textContent = all;
    element.hidden = !all;
  }

  /** @param {Run} run @param {number[]} labels */
  showLabels(run, labels) {
    if (!run.update || run.labelWords) return;
    const shape = layout(run.network.channels), bySigns = signsTell(labels, run.update, shape);
    run.labelWords = labelSentence(labels, run.truth, bySigns);
    root.dataset.label = labels.join(" ");
    markLabels(labels, bySigns ? biasSentence(labels) : run.labelWords);
    this.say("label", run.labelWords);
  }

  /** Shows the latest frame of every method. */
  render() {
    const {run} = this;
    if (!run) return;
    for (const lane of run.lanes) if (lane.fresh) showFrame(lane, still.matches);
    const shown = run.lanes.filter(lane => lane.frame);
    if (!shown.length) return;
    const best = Math.max(...shown.map(worstScore));
    root.dataset.psnr = run.originals.length ? best.toFixed(1) : "";
    root.dataset.evaluations = String(shown[0].frame?.evaluations);
    const {equations, unknowns} = forecast(run.network.channels, run.update?.examples ?? 1);
    this.status([
      ...shown.map(lane => standingSentence(this.standing(lane), run.lanes.length > 1)),
      graySentence(run.gray), run.labelWords,
      ...shown.map(lane => endSentence(this.standing(lane), equations >= unknowns, run.update?.mechanism.kind !== "full")),
    ].filter(Boolean).join(" "));
    const seconds = Math.max(...shown.map(lane => lane.frame?.seconds ?? 0));
    for (const mark of LANDMARKS) {
      if (best >= mark) this.say(String(mark), `${mark} decibels after ${clockTime(seconds)}.`);
    }
    this.charts(root.dataset.state !== "running");
  }

  /** @param {Lane} lane */
  standing({method, scores, frame, reason, clear}) {
    const {evaluations = 0, seconds = 0, lowest = 0, gray = 0, enough = 0, restart = 0} = frame ?? {};
    return {method, scores, evaluations, seconds, lowest, gray, enough, restart, reason, clear};
  }
}

new LivePage();
