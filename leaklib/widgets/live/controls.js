// The controls below the panes: what is to be attacked and how.

import {CLIP} from "./address.js";
import {byId} from "./elements.js";
import {scienceText, plainNumber} from "./words.js";

/** @import {Settings} from "./address.js" */
/** @import {Mechanism, Update} from "./types.js" */

const SHARES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5]; // of all numbers
const MULTIPLIERS = [1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1];
const QUIET = 200; // milliseconds after the last change before the attack begins anew

/** @type {Record<Mechanism["kind"], string>} */
const SENT_HINTS = {
  full: "As federated learning sends it, 32 bits a number.",
  bits: "Each layer is rounded in steps of its own. The attacker measures misses in these steps.",
  signs: "One bit a number. The attacker compares signs, softened so that they have a slope.",
  top: "Of the rest the attacker knows that it is smaller.",
  noise: `First clipped to the norm ${CLIP}; the noise has this multiple of it as standard deviation. `
    + "The attack stops where the noise begins.",
};

export class Controls {
  /**
   * @param {Settings} settings is changed in place
   * @param {() => void} changed called once a change has come to rest
   * @param {() => void} changing called at once
   */
  constructor(settings, changed, changing) {
    this.settings = settings;
    this.form = byId("controls");
    /** @type {Update | null} */
    this.pasted = null;
    this.shares = withValue(SHARES, settings.sent.kind === "top" ? settings.sent.fraction : undefined);
    this.multipliers = withValue(MULTIPLIERS, settings.sent.kind === "noise" ? settings.sent.multiplier : undefined);
    this.form.top.max = this.shares.length - 1;
    this.form.noise.max = this.multipliers.length - 1;
    this.form.bits.value = 4;
    this.form.top.value = this.shares.indexOf(0.1);
    this.form.noise.value = this.multipliers.indexOf(1e-6);
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    this.form.addEventListener("input", (/** @type {Event} */ event) => {
      if (!(event.target instanceof HTMLInputElement && event.target.closest("fieldset"))) return;
      this.read();
      this.show();
      changing();
      clearTimeout(timer);
      timer = setTimeout(changed, QUIET);
    });
    this.form.addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
    this.write();
    this.unfold();
  }

  /** From the form to the settings. */
  read() {
    const {form, settings} = this, kind = form.elements.sent.value;
    settings.weights = form.weights.value;
    settings.channels = Number(form.channels.value);
    settings.batch = /** @type {1 | 2} */ (Number(form.batch.value));
    settings.method = form.elements.method.value;
    settings.seed = Number(form.seed.value);
    if (kind === "bits") settings.sent = {kind, bits: Number(form.bits.value)};
    else if (kind === "top") settings.sent = {kind, fraction: this.shares[form.top.value]};
    else if (kind === "noise") settings.sent = {kind, clip: CLIP, multiplier: this.multipliers[form.noise.value]};
    else settings.sent = {kind};
  }

  /** From the settings to the form. */
  write() {
    const {form, settings} = this, {sent} = settings;
    form.weights.value = settings.weights;
    form.channels.value = settings.channels;
    form.batch.value = settings.batch;
    form.elements.method.value = settings.method;
    form.seed.value = settings.seed;
    form.elements.sent.value = sent.kind;
    if (sent.kind === "bits") form.bits.value = sent.bits;
    if (sent.kind === "top") form.top.value = this.shares.indexOf(sent.fraction);
    if (sent.kind === "noise") form.noise.value = this.multipliers.indexOf(sent.multiplier);
    this.show();
  }

  /** What goes with the chosen values. */
  show() {
    const {form, settings} = this, kind = settings.sent.kind;
    /** @param {string} name @param {string} value */
    const tell = (name, value) => {
      byId(`${name}-value`).textContent = value;
      form[name].setAttribute("aria-valuetext", value);
    };
    tell("channels", String(settings.channels));
    tell("bits", form.bits.value);
    tell("top", `${plainNumber(100 * this.shares[form.top.value])} %`);
    tell("noise", scienceText(this.multipliers[form.noise.value]));
    tell("seed", String(settings.seed));
    for (const slide of form.querySelectorAll("[data-for]")) slide.hidden = slide.dataset.for !== kind;
    byId("sent-hint").textContent = SENT_HINTS[kind === "bits" && form.bits.value === "1" ? "signs" : kind];
    const {mechanism, examples} = this.pasted ?? {mechanism: settings.sent, examples: settings.batch};
    const possible = mechanism.kind === "full" && examples === 1;
    for (const choice of form.elements.method) choice.disabled = !possible && choice.value !== "matching";
    byId("method-hint").textContent = possible ? "" : "The closed form needs the whole gradient of one picture.";
  }

  /** The groups that the address names stand open, all others behind one line. */
  unfold() {
    const {show} = this.settings, alone = window === window.parent;
    for (const name of show) byId("open-groups").append(byId(`group-${name}`));
    byId("open-groups").hidden = show.length === 0;
    byId("change").open = alone && show.length === 0;
  }

  /** @param {Update | null} pasted comes with its network and mechanism */
  fix(pasted) {
    this.pasted = pasted;
    for (const name of ["weights", "channels", "sent", "batch"]) byId(`group-${name}`).disabled = pasted !== null;
    this.show();
  }
}

/** @param {number[]} values in order @param {number} [extra] */
function withValue(values, extra) {
  return extra === undefined || values.includes(extra) ? values : [...values, extra].sort((a, b) => a - b);
}
