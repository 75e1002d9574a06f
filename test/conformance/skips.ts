import type { Case, Feature, Mode } from './world.ts';

/** A list of modes, by the beginning of their names. */
interface Row {
  readonly modes: readonly string[];
  readonly why: string;
}

/** Why modes are without a feature. */
export const WITHOUT: readonly (Row & { readonly feature: Feature })[] = [
  {
    feature: 'tables',
    modes: ['VT-d legacy pass-through', 'VT-d pass-through', 'SMMUv3 bypass'],
    why: 'addresses are not translated: there are no tables',
  },
  {
    feature: 'accessed-dirty',
    modes: ['VT-d legacy'],
    why: 'legacy mode has no accessed and dirty flags, or nothing is translated',
  },
  {
    feature: 'accessed-dirty',
    modes: ['VT-d pass-through', 'SMMUv3 bypass'],
    why: 'there are no entries that could be marked',
  },
  {
    feature: 'identity',
    modes: [
      'VT-d legacy',
      'VT-d first-stage',
      'VT-d second-stage',
      'VT-d nested',
      'SMMUv3 stage 1',
      'SMMUv3 stage 2',
      'SMMUv3 nested',
    ],
    why: 'requests are translated: the pass-through modes have the case',
  },
  {
    feature: 'two-stages',
    modes: [
      'VT-d legacy',
      'VT-d first-stage',
      'VT-d second-stage',
      'VT-d pass-through',
      'SMMUv3 stage 1',
      'SMMUv3 stage 2',
      'SMMUv3 bypass',
    ],
    why: 'there is one stage, or none',
  },
  {
    feature: 'bad-entry',
    modes: ['SMMUv3 stage 1', 'SMMUv3 stage 2', 'SMMUv3 nested'],
    why: 'VMSAv8-64 descriptors have no reserved bits: encodings without a meaning are translation faults',
  },
  {
    feature: 'ats',
    modes: ['SMMUv3 stage 1, stall', 'SMMUv3 stage 2, stall', 'SMMUv3 stage 1, SubstreamID, stall'],
    why: 'stalls are for devices without ATS: STE.EATS = 1 with S2S = 1 is ILLEGAL, and PCIe functions must not stall',
  },
  {
    feature: 'pri',
    modes: ['VT-d legacy'],
    why: 'page requests are refused in legacy mode (fault 32h)',
  },
  {
    feature: 'pri',
    modes: ['SMMUv3 stage 1, stall', 'SMMUv3 stage 2, stall', 'SMMUv3 stage 1, SubstreamID, stall'],
    why: 'devices that stall do not ask for pages',
  },
  {
    feature: 'recovery',
    modes: ['VT-d legacy'],
    why: 'legacy mode has no page requests, and VT-d no stalls',
  },
  {
    feature: 'pasids',
    modes: ['VT-d legacy'],
    why: 'legacy mode refuses requests with PASID (fault 31h)',
  },
  {
    feature: 'pasids',
    modes: ['VT-d first-stage', 'VT-d second-stage', 'VT-d nested'],
    why: 'the mode is that of requests without PASID; the one with PASID has the case',
  },
  {
    feature: 'pasids',
    modes: ['SMMUv3 stage 1', 'SMMUv3 nested'],
    why: 'the mode is that of streams without substreams; the one with SubstreamID has the case',
  },
  {
    feature: 'pasids',
    modes: ['SMMUv3 stage 2'],
    why: 'substreams need stage 1',
  },
  {
    feature: 'execute',
    modes: ['VT-d legacy', 'VT-d first-stage', 'VT-d second-stage', 'VT-d nested', 'SMMUv3'],
    why: 'Execute Requested is part of the PASID: requests without one have none',
  },
  {
    feature: 'privilege',
    modes: ['VT-d second-stage', 'SMMUv3 stage 2'],
    why: 'pages of a second stage belong to nobody: there is no user and no supervisor',
  },
  {
    feature: 'privilege',
    modes: ['VT-d legacy', 'VT-d first-stage', 'VT-d nested', 'SMMUv3 stage 1', 'SMMUv3 nested'],
    why: 'Privileged Mode Requested is part of the PASID: requests without one have none',
  },
  {
    feature: 'silence',
    modes: ['SMMUv3 stage 1, stall', 'SMMUv3 stage 2, stall', 'SMMUv3 stage 1, SubstreamID, stall'],
    why: 'a stalled transaction is told whatever CD.R and STE.S2R say: software has to answer it',
  },
  {
    feature: 'overflow',
    modes: ['SMMUv3 stage 1, stall', 'SMMUv3 stage 2, stall', 'SMMUv3 stage 1, SubstreamID, stall'],
    why: 'events of stalled transactions are kept until the queue has room: none is lost',
  },
];

/** Cases that modes leave out although they have what the cases need. */
export const EXCEPT: readonly (Row & { readonly name: string })[] = [
  {
    name: 'a page that is mapped after it faulted needs no invalidation',
    modes: ['VT-d legacy, caching mode', 'VT-d nested, PASID, caching mode'],
    why: 'with caching mode it does need one: the driver of the mode sends it',
  },
  {
    name: 'a device that may not ask for pages is answered that it failed',
    modes: ['SMMUv3'],
    why: 'SMMUv3 has no permission for page requests of a stream: all that come are queued',
  },
];

const covers = (row: Row, mode: Mode): boolean => row.modes.some((name) => mode.name.startsWith(name));

/** The row that says why a mode is without a feature. @throws where there is none */
export function rowFor(feature: Feature, mode: Mode): Row {
  const row = WITHOUT.find((r) => r.feature === feature && covers(r, mode));
  if (row === undefined) throw new Error(`${mode.name} does not say why it is without ${feature}`);
  return row;
}

/** Why the case is not run in the mode, or undefined. @throws where nobody says why */
export function skipReason(c: Case, mode: Mode): string | undefined {
  const lacking = c.needs.find((feature) => !mode.features.has(feature));
  if (lacking !== undefined) return rowFor(lacking, mode).why;
  return EXCEPT.find((r) => r.name === c.name && covers(r, mode))?.why;
}
