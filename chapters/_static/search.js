// The search of the book: what is found stands below the field as one types, and on a page of its own. The places and
// the library that ranks them come with searchindex.js, a script, so that a book opened from a file has its search too.
(() => {
  const root = document.documentElement.dataset.content_root;
  const STOP = new Set(("a an and are as at be by can do does for from how i in is it its of on or the to what when "
    + "which who why with").split(" "));
  // What a place is worth beside another with the same words, by its kind; and pages and sections that only list.
  const WORTH = {page: 1.6, section: 1, term: 1, definition: 0.9, exercise: 0.5, figure: 0.5, reference: 0.3};
  const LISTS = /source_map|bibliography|^index.html#(?!leaky)|#(quick-check|exercises)$/;
  const GREEK = {ε: "epsilon", δ: "delta", σ: "sigma", ρ: "rho"};
  const NAMES = {term: "Glossary", reference: "Reference", page: ""};
  const MOST = 30, EXCERPT = 34;

  // Words and numbers such as 4.2, each with the place where it begins.
  const split = text => [...text.matchAll(/[\p{L}\p{N}]+(?:\.\p{N}+)*/gu)];
  const plain = word => word.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "");
  const stem = word => GREEK[word] ?? leakyLibrary.stemmer(plain(word));
  const phrase = text => split(text).map(([word]) => stem(word)).join(" ");
  const tokenize = text => split(text).map(([word]) => word);

  let index = null;
  const ready = new Promise(done => {
    window.leakySearch = async pages => {
      const places = pages.flatMap(({page, address, places}) => places.map(([anchor, kind, title, other, text]) => {
        const name = kind === "page" ? page : title;
        return {id: `${address}#${anchor}`, kind, page, title: name, other, text, phrase: phrase(name)};
      }));
      index = new leakyLibrary.MiniSearch({
        fields: ["title", "other", "page", "text"], storeFields: ["kind", "page", "title", "text", "phrase"],
        tokenize, processTerm: word => STOP.has(plain(word)) ? null : stem(word),
      });
      await index.addAllAsync(places, {chunkSize: 60}); // the page answers in between
      done();
    };
  });

  function find(query) {
    const said = phrase(query), last = split(query).at(-1)?.[0] ?? "";
    const options = {
      boost: {title: 4, other: 4, page: 1.2},
      // What is being typed may be the beginning of a word, and a long word may have a slip.
      prefix: term => term === stem(last) && term.length > 1,
      fuzzy: term => term.length > 5 && !/\d/.test(term) ? 0.2 : false,
      weights: {prefix: 0.4, fuzzy: 0.15},
      boostDocument: (id, term, {kind, phrase}) =>
        (WORTH[kind] ?? 0.8) * (LISTS.test(id) ? 0.4 : 1)
          * (phrase === said ? (kind === "term" ? 2 : 3) : ` ${phrase} `.includes(` ${said} `) ? 1.6 : 1),
    };
    const all = index.search(query, {...options, combineWith: "AND"});
    return all.length ? all : index.search(query, options);
  }

  // The stretch of the text in which most of the words stand, with these marked.
  function excerpt({text, terms}) {
    const box = document.createElement("p"), words = split(text), stems = words.map(([word]) => stem(word));
    const hits = stems.map(one => terms.includes(one));
    let best = 0, most = -1;
    words.forEach((_, at) => {
      if (!hits[at] && at) return;
      const from = Math.max(0, at - 5);
      const different = new Set(stems.slice(from, from + EXCERPT).filter((_, k) => hits[from + k]));
      if (different.size > most) [best, most] = [from, different.size];
    });
    if (!words.length) return box;
    const shown = words.slice(best, best + EXCERPT);
    let at = best ? shown[0].index : 0;
    box.append(best ? "… " : "");
    shown.forEach(({0: word, index}, k) => {
      if (!hits[best + k]) return;
      box.append(text.slice(at, index), Object.assign(document.createElement("mark"), {textContent: word}));
      at = index + word.length;
    });
    const end = best + EXCERPT < words.length ? shown.at(-1).index + shown.at(-1)[0].length : text.length;
    box.append(text.slice(at, end), end < text.length ? " …" : "");
    return box;
  }

  function entry(result) {
    const item = document.createElement("li"), link = document.createElement("a");
    const {kind, page, title} = result, name = NAMES[kind] ?? "";
    link.href = root + result.id;
    link.textContent = title || page;
    item.append(link);
    const where = [name, title && title !== page && page].filter(Boolean).join(" · ");
    if (where) item.append(Object.assign(document.createElement("span"), {className: "where", textContent: where}));
    item.append(excerpt(result));
    return item;
  }

  // The list below a field. Arrow keys move from the field through the list and back.
  function attach(form) {
    const field = form.querySelector("input[type=search]");
    const own = form.parentElement.querySelector("#search-results"), box = own ?? document.createElement("div");
    const status = document.createElement("p"), list = document.createElement("ol");
    status.className = "status";
    status.setAttribute("role", "status");
    box.classList.add("leaky-results");
    box.append(status, list);
    if (!own) form.after(box);
    let asked = "";

    async function show() {
      const query = asked = field.value.trim();
      if (!query) {
        status.textContent = "";
        return list.replaceChildren();
      }
      if (!index) status.textContent = "Searching";
      await ready;
      if (query !== asked) return;
      const found = find(query), few = found.slice(0, MOST);
      list.replaceChildren(...few.map(entry));
      status.textContent = found.length === 0 ? `Nothing in this book has these words: ${query}`
        : found.length > MOST ? `The best ${MOST} of ${found.length} places`
          : `${found.length} place${found.length > 1 ? "s" : ""}`;
    }
    field.addEventListener("input", show);
    form.parentElement.addEventListener("keydown", event => {
      const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
      if (!step) return;
      const stops = [field, ...list.querySelectorAll("a")], next = stops[stops.indexOf(document.activeElement) + step];
      event.preventDefault();
      next?.focus();
    });
    const query = new URLSearchParams(location.search).get("q");
    if (own && query) field.value = query;
    show();
  }

  document.querySelectorAll("form.bd-search").forEach(attach);
  document.head.append(Object.assign(document.createElement("script"), {src: `${root}searchindex.js`}));
})();
