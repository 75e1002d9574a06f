/** Elements of the page. Text is always a text node: nothing that a guest said is ever taken for HTML. */

const SVG = 'http://www.w3.org/2000/svg';

/** An element; `properties` are attributes, `on...` handlers, children elements or texts. */
export function element(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...present(children));
  return node;
}

/** Puts these children, as far as there are some, in the place of all that were there. */
export function replaceAll(node, children) {
  node.replaceChildren(...present(children));
}

function present(children) {
  return children.filter((child) => child !== undefined && child !== null);
}

/** A button that says what it does to those who cannot see it. */
export function button(text, title, onclick) {
  return element('button', { type: 'button', title, 'aria-label': title, onclick }, text);
}

/** A details element whose contents are made when it is first opened. */
export function foldable(properties, summary, contents) {
  const node = element('details', properties, element('summary', {}, ...summary));
  const make = () => {
    if (node.open && node.children.length === 1) node.append(...contents());
  };
  node.addEventListener('toggle', make);
  make();
  return node;
}

/** Opens a foldable at once, contents included: toggle events come later. */
export function unfold(node) {
  node.open = true;
  node.dispatchEvent(new Event('toggle'));
}

export function table(head, rows) {
  const cells = (name, row) => row.map((cell) => element(name, {}, cell));
  return element(
    'table',
    {},
    element('thead', {}, element('tr', {}, ...cells('th', head))),
    element('tbody', {}, ...rows.map((row) => element('tr', {}, ...cells('td', row)))),
  );
}
