// Makes what each slide shows as large as the slide allows, then hands over to reveal.js.
"use strict";

const SMALLEST = 15;  // pixels of letters
const ZOOMS = [1.6, 1.45, 1.3, 1.15, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35];
const fits = element => element.scrollHeight <= element.clientHeight + 1 && element.scrollWidth <= element.clientWidth + 1;

/** Takes a pixel from the letters of `element` until `box` holds them. */
function shrink(element, box, size) {
  while (!fits(box) && size > SMALLEST) element.style.setProperty("--size", `${size -= 1}px`);
}

function fit(slide) {
  const caption = slide.querySelector(".caption"), picture = slide.querySelector(".picture");
  if (!caption) {
    // Room for the longest answer that may be opened.
    const answers = [...slide.querySelectorAll("details")];
    const last = answers.sort((a, b) => b.textContent.length - a.textContent.length)[0];
    if (last) last.open = true;
    shrink(slide, slide, 28);
    if (last) last.open = false;
    return;
  }
  if (!picture.querySelector(".leaky-figure") || picture.querySelector(".leaky-explorer")) {
    for (const zoom of ZOOMS) {
      picture.style.setProperty("--zoom", zoom);
      if (fits(picture)) break;
    }
  }
  shrink(caption, slide, 21);
}

const root = document.documentElement.classList;
root.add("measuring");
document.querySelectorAll(".slide").forEach(fit);
root.remove("measuring");
if (/view=print|print-pdf/.test(location.search)) {
  document.querySelectorAll("details.quiz.yes").forEach(answer => { answer.open = true; });
}
Reveal.initialize({
  width: 1280, height: 720, margin: 0, center: false, hash: true, transition: "none", backgroundTransition: "none",
  slideNumber: "c/t", showSlideNumber: "all", pdfSeparateFragments: false, scrollActivationWidth: 600,
});
