// The page's workers. The phone's and the server's are two, so that the attacker's never held the picture.

/** @import {Reply, Request} from "./types.js" */
/** @typedef {Extract<Request, {id: number}>} Job */

const DEAF = 1000; // milliseconds after which a worker that was told to stop is given up

/** A worker with jobs by number. One that dies or does not hear is replaced. */
export class Helper {
  /**
   * @param {string} script address of the worker's script
   * @param {Uint8Array<ArrayBuffer>} kernel WebAssembly; the worker does without where that is missing
   * @param {(text: string) => void} failed hears of errors
   */
  constructor(script, kernel, failed) {
    this.script = script;
    this.kernel = kernel;
    this.failed = failed;
    /** @type {Map<number, (reply: Reply) => void>} */
    this.jobs = new Map();
    /** @type {Map<number, ReturnType<typeof setTimeout>>} */
    this.ending = new Map();
    this.hire();
  }

  hire() {
    const worker = new Worker(this.script);
    let works = false;
    this.worker = worker;
    /** @type {Promise<"js" | "wasm">} */
    this.ready = new Promise(resolve => {
      worker.onmessage = ({data}) => {
        works = true;
        if (data.type === "ready") resolve(data.engine);
        else this.hear(data);
      };
    });
    worker.onerror = event => {
      event.preventDefault();
      if (works) this.replace(); // one that never started would not start again
      this.failed(event.message || "the worker could not be started");
    };
    const wasm = this.kernel.slice().buffer;
    worker.postMessage({type: "init", wasm}, [wasm]);
  }

  replace() {
    this.worker?.terminate();
    for (const timer of this.ending.values()) clearTimeout(timer);
    this.ending.clear();
    this.jobs.clear();
    this.hire();
  }

  /** @param {Exclude<Reply, {type: "ready"}>} reply */
  hear(reply) {
    if (reply.type === "done" || reply.type === "error") {
      clearTimeout(this.ending.get(reply.id));
      this.ending.delete(reply.id);
    }
    const heard = this.jobs.get(reply.id);
    if (reply.type === "error") this.jobs.delete(reply.id);
    if (reply.type === "error" && heard) this.failed(reply.text);
    else heard?.(reply);
  }

  /**
   * @param {Exclude<Job, {type: "stop"}>} job
   * @param {(reply: Reply) => void} heard is told its replies until `end`
   */
  async begin(job, heard) {
    this.jobs.set(job.id, heard);
    await this.ready;
    if (this.jobs.has(job.id)) this.worker?.postMessage(job);
  }

  /**
   * Ends a job: nothing is heard of it from here on.
   * @param {number} id
   * @param {boolean} running whether its end has not been heard yet
   */
  end(id, running) {
    if (!this.jobs.delete(id) || !running) return;
    this.worker?.postMessage({type: "stop", id});
    this.ending.set(id, setTimeout(() => this.replace(), DEAF));
  }
}
