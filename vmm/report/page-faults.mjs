import { element, foldable, table, unfold } from './page-elements.mjs';

/** Every fault with its explanation, as the command line prints it. */
export function faultsSection(faults) {
  const list = faults.map((fault, i) => faultNode(fault, i));
  const section = element(
    'section',
    { id: 'faults' },
    element('h2', {}, `Faults (${faults.length})`),
    ...(list.length === 0
      ? [element('p', { class: 'quiet' }, 'No DMA and no interrupt request was refused.')]
      : list),
  );
  return {
    section,
    show(n) {
      const node = list[n];
      if (node === undefined) return;
      unfold(node);
      node.scrollIntoView({ block: 'center' });
      node.querySelector('summary').focus();
    },
  };
}

function faultNode(fault, i) {
  const pasid = fault.pasid >= 0 ? ` PASID ${fault.pasid}` : '';
  const what = `${fault.access} of ${fault.address} by ${bdfText(fault.requester)}${pasid} refused: `;
  const summary = [
    element('span', { class: 'quiet' }, `${fault.iommu} `),
    what,
    element('b', {}, `fault ${fault.code} (${fault.name})`),
  ];
  return foldable({ class: 'fault', id: `fault-${i}`, open: i === 0 }, summary, () => [
    element('p', { class: 'why' }, fault.why),
    ...(fault.recorded ? [] : [element('p', { class: 'warn' }, `not recorded: ${fault.note ?? ''}`)]),
    fault.steps.length === 0
      ? element('p', { class: 'quiet' }, 'No table entry was read.')
      : table(
          ['entry', 'at', 'value', 'fields', 'last written by'],
          fault.steps.map((step) => [
            element('span', {}, step.what),
            element('code', {}, step.address ?? 'from a cache'),
            element('code', {}, step.raw.join(' ')),
            element('code', { class: 'fields' }, step.fields),
            element(
              'code',
              { class: 'fields' },
              step.lastWriter ?? (step.source === 'cache' ? '' : 'not known'),
            ),
          ]),
        ),
  ]);
}

function bdfText(requester) {
  const hex = (value, digits) => value.toString(16).padStart(digits, '0');
  return `${hex(requester >>> 8, 2)}:${hex((requester >>> 3) & 31, 2)}.${requester & 7}`;
}
