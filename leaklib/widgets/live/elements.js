// The elements of the page.

/**
 * @param {string} id
 * @returns {any} the element: its kind stands in live.html
 */
export function byId(id) {
  return document.getElementById(id);
}
