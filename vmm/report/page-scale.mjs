/** Where on the picture a time is. Times are ns of virtual time. */

/** `1.234 ms`: with as many digits as tell times `step` apart. */
export function timeText(ns, step = 1) {
  const [unit, size] = ns < 1e3 ? ['ns', 1] : ns < 1e6 ? ['µs', 1e3] : ns < 1e9 ? ['ms', 1e6] : ['s', 1e9];
  const digits = Math.max(0, Math.ceil(Math.log10(size / Math.max(step, 1))));
  const text = (ns / size).toFixed(digits);
  return `${digits > 0 ? text.replace(/\.?0+$/, '') : text} ${unit}`;
}

/** A round number of ns: 1, 2 or 5 times a power of ten, not below `least`. */
export function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least) ?? 10 * power;
}

/** Linear time: places are ns. */
export function timeScale(end) {
  return {
    last: Math.max(end, 1),
    least: 20,
    place: (ns) => ns,
    ticks(from, to, most) {
      const step = roundStep((to - from) / most);
      const ticks = [];
      for (let t = Math.ceil(from / step) * step; t <= to; t += step)
        ticks.push({ place: t, text: timeText(t, step) });
      return ticks;
    },
  };
}

/** One step for each time at which something happens, however far they are apart: places are their numbers. */
export function orderScale(times) {
  const sorted = [...new Set(times)].sort((a, b) => a - b);
  const last = Math.max(sorted.length - 1, 1);
  return {
    last,
    least: 5,
    place: (ns) => rank(sorted, ns),
    ticks(from, to, most) {
      const step = Math.max(1, Math.ceil((to - from) / most));
      const places = [];
      for (let i = Math.ceil(from / step) * step; i <= Math.min(to, sorted.length - 1); i += step)
        places.push(i);
      // As many digits as tell a tick from the one before.
      return places.map((i) => ({
        place: i,
        text: timeText(sorted[i], Math.max(1, (sorted[i] - (sorted[i - step] ?? 0)) / 10)),
      }));
    },
  };
}

/** The number of the last time that is not later. */
function rank(sorted, ns) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= ns) low = middle + 1;
    else high = middle;
  }
  return Math.max(low - 1, 0);
}
