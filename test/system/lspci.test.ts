import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { EDU } from '../../devices/ep/edu.ts';
import { IOMMU_TESTDEV } from '../../devices/ep/iommu-testdev.ts';
import { SVM_ENGINE } from '../../devices/ep/svm-engine-kind.ts';
import { createHostBridge } from '../../devices/pci/host-bridge.ts';
import { lspciDump } from '../../devices/pci/lspci.ts';
import { PCIE_ROOT_PORT } from '../../devices/pci/root-port.ts';
import { SRIOV_CONTROL, SRIOV_NUM, SRIOV_VF_BAR0 } from '../../devices/pci/sriov-registers.ts';
import { describeWithTool } from '../kit/outside-tool.ts';
import { PciRig } from '../kit/pci-rig.ts';
import { enableSvm } from '../kit/svm-world.ts';

/** Host bridge, edu, test device, and a function with every capability behind a root port. */
function sampleHierarchy(): PciRig {
  const pci = new PciRig();
  const bridge = createHostBridge(pci.services('host-bridge'));
  pci.root.add(bridge.fn, { device: 0, fn: 0 });
  const edu = pci.plug(EDU, { device: 2 }).fn;
  edu.configWrite(0x10, 4, 0xe0000000);
  edu.configWrite(0x04, 2, 6);
  pci.plug(IOMMU_TESTDEV, { device: 3 });
  const port = pci.plug(PCIE_ROOT_PORT, { id: 'rp0', device: 4, config: { slot: 5 } }).fn;
  port.configWrite(0x18, 4, 0x00010100);
  port.configWrite(0x20, 4, 0xe100e100);
  port.configWrite(0x04, 2, 7);
  const fn = pci.plugFunction(
    {
      bars: [{ index: 0, kind: 'memory64', prefetchable: true, size: 0x4000 }],
      capabilities: [
        { id: 'pm' },
        { id: 'msi', vectors: 4, is64: true, maskable: true },
        { id: 'pcie', type: 'endpoint', flr: true },
        { id: 'msix', vectors: 8, bar: 0, tableOffset: 0x2000, pbaOffset: 0x3000 },
      ],
      // Device Serial Number, then Access Control Services.
      extended: [
        { id: 0x03, version: 1, bytes: 12, registers: () => [] },
        { id: 0x0d, version: 1, bytes: 8, registers: () => [] },
      ],
      interruptPin: 2,
    },
    { parent: port },
  );
  fn.configWrite(0x10, 4, 0xe1000000);
  fn.configWrite(0x9e, 2, 0x8000);
  return pci;
}

/** The SVM engine with everything enabled, and one of its two virtual functions. */
function svmHierarchy(): PciRig {
  const pci = new PciRig();
  const { fn } = pci.plug(SVM_ENGINE, { device: 3, config: { vfs: 2, 'page-requests': 64 } });
  fn.configWrite(0x10, 4, 0xe0000000);
  fn.configWrite(fn.w.layout.sriov + SRIOV_VF_BAR0, 4, 0xe1000000);
  fn.configWrite(fn.w.layout.sriov + SRIOV_NUM.offset, 2, 1);
  fn.configWrite(fn.w.layout.sriov + SRIOV_CONTROL.offset, 2, 9);
  enableSvm(fn, { pasid: 7, allocation: 16 });
  return pci;
}

describeWithTool('lspci', 'the config dump in real lspci', (lspci, toolTest) => {
  function decode(rig: () => PciRig, ...args: string[]): string {
    const directory = mkdtempSync(join(tmpdir(), 'tsvmm-lspci-'));
    try {
      const file = join(directory, 'dump');
      writeFileSync(file, lspciDump(rig().root));
      const { stdout, stderr, status } = spawnSync(lspci, ['-F', file, '-n', ...args], { encoding: 'utf8' });
      // Whether this host has a kernel module directory is not about the dump.
      const complaints = stderr.split('\n').filter((line) => line !== '' && !line.includes('libkmod'));
      expect([status, complaints]).toEqual([0, []]);
      return stdout;
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  toolTest('lists every function by place, class and id', () => {
    expect(decode(sampleHierarchy).trim().split('\n')).toEqual([
      '00:00.0 0600: 8086:29c0',
      '00:02.0 00ff: 1234:11e8 (rev 10)',
      '00:03.0 00ff: 1b36:0005',
      '00:04.0 0604: 1b36:000c',
      '01:00.0 ff00: abcd:1234 (rev 01)',
    ]);
  });

  toolTest('decodes BARs, bridge windows and every capability without complaint', () => {
    const out = decode(sampleHierarchy, '-vvv');

    for (const line of [
      'Region 0: Memory at e0000000 (32-bit, non-prefetchable)',
      'Bus: primary=00, secondary=01, subordinate=01, sec-latency=0',
      'Memory behind bridge: e1000000-e10fffff',
      'Region 0: Memory at e1000000 (64-bit, prefetchable)',
      'Interrupt: pin A routed to IRQ 0',
      'Capabilities: [40] MSI: Enable- Count=1/1 Maskable- 64bit+',
      'Capabilities: [40] Express (v2) Root Port (Slot+)',
      'Slot #5',
      'Capabilities: [40] Power Management version 3',
      'Capabilities: [48] MSI: Enable- Count=1/4 Maskable+ 64bit+',
      'Capabilities: [60] Express (v2) Endpoint',
      'FLReset+',
      'Capabilities: [9c] MSI-X: Enable+ Count=8 Masked-',
      'Vector table: BAR=0 offset=00002000',
      'PBA: BAR=0 offset=00003000',
      'Capabilities: [100 v1] Device Serial Number',
      'Capabilities: [10c v1] Access Control Services',
    ])
      expect(out).toContain(line);
    // A slot without indicators has 00b in its indicator controls (PCI Express Base: Slot Control), a value without a name.
    const rest = out.replace('AttnInd Unknown, PwrInd Unknown', '');
    expect(rest).not.toMatch(/unknown|<access denied>|broken|chain looped|\?\?/i);
  });

  toolTest('decodes PASID, ATS, page requests and virtual functions', () => {
    const out = decode(svmHierarchy, '-vvv');

    for (const line of [
      'Express (v2) Root Complex Integrated Endpoint',
      'ExtFmt+ EETLPPrefix+, MaxEETLPPrefixes 1',
      'Process Address Space ID (PASID)',
      'PASIDCap: Exec+ Priv+, Max PASID Width: 14',
      'PASIDCtl: Enable+ Exec+ Priv+',
      'ATSCtl:	Enable+, Smallest Translation Unit: 00',
      'PRICtl: Enable+ Reset-',
      'PRISta: RF- UPRGI- Stopped-',
      'Page Request Capacity: 00000040, Page Request Allocation: 00000010',
      'IOVCtl:	Enable+ Migration- Interrupt- MSE+',
      'Initial VFs: 2, Total VFs: 2, Number of VFs: 1',
      'VF offset: 1, stride: 1, Device ID: 53e1',
      'Region 0: Memory at e1000000 (32-bit, non-prefetchable)',
      '00:03.1 1200: ffff:ffff (rev 01)',
      'ATSCtl:	Enable-, Smallest Translation Unit: 00',
    ])
      expect(out).toContain(line);
    expect(out).not.toMatch(/unknown|<access denied>|broken|chain looped|\?\?/i);
  });

  toolTest('draws the tree', () => {
    expect(decode(sampleHierarchy, '-t')).toContain('04.0-[01]----00.0');
  });
});
