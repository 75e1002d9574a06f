import { element, foldable, table } from './page-elements.mjs';
import { faultsSection } from './page-faults.mjs';
import { timeText } from './page-scale.mjs';
import { tablesSection } from './page-tables.mjs';
import { timelineSection } from './page-timeline.mjs';

const run = JSON.parse(document.getElementById('run').textContent);
const { verdict, inside, machine } = run;

const faults = faultsSection(verdict.faults);
document.title = `${verdict.guest}: ${verdict.verdict} - tsvmm`;
document.body.append(
  header(),
  element(
    'main',
    {},
    summary(),
    timelineSection(inside.timeline, faults.show),
    faults.section,
    tablesSection(inside.moments),
    consoleSection(),
  ),
  element(
    'footer',
    { class: 'quiet' },
    `tsvmm ${run.program}; times are virtual time, one instruction is 1 ns`,
  ),
);
document.documentElement.dataset.ready = 'yes';

function header() {
  const good = verdict.exitCode === 0;
  return element(
    'header',
    {},
    element('h1', {}, verdict.guest),
    element('span', { class: `verdict ${good ? 'good' : 'bad'}` }, verdict.verdict),
    element(
      'nav',
      {},
      ...['timeline', 'faults', 'tables', 'console'].map((id) => element('a', { href: `#${id}` }, id)),
    ),
  );
}

function summary() {
  const { tap } = verdict;
  const kinds = (kind) => inside.timeline.items.filter((item) => item.kind === kind).length;
  const facts = [
    ['tests', tap === null ? 'none' : tapText(tap)],
    ['exit status', verdict.exitStatus ?? 'none'],
    ['virtual time', timeText(verdict.virtualNs, verdict.virtualNs / 1e4)],
    ['instructions', verdict.instructions],
    ['DMAs', kinds('dma')],
    ['faults', verdict.faults.length],
    ['table stores seen', kinds('store')],
    ['machine', machineText()],
  ];
  return element(
    'section',
    { id: 'summary' },
    verdict.reason === null ? undefined : element('p', { class: 'warn' }, verdict.reason),
    element(
      'dl',
      {},
      ...facts.map(([name, value]) =>
        element('div', {}, element('dt', {}, name), element('dd', {}, factText(value))),
      ),
    ),
    tap === null || tap.failures.length === 0
      ? undefined
      : table(
          ['test', 'failed'],
          tap.failures.map(({ number, description }) => [String(number), description]),
        ),
    verdict.replay === null
      ? undefined
      : element('p', {}, 'to do it again: ', element('code', {}, verdict.replay)),
    verdict.report === null ? undefined : element('pre', { class: 'crash' }, verdict.report),
    foldable({}, ['machine description'], () => [element('pre', {}, JSON.stringify(machine, null, 2))]),
  );
}

function factText(value) {
  return typeof value === 'number' ? value.toLocaleString('en') : value;
}

function tapText({ passed, failed, skipped, todo, bailOut }) {
  const counts = [
    [passed, 'passed'],
    [failed, 'failed'],
    [skipped, 'skipped'],
    [todo, 'todo'],
  ];
  const text = counts.filter(([n], i) => i === 0 || n > 0).map(([n, what]) => `${n} ${what}`);
  return [...text, ...(bailOut === null ? [] : ['bailed out'])].join(', ');
}

function machineText() {
  const devices = (machine.devices ?? []).map((device) => device.id ?? device.kind);
  const iommu = machine.viommu?.kind ?? 'no IOMMU';
  return [machine.machine, iommu, ...devices].filter((part) => part !== undefined).join(', ');
}

function consoleSection() {
  return element(
    'section',
    { id: 'console' },
    element('h2', {}, 'Console'),
    verdict.console === ''
      ? element('p', { class: 'quiet' }, 'The guest printed nothing.')
      : element('pre', { class: 'console' }, verdict.console),
  );
}
