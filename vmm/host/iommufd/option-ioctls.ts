import { demand, refuse } from '../kernel/errno.ts';
import { IOMMU_DESTROY, IOMMU_OPTION, NR, OPTION_OPS, OPTIONS } from './abi.ts';
import { type Call, type Ioctl, ioctl } from './ioctl.ts';

const destroy = ioctl(NR.DESTROY, IOMMU_DESTROY, ({ context, values }) => context.objects.destroy(values.id));

type OptionCall = Call<(typeof IOMMU_OPTION)['fields']>;

const option = ioctl(NR.OPTION, IOMMU_OPTION, (call) => {
  const { values, respond } = call;
  demand(values.reserved === 0, 'EOPNOTSUPP', 'the reserved field is not zero');
  const row = ROWS[values.option_id] ?? refuse('EOPNOTSUPP', `there is no option ${values.option_id}`);
  switch (values.op) {
    case OPTION_OPS.SET:
      row.set(call);
      return;
    case OPTION_OPS.GET:
      respond({ val64: row.get(call) ? 1n : 0n });
      return;
    default:
      refuse('EOPNOTSUPP', `there is no operation ${values.op}`);
  }
});

interface OptionRow {
  get(call: OptionCall): boolean;
  set(call: OptionCall): void;
}

/** Locked memory counts by user, or by process. */
const rlimitMode: OptionRow = {
  get({ context, values }) {
    demand(values.object_id === 0, 'EOPNOTSUPP', 'the option belongs to no object');
    return context.perProcess;
  },
  set({ context, caller, values }) {
    demand(values.object_id === 0, 'EOPNOTSUPP', 'the option belongs to no object');
    demand(caller.capable('CAP_SYS_RESOURCE'), 'EPERM', 'the caller lacks CAP_SYS_RESOURCE');
    demand(context.objects.list().length === 0, 'EBUSY', 'there are objects already');
    context.perProcess = flag(values.val64);
  },
};

const hugePages: OptionRow = {
  get: ({ context, values }) => context.ioas(values.object_id).table.hugePages,
  set: ({ context, values }) => context.ioas(values.object_id).table.setHugePages(flag(values.val64)),
};

const ROWS: Readonly<Record<number, OptionRow>> = {
  [OPTIONS.RLIMIT_MODE]: rlimitMode,
  [OPTIONS.HUGE_PAGES]: hugePages,
};

function flag(value: bigint): boolean {
  demand(value === 0n || value === 1n, 'EINVAL', `the option is 0 or 1, not ${value}`);
  return value === 1n;
}

export const OBJECT_IOCTLS: readonly Ioctl[] = [destroy, option];
