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
