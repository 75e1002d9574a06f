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

  test('machine virt says that it does not exist yet', () => {
    const argv = words(
      '-architecture aarch64 -machine virt,acpi=off,gic-version=3,iommu=smmuv3 -qtest unix:/s',
    );

    expect(() => parse(...argv)).toThrow('-machine virt: does not exist yet');
  });
});

test('help names every option', () => {
  const { print } = parse('-help');

  for (const { name } of QEMU_OPTIONS) expect(print).toContain(`  -${name}`);
});
