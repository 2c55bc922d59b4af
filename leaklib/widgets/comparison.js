// Puts a button into the head of every column that has an order, a choice above, and unfolds rows where there is no
// room for columns.
(() => {
  const DIRECTIONS = {ascending: ["low to high", "A to Z"], descending: ["high to low", "Z to A"]};
  const QUIET = {"data-lm-suppress-shortcuts": "true"}; // or JupyterLab takes the keys

  /**
   * @template {keyof HTMLElementTagNameMap} Tag
   * @param {Tag} tag
   * @param {Record<string, string>} attributes
   * @param {(string | Node)[]} children
   */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /**
   * The name of a row, or its number in another column, if it was measured.
   * @param {HTMLTableRowElement} row
   * @param {number} i
   * @returns {any} of one type in each column
   */
  function value(row, i) {
    const cell = row.cells[i];
    return i === 0 ? cell.textContent ?? "" : cell.dataset.value === undefined ? undefined : Number(cell.dataset.value);
  }

  /** @param {number} i @param {number} sign @param {HTMLTableRowElement} a @param {HTMLTableRowElement} b */
  function before(i, sign, a, b) {
    const x = value(a, i), y = value(b, i);
    if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined); // at the end
    return sign * (typeof x === "string" ? x.localeCompare(`${y}`, "en") : Number(x > y) - Number(x < y));
  }

  /** @param {HTMLElement} box */
  function build(box) {
    const table = /** @type {HTMLTableElement} */ (box.querySelector("table")), body = table.tBodies[0];
    const {orders} = /** @type {{orders: number[]}} */ (JSON.parse(box.querySelector("script")?.textContent ?? ""));
    const heads = [.../** @type {HTMLTableRowElement} */ (table.tHead?.rows[0]).cells], listed = [...body.rows];
    const names = heads.map(head => head.textContent ?? "");
    const usual = orders.filter(i => heads[i].classList.contains("lx-key"));
    const heard = make("span", {class: "lx-heard", "aria-live": "polite"});
    const choice = make("select", {autocomplete: "off", ...QUIET}, make("option", {value: ""}, "as listed"));
    for (const i of orders) for (const [direction, words] of Object.entries(DIRECTIONS))
      choice.append(make("option", {value: `${i} ${direction}`}, `${names[i]}, ${words[i === 0 ? 1 : 0]}`));

    function sort() {
      const [column, direction] = choice.value.split(" "), i = Number(column);
      for (const head of heads) head.removeAttribute("aria-sort");
      if (direction) heads[i].setAttribute("aria-sort", direction);
      const sign = direction === "descending" ? -1 : 1;
      body.append(...direction ? [...listed].sort((a, b) => before(i, sign, a, b)) : listed);
      heard.textContent = `Sorted: ${choice.selectedOptions[0].textContent}`;
      // A folded row shows what it was sorted by.
      const keys = i === 0 || usual.includes(i) ? usual : [...usual.slice(0, -1), i];
      for (const row of table.rows) for (const k of orders) row.cells[k].classList.toggle("lx-key", keys.includes(k));
    }

    for (const i of orders) {
      const button = make("button", {type: "button", ...QUIET}, names[i], make("span", {"aria-hidden": "true"}));
      button.addEventListener("click", () => {
        choice.value = `${i} ${choice.value === `${i} ascending` ? "descending" : "ascending"}`;
        sort();
      });
      heads[i].replaceChildren(button);
    }
    for (const row of listed) {
      const button = make("button", {type: "button", class: "lx-fold", "aria-expanded": "false",
        "aria-label": `All about ${row.cells[0].textContent}`, ...QUIET});
      button.addEventListener("click", () => {
        const isOpen = row.classList.toggle("lx-open");
        button.setAttribute("aria-expanded", `${isOpen}`);
      });
      row.cells[0].append(button);
    }
    choice.addEventListener("change", sort);
    box.dataset.built = "";
    table.parentElement?.before(make("label", {}, "Order", choice), heard);
  }

  const boxes = document.querySelectorAll(".leaky-comparison:not([data-built])");
  /** @type {NodeListOf<HTMLElement>} */ (boxes).forEach(build);
})();
