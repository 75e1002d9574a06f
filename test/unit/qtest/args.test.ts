import { describe, expect, test } from 'vitest';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { parseQemuArguments, QEMU_OPTIONS } from '../../../vmm/qtest/args.ts';

const parse = (...argv: string[]) => parseQemuArguments(argv, builtinRegistry());
const q35 = (...argv: string[]) => parse('-M', 'q35', '-qtest', 'unix:/s', ...argv);
const words = (text: string) => text.split(' ');

const LIBQTEST = words(
  '-qtest unix:/t/s.sock -qtest-log /dev/null -chardev socket,path=/t/s.qmp,id=char0 -mon chardev=char0,mode=control ' +
    '-display none -audio none -run-with exit-with-parent=on',
);

describe('command lines of libqtest programs', () => {
  test('sockets, RAM and devices are taken as QEMU takes them', () => {
    const request = parse(
      ...LIBQTEST,
      ...words('-machine q35 -smp 1 -m 512 -net none -device intel-iommu -device iommu-testdev -accel qtest'),
    );

    expect(request.qtest).toEqual({ kind: 'unix', path: '/t/s.sock', server: false });
    expect(request.qmp).toEqual([{ kind: 'unix', path: '/t/s.qmp', server: false }]);
    expect(request.exitWithParent).toBe(true);
    expect(request.machine).toMatchObject({ memory: 512 << 20, firmware: 'raw' });
    expect(request.machine?.viommu).toMatchObject({
      kind: 'intel',
      options: { 'aw-bits': 48, profile: 'spec' },
    });
    expect(request.machine?.devices.map((d) => d.kind)).toEqual(['iommu-testdev']);
  });

  test('the probe run has no machine', () => {
    expect(parse(...LIBQTEST, '-machine', 'none', '-accel', 'qtest').machine).toBeNull();
  });

  test('newer ones name the monitor as an object', () => {
    const request = parse(
      ...words(
        '-M none -chardev socket,host=h,port=4,server=on,wait=off,id=c -object monitor-qmp,id=q,chardev=c',
      ),
    );

    expect(request.qmp).toEqual([{ kind: 'tcp', host: 'h', port: 4, server: true }]);
  });

  test("properties, places and -global reach our kinds' options", () => {
    const request = q35(
      ...words('-device intel-iommu,aw-bits=39,caching-mode=on,intremap=off -global edu.dma_mask=0xffff'),
      ...words(
        '-device pcie-root-port,id=rp,chassis=1,slot=2,addr=6 -device edu,bus=rp,addr=0.0 -profile qemu',
      ),
    );

    expect(request.machine?.viommu?.options).toMatchObject({
      'aw-bits': 39,
      'caching-mode': true,
      intremap: false,
      profile: 'qemu',
    });
    expect(request.machine?.devices).toMatchObject([
      { id: 'rp', addr: '6', options: { slot: 2 } },
      { bus: 'rp', addr: '0.0', options: { dma_mask: '0xffff' } },
    ]);
  });
});

describe('what is not possible is refused by name', () => {
  test.each([
    [['-machin', 'q35'], "-machin: is no option of this front end; did you mean '-machine'?"],
    [['-M', 'q36', '-qtest', 'unix:/s'], "-machine: there is no machine 'q36'; did you mean 'q35'?"],
    [['-M', 'q35'], 'has neither -qtest nor a QMP socket'],
    [['disk.img'], "'disk.img': is no option"],
    [['-m'], '-m: needs a value'],
    [['-M', 'q35', '-mon', 'chardev=c,mode=control'], 'chardev=c: there is no such chardev'],
    [['-accel', 'kvm'], "-accel: 'kvm' is not possible; use qtest"],
    [['-net', 'user'], "-net: 'user' is not possible; use none"],
    [['-qtest', '/s'], "-qtest: '/s' is not possible; write unix:PATH or tcp:HOST:PORT"],
  ])('%j', (argv, message) => {
    expect(() => parse(...argv)).toThrow(message);
  });

  test.each([
    ['-device edo', "-device: there is no device 'edo' on this machine; did you mean 'edu'?"],
    ['-device edu,dma_mas=1', "-device edu: has no property 'dma_mas'; did you mean 'dma_mask'?"],
    [
      '-device intel-iommu,x-pasid-mode=on',
      'x-pasid-mode: its successor says how wide PASIDs are: pasid-bits=20; leave it out',
    ],
    ['-device intel-iommu,pasid-bits=21', 'pasid-bits: '],
    ['-device intel-iommu,aw-bits=40', "aw-bits: '40' is not possible; use one of: 39, 48"],
    ['-device intel-iommu -device intel-iommu', 'the machine has an IOMMU already'],
    ['-device amd-iommu', "there is no device 'amd-iommu'"],
    ['-m 2500', "-m: '2500' is not possible"],
    ['-smp 2', "-smp: '2' is not possible"],
    ['-global arm-smmuv3.stage=1', "-global: there is no device 'arm-smmuv3'"],
  ])('%s', (argv, message) => {
    expect(() => q35(...words(argv))).toThrow(message);
  });
});

describe('machine virt', () => {
  const arm = (text: string) =>
    parse('-architecture', 'aarch64', ...words(text), '-qtest', 'unix:/s').machine;

  test('has a place above 4 GiB unless highmem is off; what is of the processor only has to be right', () => {
    expect(arm('-M virt,acpi=off,gic-version=3 -m 512 -cpu max')).toMatchObject({
      machine: 'virt',
      highmem: true,
      memory: 512 << 20,
      firmware: 'raw',
      viommu: null,
    });
    expect(arm('-M virt-9.1,highmem=off,gic-version=2')).toMatchObject({ machine: 'virt', highmem: false });
    expect(() => arm('-M virt,gic-version=7')).toThrow("gic-version: '7' is not possible");
    expect(() => arm('-M virt,iommu=vtd')).toThrow("iommu: 'vtd' is not possible");
  });

  test.each([
    ['-M virt-9.1,iommu=smmuv3', '1'],
    ['-M virt-9.1,iommu=smmuv3 -global arm-smmuv3.stage=2', '2'],
    ['-M virt-8.2,iommu=smmuv3', '1'],
    ['-M virt-9.2,iommu=smmuv3', 'nested'],
    ['-M virt,iommu=smmuv3 -global arm-smmuv3.stage=1', '1'],
  ])('%s has an SMMU of stage %s', (text, stage) => {
    expect(arm(text)!.viommu).toMatchObject({ kind: 'smmuv3', options: { stage, profile: 'spec' } });
  });

  test('takes neither devices of a PC nor the SMMU as a device', () => {
    expect(() => arm('-M virt -device intel-iommu')).toThrow("no device 'intel-iommu' on this machine");
    expect(() => arm('-M virt -device arm-smmuv3')).toThrow("no device 'arm-smmuv3' on this machine");
    expect(() => arm('-M virt -m 3072')).toThrow('from 1M to 2048M');
    expect(() => q35('-global', 'arm-smmuv3.stage=1')).toThrow("no device 'arm-smmuv3' on this machine");
  });
});

test('help names every option', () => {
  const { print } = parse('-help');

  for (const { name } of QEMU_OPTIONS) expect(print).toContain(`  -${name}`);
});
