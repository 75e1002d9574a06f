import { button, element, replaceAll, svg, table } from './page-elements.mjs';
import { orderScale, timeScale, timeText } from './page-scale.mjs';

const LABELS = 168;
const AXIS = 22;
const ROW = 18;
const GAP = 6;
/** Rows of DMAs that overlap; more share the last one. */
const MOST_ROWS = 6;
/** Arrows drawn at once. */
const MOST_ARROWS = 400;
/** What covers what where there is no room for both. */
const WEIGHT = { event: 0, invalidation: 1, announcement: 2, store: 3, mistake: 4, fault: 5 };
const KIND_TEXT = {
  dma: 'DMA',
  binding: 'binding: the IOMMU holds this context entry',
  'page-request': 'page request, until it was answered',
  fault: 'fault',
  mistake: 'mistake of the driver',
  store: 'table store',
  invalidation: 'invalidation command',
  announcement: 'invalidation that announced table stores',
  event: 'event',
};
const GROUP_TEXT = { guest: 'guest', iommu: 'vIOMMU', machine: 'machine', requester: '' };

/** @param onFault told which fault's explanation to show: its number among the faults of the timeline */
export function timelineSection({ lanes, items, flows, end, dropped }, onFault) {
  const order = lanes.map((_, i) => i).sort((a, b) => compareLanes(lanes[a], lanes[b]));
  const byItem = flowsByItem(flows);
  const faults = new Map(
    items
      .map((item, i) => [i, item])
      .filter(([, item]) => item.kind === 'fault')
      .map(([i], n) => [i, n]),
  );
  const scales = {
    order: orderScale(items.flatMap((item) => (item.end === undefined ? [item.at] : [item.at, item.end]))),
    time: timeScale(end),
  };
  let scale = scales.order;
  let view = { from: 0, to: 1 };
  let lane = '';
  let words = '';
  let selected = -1;
  let wanted = false;

  const picture = svg('svg', { class: 'timeline', tabindex: '0', role: 'img', 'aria-label': 'timeline' });
  const tip = element('div', { class: 'tip', hidden: true });
  const details = element('div', { class: 'details', 'aria-live': 'polite' });
  const count = element('span', { class: 'quiet' });

  function whole() {
    const margin = (scale.last - 0) * 0.01;
    view = { from: -margin, to: scale.last + margin };
    redraw();
  }

  function redraw() {
    if (wanted) return;
    wanted = true;
    requestAnimationFrame(() => {
      wanted = false;
      draw();
    });
  }

  function shown(item) {
    if (lane !== '' && !laneMatches(lanes[item.lane], lane)) return false;
    if (words === '') return true;
    const text = `${item.name} ${Object.values(item.args).join(' ')} ${lanes[item.lane].name}`.toLowerCase();
    return words.split(/\s+/).every((word) => text.includes(word));
  }

  function draw() {
    const width = Math.max(picture.clientWidth, LABELS + 200);
    const x = (ns) => LABELS + ((scale.place(ns) - view.from) / (view.to - view.from)) * (width - LABELS);
    const visible = items.map((item, i) => [item, i]).filter(([item]) => shown(item));
    count.textContent = `${visible.length} of ${items.length} events`;
    const parts = [];
    const places = new Map();
    let y = AXIS;
    for (const index of order) {
      const own = visible.filter(([item]) => item.lane === index);
      if (own.length === 0) continue;
      const top = y;
      const drawn = drawLane(own, y + GAP, x, width, places);
      y = drawn.bottom + GAP;
      parts.push(
        svg('rect', { class: 'band', x: 0, y: top, width, height: y - top }),
        ...drawn.nodes,
        svg('rect', { class: 'cover', x: 0, y: top, width: LABELS - 4, height: y - top }),
        laneLabel(lanes[index], top + (y - top) / 2 + 4),
      );
    }
    const arrows = drawArrows(places);
    picture.setAttribute('height', y + 4);
    picture.replaceChildren(
      svg('defs', {}, arrowHead()),
      ...drawAxis(width, y),
      ...parts.filter((node) => node.getAttribute('class') === 'band'),
      ...parts.filter((node) => !['band', 'cover', 'lane'].includes(node.getAttribute('class'))),
      ...arrows,
      ...parts.filter((node) => ['cover', 'lane'].includes(node.getAttribute('class'))),
    );
  }

  function drawAxis(width, bottom) {
    const scaleX = (place) => LABELS + ((place - view.from) / (view.to - view.from)) * (width - LABELS);
    const ticks = scale.ticks(Math.max(view.from, 0), Math.min(view.to, scale.last), (width - LABELS) / 110);
    return ticks.flatMap(({ place, text }) => {
      const x = scaleX(place);
      const line = svg('line', { class: 'tick', x1: x, x2: x, y1: AXIS, y2: bottom });
      const fits = x + 3 + text.length * 6.5 < width;
      return fits ? [line, svg('text', { class: 'axis', x: x + 3, y: AXIS - 7 }, text)] : [line];
    });
  }

  /** Bindings, then DMAs, then what has no length, in rows below each other. */
  function drawLane(own, top, x, width, places) {
    const nodes = [];
    let y = top;
    for (const kind of ['binding', 'dma', 'page-request']) {
      const rows = [];
      for (const [item, i] of own) {
        if (item.kind !== kind) continue;
        const [from, to] = [x(item.at), x(item.end)];
        let row = rows.findIndex((until) => until <= from);
        if (row < 0) row = rows.length < MOST_ROWS ? rows.length : MOST_ROWS - 1;
        rows[row] = to;
        if (to < LABELS || from > width) continue;
        nodes.push(...bar(item, i, Math.max(from, LABELS - 4), Math.min(to, width + 4), y + row * ROW));
      }
      y += rows.length * ROW;
    }
    const marks = own.filter(([item]) => item.end === undefined);
    if (marks.length > 0) {
      nodes.push(...drawMarks(marks, y, x, width, places));
      y += ROW;
    }
    return { nodes, bottom: y };
  }

  function bar(item, i, from, to, y) {
    const length = Math.max(to - from, 2);
    const bad = item.refused === true;
    const state = `${bad ? ' bad' : ''}${i === selected ? ' selected' : ''}`;
    const rect = svg('rect', {
      class: `item ${item.kind}${state}`,
      x: from,
      y: y + 2,
      width: length,
      height: ROW - 4,
      rx: 2,
      'data-item': i,
    });
    const room = Math.floor((length - 8) / 6.4);
    if (room < 4) return [rect];
    const text = item.name.length <= room ? item.name : `${item.name.slice(0, room - 1)}…`;
    return [rect, svg('text', { class: 'inside', x: from + 4, y: y + ROW - 5.5 }, text)];
  }

  /** Marks closer than their size are one mark, the weightiest of them, which says how many they are. */
  function drawMarks(marks, y, x, width, places) {
    const heaps = [];
    for (const [item, i] of marks) {
      const at = x(item.at);
      places.set(i, { x: at, y: y + ROW / 2 });
      if (at < LABELS || at > width) continue;
      const last = heaps.at(-1);
      if (last !== undefined && at - last.x < 5 && item.kind !== 'fault' && last.item.kind !== 'fault') {
        last.count++;
        if (i === selected || (last.i !== selected && WEIGHT[item.kind] > WEIGHT[last.item.kind]))
          Object.assign(last, { item, i });
      } else heaps.push({ item, i, x: at, count: 1 });
    }
    return heaps.map((heap) => mark(heap, y + ROW / 2));
  }

  function mark({ item, i, x, count: heaped }, y) {
    const properties = {
      class: `item ${item.kind}${i === selected ? ' selected' : ''}`,
      'data-item': i,
      'data-count': heaped,
    };
    if (item.kind === 'fault' || item.kind === 'mistake') {
      return svg('path', { ...properties, d: `M${x} ${y - 7}L${x + 7} ${y + 6}L${x - 7} ${y + 6}Z` });
    }
    if (item.kind === 'event' || item.kind === 'invalidation')
      return svg('rect', { ...properties, x: x - 1.5, y: y - 6, width: 3, height: 12 });
    if (item.kind === 'store') return svg('circle', { ...properties, cx: x, cy: y, r: 4.5 });
    return svg('path', { ...properties, d: `M${x} ${y - 6}L${x + 6} ${y}L${x} ${y + 6}L${x - 6} ${y}Z` });
  }

  /** From each store to what announced it and to the faults it caused. */
  function drawArrows(places) {
    const chosen = flows.filter((flow) => flow.some((i) => i === selected));
    const others = flows.filter((flow) => !chosen.includes(flow));
    return [...others.slice(0, MOST_ARROWS), ...chosen].flatMap((flow) =>
      flow.slice(1).flatMap((to, step) => {
        const [a, b] = [places.get(flow[step]), places.get(to)];
        if (a === undefined || b === undefined || Math.max(a.x, b.x) < LABELS) return [];
        const kind = items[to].kind === 'fault' ? 'cause' : 'announce';
        const state = flow.includes(selected) ? ' selected' : '';
        const bend = Math.min(40, 8 + Math.abs(b.x - a.x) / 4);
        const d = `M${a.x} ${a.y}C${a.x + bend} ${a.y} ${b.x - bend} ${b.y} ${b.x} ${b.y}`;
        return [svg('path', { class: `arrow ${kind}${state}`, d, 'marker-end': 'url(#head)' })];
      }),
    );
  }

  function select(i) {
    selected = i;
    details.replaceChildren(...(i < 0 ? [] : describe(i)));
    redraw();
  }

  function describe(i) {
    const item = items[i];
    const rows = Object.entries(item.args).map(([name, value]) => [name, String(value)]);
    const linked = [...new Set((byItem.get(i) ?? []).flat())].filter((other) => other !== i);
    const fault = faults.get(i);
    return [
      element(
        'h3',
        {},
        item.name,
        element('span', { class: 'quiet' }, ` ${KIND_TEXT[item.kind]}, ${span(item)}`),
      ),
      table(['argument', 'value'], [['lane', laneText(lanes[item.lane])], ...rows]),
      element(
        'p',
        {},
        ...linked.map((other) =>
          button(`${KIND_TEXT[items[other].kind]}: ${items[other].name}`, 'select what this belongs to', () =>
            select(other),
          ),
        ),
        fault === undefined
          ? undefined
          : button('explanation', 'show why it was refused', () => onFault(fault)),
      ),
    ];
  }

  // --- hands -----------------------------------------------------------------------------------------------------------

  const placeAt = (clientX) => {
    const box = picture.getBoundingClientRect();
    const part = (clientX - box.left - LABELS) / Math.max(box.width - LABELS, 1);
    return view.from + part * (view.to - view.from);
  };

  function zoom(factor, at = (view.from + view.to) / 2) {
    const length = (view.to - view.from) * factor;
    if (length < scale.least || length > scale.last * 1.5) {
      if (factor > 1) whole();
      return;
    }
    view = { from: at - (at - view.from) * factor, to: at + (view.to - at) * factor };
    redraw();
  }

  function pan(part) {
    const by = (view.to - view.from) * part;
    const room = (view.to - view.from) / 2;
    if (view.from + by < -room || view.to + by > scale.last + room) return;
    view = { from: view.from + by, to: view.to + by };
    redraw();
  }

  picture.addEventListener(
    'wheel',
    (event) => {
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
        pan((event.deltaX || event.deltaY) / 1000);
      else if (event.ctrlKey || event.metaKey || document.activeElement === picture)
        zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, placeAt(event.clientX));
      else return;
      event.preventDefault();
    },
    { passive: false },
  );
  let grip;
  picture.addEventListener('pointerdown', (event) => {
    grip = { x: event.clientX, view, moved: false };
  });
  picture.addEventListener('pointermove', (event) => {
    if (grip !== undefined && event.buttons === 1) {
      const width = Math.max(picture.clientWidth - LABELS, 1);
      const by = ((grip.x - event.clientX) / width) * (grip.view.to - grip.view.from);
      if (Math.abs(grip.x - event.clientX) < 3 && !grip.moved) return;
      grip.moved = true;
      view = { from: grip.view.from + by, to: grip.view.to + by };
      redraw();
    } else hover(event);
  });
  picture.addEventListener('pointerleave', () => {
    tip.hidden = true;
    grip = undefined;
  });
  picture.addEventListener('click', (event) => {
    const dragged = grip?.moved === true;
    grip = undefined;
    if (!dragged) select(itemAt(event));
  });
  picture.addEventListener('dblclick', (event) => zoom(1 / 4, placeAt(event.clientX)));
  picture.addEventListener('keydown', (event) => {
    const keys = {
      '+': () => zoom(1 / 1.5),
      '=': () => zoom(1 / 1.5),
      '-': () => zoom(1.5),
      0: whole,
      ArrowLeft: () => pan(-0.2),
      ArrowRight: () => pan(0.2),
      Escape: () => select(-1),
    };
    if (keys[event.key] === undefined) return;
    keys[event.key]();
    event.preventDefault();
  });

  function itemAt(event) {
    const at = event.target.getAttribute?.('data-item');
    return at === null || at === undefined ? -1 : Number(at);
  }

  function hover(event) {
    const i = itemAt(event);
    tip.hidden = i < 0;
    if (i < 0) return;
    const item = items[i];
    const heaped = Number(event.target.getAttribute('data-count') ?? 1);
    replaceAll(tip, [
      element('b', {}, item.name),
      element('div', { class: 'quiet' }, `${KIND_TEXT[item.kind]}, ${span(item)}`),
      ...Object.entries(item.args).map(([name, value]) => element('div', {}, `${name} = ${value}`)),
      heaped > 1 ? element('div', { class: 'quiet' }, `and ${heaped - 1} more here: zoom in`) : undefined,
    ]);
    const box = tip.parentElement.getBoundingClientRect();
    const left = Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(left, 0)}px`;
    tip.style.top = `${event.clientY - box.top + 16}px`;
  }

  const filter = element(
    'select',
    {
      id: 'lane-filter',
      onchange: (event) => {
        lane = event.target.value;
        redraw();
      },
    },
    element('option', { value: '' }, 'everybody'),
    ...laneFilters(lanes).map(([value, text]) => element('option', { value }, text)),
  );
  const search = element('input', {
    id: 'event-filter',
    type: 'search',
    size: 26,
    placeholder: 'address, name, function…',
    oninput: (event) => {
      words = event.target.value.trim().toLowerCase();
      redraw();
    },
  });
  const spacing = element(
    'select',
    {
      id: 'spacing',
      onchange: (event) => {
        scale = scales[event.target.value];
        whole();
      },
    },
    element('option', { value: 'order' }, 'one step an event'),
    element('option', { value: 'time' }, 'virtual time'),
  );
  new ResizeObserver(redraw).observe(picture);
  whole();
  return element(
    'section',
    { id: 'timeline' },
    element('h2', {}, 'Timeline'),
    element(
      'div',
      { class: 'bar' },
      element('label', {}, 'show ', filter),
      element('label', {}, 'find ', search),
      element('label', {}, 'spacing ', spacing),
      button('−', 'zoom out (key -)', () => zoom(1.5)),
      button('+', 'zoom in (key +)', () => zoom(1 / 1.5)),
      button('whole', 'show everything (key 0)', whole),
      count,
    ),
    dropped > 0
      ? element(
          'p',
          { class: 'warn' },
          `The first ${items.length.toLocaleString('en')} events only: later ones were left out.`,
        )
      : undefined,
    element('div', { class: 'stage' }, picture, tip),
    legend(),
    details,
  );
}

function legend() {
  const entry = (kind, text) => element('span', { class: `key ${kind}` }, text);
  return element(
    'p',
    { class: 'legend' },
    entry('binding', 'binding'),
    entry('dma', 'DMA'),
    entry('dma bad', 'DMA refused'),
    entry('store', 'table store'),
    entry('announcement', 'announced'),
    entry('invalidation', 'invalidation'),
    entry('page-request', 'page request'),
    entry('fault', 'fault'),
    entry('mistake', 'mistake'),
    entry('event', 'event'),
    element(
      'span',
      { class: 'quiet' },
      'Drag to move, Ctrl and wheel or double click to zoom, click for details. Arrows lead from a store to the invalidation that announced it and to the faults it caused.',
    ),
  );
}

function arrowHead() {
  const shape = svg('path', { d: 'M0 0L6 3L0 6Z', class: 'head' });
  return svg(
    'marker',
    { id: 'head', viewBox: '0 0 6 6', refX: 6, refY: 3, markerWidth: 6, markerHeight: 6, orient: 'auto' },
    shape,
  );
}

function laneLabel(lane, y) {
  const text = laneText(lane);
  const short = text.length > 25 ? `${text.slice(0, 24)}…` : text;
  return svg('text', { class: 'lane', x: 6, y }, short, svg('title', {}, text));
}

function laneText(lane) {
  return `${GROUP_TEXT[lane.group]} ${lane.name}`.trim();
}

/** From who causes to who suffers; the PASIDs of a requester below it. */
function compareLanes(a, b) {
  const rank = ({ group }) => ['guest', 'iommu', 'requester', 'machine'].indexOf(group);
  const id = ({ requester = '' }) => requester;
  return rank(a) - rank(b) || id(a).localeCompare(id(b)) || (a.pasid ?? -1) - (b.pasid ?? -1);
}

/** Requesters, their PASIDs where they have some, and the others. */
function laneFilters(lanes) {
  const filters = new Map();
  for (const lane of lanes) {
    if (lane.group !== 'requester') continue;
    const pasid = lane.pasid === undefined ? '' : ` PASID ${lane.pasid}`;
    filters.set(`requester ${lane.requester}`, lane.name.replace(pasid, ''));
  }
  for (const lane of lanes)
    if (lane.pasid !== undefined) filters.set(`pasid ${lane.pasid}`, `PASID ${lane.pasid}`);
  for (const lane of lanes)
    if (lane.group !== 'requester') filters.set(`group ${lane.group}`, GROUP_TEXT[lane.group]);
  return [...filters];
}

function laneMatches(lane, filter) {
  const [by, value] = filter.split(' ');
  return String(lane[by] ?? '') === value;
}

function flowsByItem(flows) {
  const byItem = new Map();
  for (const flow of flows) for (const i of flow) byItem.set(i, [...(byItem.get(i) ?? []), flow]);
  return byItem;
}

function span(item) {
  const at = `at ${timeText(item.at)}`;
  if (item.end === undefined) return at;
  return `${at} for ${timeText(item.end - item.at)}${item.open === true ? ', not ended' : ''}`;
}
