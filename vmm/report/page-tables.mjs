import { button, element, foldable, table, unfold } from './page-elements.mjs';
import { timeText } from './page-scale.mjs';

/** Entries opened at once by "open all": a browser takes its time over more. */
const MOST_OPENED = 300;

/** The tables of the IOMMU as they were at the moments that matter. */
export function tablesSection(moments) {
  const tree = element('div', { class: 'tree' });
  const filled = moments.filter(({ tables }) => tables.roots.length > 0);
  const show = (moment) => {
    const { roots, cut } = moment.tables;
    tree.replaceChildren(
      ...(roots.length === 0
        ? [element('p', { class: 'quiet' }, 'Remapping was off, or no entry was present.')]
        : []),
      ...roots.map((node) => nodeElement(node, true)),
      ...(cut ? [element('p', { class: 'warn' }, 'There are more entries than are shown.')] : []),
    );
  };
  const first = filled[0] ?? moments[0];
  const choice = element(
    'select',
    { id: 'moment', onchange: (event) => show(moments[Number(event.target.value)]) },
    ...moments.map((moment, i) =>
      element(
        'option',
        { value: i, selected: moment === first },
        `${moment.label}, at ${timeText(moment.at)}`,
      ),
    ),
  );
  if (first !== undefined) show(first);
  return element(
    'section',
    { id: 'tables' },
    element('h2', {}, 'Tables'),
    first === undefined
      ? element('p', { class: 'quiet' }, 'The machine has no IOMMU that shows its tables.')
      : element(
          'div',
          { class: 'bar' },
          element('label', {}, 'as in memory at: ', choice),
          button('open all', 'open every entry', () => openAll(tree)),
          button('close all', 'close every entry', () => {
            for (const node of tree.querySelectorAll('details')) node.open = false;
          }),
        ),
    tree,
  );
}

function openAll(tree) {
  for (let opened = 0; opened < MOST_OPENED; opened++) {
    const next = tree.querySelector('details.entry:not([open])');
    if (next === null) return;
    unfold(next);
  }
}

/** What has no siblings is open: a path without branches shows its leaf. */
function nodeElement(node, open) {
  const told = node.fields.filter(({ value }) => value !== '0').map(({ name, value }) => `${name}=${value}`);
  const summary = [
    element('b', {}, node.what),
    ' ',
    element('span', { class: 'of' }, node.of),
    ' ',
    element('code', { class: 'quiet' }, told.join(' ')),
    ...(node.note === undefined ? [] : [element('span', { class: 'warn' }, ` ${node.note}`)]),
  ];
  return foldable({ class: 'entry', open }, summary, () => [
    element(
      'p',
      { class: 'place' },
      'at ',
      element('code', {}, node.address),
      ' = ',
      element('code', {}, node.raw.join(' ')),
      ...(node.lastWriter === undefined
        ? []
        : [element('br'), 'last written by ', element('code', { class: 'fields' }, node.lastWriter)]),
    ),
    foldable({ class: 'bits' }, ['fields'], () => [
      table(
        ['field', 'bits', 'value', 'meaning'],
        node.fields.map(({ name, bits, value, meaning, doc }) => [
          element('code', {}, name),
          bits,
          element('code', {}, value),
          meaning === undefined ? doc : `${doc}: ${meaning}`,
        ]),
      ),
    ]),
    ...node.children.map((child) => nodeElement(child, open && node.children.length === 1)),
  ]);
}
