// On a phone far sections are not drawn and their height is a guess (leaky.css): a jump needs the true one.
const drawAll = () => document.documentElement.classList.add("leaky-drawn");
const isBack = performance.getEntriesByType("navigation")[0]?.type !== "navigate"; // to where the reader was
if (location.hash || isBack) drawAll();
addEventListener("click", ({target}) => target.closest?.("a[href*='#']") && drawAll(), {capture: true});
addEventListener("hashchange", drawAll);

// A table, formula or output that scrolls sideways can be reached and moved from the keyboard. All are measured before
// one is changed, or each would lay out the page anew; what is far from the screen has its turn when it is drawn.
const SCROLLERS = ".pst-scrollable-table-container, div.math mjx-container, span.math, .cell_output .output, .bd-article pre";
function markScrollers() {
  const drawn = [...document.querySelectorAll(SCROLLERS)].filter(
    box => box.checkVisibility?.({contentVisibilityAuto: true}) ?? true);
  const scrolls = drawn.map(box => box.scrollWidth > box.clientWidth);
  drawn.forEach((box, i) => {
    if (scrolls[i]) box.tabIndex = 0;
    else if (box.tabIndex === 0) box.removeAttribute("tabindex");
  });
}
addEventListener("load", () => {
  new ResizeObserver(markScrollers).observe(document.querySelector(".bd-article") ?? document.body);
});

// The search is loaded by who searches.
addEventListener("focusin", ({target}) => {
  if (!target.matches("form.bd-search input") || document.getElementById("leaky-search")) return;
  const src = `${document.documentElement.dataset.content_root}_static/search.js`;
  document.head.append(Object.assign(document.createElement("script"), {id: "leaky-search", src}));
});

// A term or a citation says what it stands for, on hovering and on focus, until Escape or the pointer leaves.
const tip = Object.assign(document.createElement("div"), {className: "leaky-tip", id: "leaky-tip", hidden: true});
tip.setAttribute("role", "tooltip");
function showTip(link) {
  tip.textContent = link.dataset.tip;
  tip.hidden = false;
  link.setAttribute("aria-describedby", "leaky-tip");
  const at = link.getClientRects()[0], room = document.documentElement.clientWidth - tip.offsetWidth - 12;
  tip.style.left = `${scrollX + Math.max(12, Math.min(at.left, room))}px`;
  const above = at.top > tip.offsetHeight + 70; // clear of the header
  tip.style.top = `${scrollY + (above ? at.top - tip.offsetHeight - 6 : at.bottom + 6)}px`;
}
function hideTip() {
  tip.hidden = true;
  document.querySelector("[aria-describedby=leaky-tip]")?.removeAttribute("aria-describedby");
}
if (document.querySelector("[data-tip]")) {
  document.body.append(tip);
  for (const link of document.querySelectorAll("[data-tip]")) {
    for (const kind of ["pointerenter", "focus"]) link.addEventListener(kind, () => showTip(link));
    for (const kind of ["pointerleave", "blur"]) link.addEventListener(kind, hideTip);
  }
  addEventListener("keydown", event => event.key === "Escape" && hideTip());
}

// The attack on the reader's own picture runs in a frame, whose document forbids every connection. It is told the
// theme, it tells its height and what the reader has set; a picture never leaves it.
function frameLive(place) {
  const mirrored = "mirrored" in place.dataset, clean = /^[\w=&.,-]*$/;
  const inAddress = () => mirrored && location.hash.startsWith("#live:") && location.hash.slice("#live:".length);
  const theme = () => /^(light|dark)$/.exec(document.documentElement.dataset.theme)?.[0]; // at first it is "auto"
  let sample = ""; // a link that names none keeps the one that is shown
  function source() {
    const asked = inAddress(), settings = asked && clean.test(asked) ? asked : place.dataset.settings;
    const kept = !/\bsample=/.test(settings) && sample;
    const all = [kept, settings, theme() && `theme=${theme()}`].filter(Boolean).join("&");
    return place.dataset.src + (all && `#${all}`); // a bare # would scroll the page to the frame
  }
  const frame = Object.assign(document.createElement("iframe"), {
    // A content policy cannot keep a document from leading away or opening another one; a sandbox can.
    sandbox: "allow-scripts allow-same-origin allow-forms",
    allow: "camera *; clipboard-read *", // a book opened from a file has no origin that could be named
    title: "The attack, live in this page", loading: "lazy", src: source(),
  });
  const sendTheme = () => theme() && frame.contentWindow.postMessage({leaky: "theme", theme: theme()}, "*"); // files have no origin
  addEventListener("message", ({source, data}) => {
    if (source !== frame.contentWindow) return;
    const {leaky, height, fragment} = Object(data);
    if (leaky === "height" && Number.isFinite(height) && height > 100 && height < 5000) {
      frame.style.height = `${Math.ceil(height)}px`;
      place.style.minHeight = "0"; // the room that was kept until now
    }
    if (leaky === "settings" && mirrored && typeof fragment === "string" && clean.test(fragment)) {
      history.replaceState(null, "", `#live:${fragment.replace(/&?theme=\w*/, "")}`);
      sample = /\bsample=\w+/.exec(fragment)?.[0] ?? "";
    }
  });
  new MutationObserver(sendTheme).observe(document.documentElement, {attributeFilter: ["data-theme"]});
  frame.addEventListener("load", sendTheme);
  place.append(frame);
  if (!mirrored) return;
  function follow() {
    if (!inAddress()) return;
    // Only what stands behind the # differs, so the document and the picture in it stay.
    frame.contentWindow.location.replace(new URL(source(), location.href).href);
    place.scrollIntoView({block: "nearest"});
  }
  addEventListener("hashchange", follow);
  if (inAddress()) place.scrollIntoView({block: "nearest"});
}
document.querySelectorAll(".leaky-live").forEach(frameLive);

// The theme opens every button's address in a new tab; a notebook is a file to keep.
for (const link of document.querySelectorAll(".btn-download-notebook-button")) link.download = "";
