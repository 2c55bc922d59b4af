(key, {orders}) => {
  const words = {ascending: ["low to high", "A to Z"], descending: ["high to low", "Z to A"]};

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function build(box) {
    const table = box.querySelector("table"), heads = [...table.querySelectorAll("thead th")];
    const body = table.tBodies[0], listed = [...body.rows], names = heads.map(head => head.textContent);
    const quiet = {"data-lm-suppress-shortcuts": "true"}; // or JupyterLab takes the keys
    const heard = make("span", {class: "lx-heard", "aria-live": "polite"});
    const choice = make("select", {autocomplete: "off", ...quiet}, make("option", {value: ""}, "as listed"));
    for (const i of orders) for (const direction in words)
      choice.append(make("option", {value: `${i} ${direction}`}, `${names[i]}, ${words[direction][+(i === 0)]}`));

    const value = (row, i) => i ? row.cells[i].dataset.value && +row.cells[i].dataset.value : row.cells[0].textContent;
    function before(i, sign, a, b) {
      const [x, y] = [value(a, i), value(b, i)];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined); // not measured: at the end
      return sign * (i ? (x > y) - (x < y) : x.localeCompare(y, "en"));
    }

    function sort() {
      const [column, direction] = choice.value.split(" "), i = +column;
      for (const head of heads) head.removeAttribute("aria-sort");
      if (direction) heads[i].setAttribute("aria-sort", direction);
      const sign = direction === "descending" ? -1 : 1;
      body.append(...direction ? [...listed].sort((a, b) => before(i, sign, a, b)) : listed);
      heard.textContent = `Sorted: ${choice.selectedOptions[0].textContent}`;
    }

    for (const i of orders) {
      const button = make("button", {type: "button", ...quiet}, names[i], make("span", {"aria-hidden": "true"}));
      button.addEventListener("click", () => {
        choice.value = `${i} ${choice.value === `${i} ascending` ? "descending" : "ascending"}`;
        sort();
      });
      heads[i].replaceChildren(button);
    }
    choice.addEventListener("change", sort);
    box.dataset.built = "";
    table.parentElement.before(make("label", {}, "Order", choice), heard);
  }

  for (const box of document.querySelectorAll(`.leaky-comparison[data-key="${key}"]:not([data-built])`)) build(box);
}
