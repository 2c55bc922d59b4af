// A table, formula or output that scrolls sideways can be reached and moved from the keyboard.
function markScrollers() {
  for (const box of document.querySelectorAll(".pst-scrollable-table-container, div.math mjx-container, .cell_output .output, .bd-article pre")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else if (box.tabIndex === 0) box.removeAttribute("tabindex");
  }
}
addEventListener("load", () => {
  new ResizeObserver(markScrollers).observe(document.querySelector(".bd-article") ?? document.body);
  window.MathJax?.startup?.promise?.then(markScrollers);
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
