import type { RunData } from '../../../vmm/report/data.ts';

/** What a guest could print or name itself to get into the page. */
export const HOSTILE = `</script><script>document.title='owned'</script><img src=x onerror="document.title='owned'">&amp;'"\u2028`;

/** A run with one of everything, all of whose strings that a guest controls are `text`. */
export function sampleRun(text = 'plain'): RunData {
  return {
    tsvmmRun: 1,
    program: '0.1.0',
    verdict: {
      verdict: 'failed',
      exitCode: 1,
      guest: text,
      exitStatus: 1,
      reason: text,
      tap: {
        planned: 1,
        passed: 0,
        failed: 1,
        skipped: 0,
        todo: 0,
        failures: [{ number: 1, description: text }],
        bailOut: text,
        problems: [text],
      },
      virtualNs: 5000,
      instructions: 4000,
      seed: 1,
      faults: [
        {
          iommu: 'iommu',
          requester: 0x10,
          pasid: 5,
          address: '0x400000',
          access: 'write',
          code: '05h',
          name: 'LGN.2',
          why: 'W=0',
          steps: [
            {
              what: 'SS-PTE',
              address: '0x8000',
              raw: ['0x0000000000009001'],
              fields: 'R=1 W=0',
              source: 'memory',
              lastWriter: `${text} (${text}:3)`,
            },
          ],
          recorded: false,
          note: 'overflow',
        },
      ],
      report: text,
      replay: 'tsvmm replay run.record',
      console: text,
    },
    machine: { machine: 'q35', devices: [{ kind: 'edu', id: text }] },
    inside: {
      requesters: [{ requester: '00:02.0', name: text }],
      timeline: {
        lanes: [
          { group: 'guest', name: 'table stores' },
          { group: 'iommu', name: 'invalidations' },
          { group: 'requester', name: `00:02.0 PASID 5 ${text}`, requester: '00:02.0', pasid: 5 },
          { group: 'requester', name: '00:03.0 net0', requester: '00:03.0' },
        ],
        items: [
          { lane: 0, kind: 'store', name: 'SS-PTE', at: 1000, args: { address: '0x8000', by: text } },
          { lane: 1, kind: 'announcement', name: 'announced: iotlb', at: 1100, args: { stores: 1 } },
          { lane: 2, kind: 'dma', name: 'DMA write 0x400000', at: 1200, end: 2000, args: { status: '0x1' } },
          { lane: 2, kind: 'fault', name: 'fault 05h', at: 2000, args: { pasid: 5, entries: '0x8000' } },
          {
            lane: 3,
            kind: 'binding',
            name: 'domain 1',
            at: 500,
            end: 5000,
            open: true,
            args: { did: '0x1' },
          },
          { lane: 3, kind: 'event', name: text, at: 3000, args: { text } },
        ],
        flows: [[0, 1, 3]],
        end: 5000,
        dropped: 3,
      },
      moments: [
        {
          label: 'end of the run',
          at: 5000,
          tables: {
            roots: [
              {
                what: 'root entry',
                of: 'bus 00',
                address: '0x1000',
                raw: ['0x2001', '0x0'],
                fields: [{ name: 'P', bits: '0', value: '1', meaning: 'yes', doc: 'Present' }],
                lastWriter: text,
                note: text,
                children: [
                  {
                    what: 'context entry',
                    of: '00:02.0',
                    address: '0x2100',
                    raw: ['0x8001', '0x102'],
                    fields: [],
                    children: [],
                  },
                ],
              },
            ],
            cut: true,
          },
        },
      ],
    },
  };
}
