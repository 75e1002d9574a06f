import type { DeviceView } from '../bus/device.ts';
import { NO_PASID } from '../bus/dma.ts';
import type { Passthrough, PassthroughHost } from './passthrough.ts';

/** `info passthrough`: which path serves each assigned device, and why not a better one. */
export function passthroughViews(
  passthrough: Passthrough,
  viommu: PassthroughHost['viommu'],
): readonly DeviceView[] {
  const rows = () =>
    passthrough.assignments.map((one) => ({
      id: one.device.id,
      host: one.device.host.name,
      path: passthrough.pathOf(one),
      channel: one.device.host.channel.name,
      reasons: passthrough.reasonsOf(one),
      attached: passthrough.attachments(one.device).map(([pasid, { kind, hwpt }]) => ({
        ...(pasid === NO_PASID ? {} : { pasid }),
        kind,
        hwpt,
      })),
    }));
  return [
    {
      name: 'passthrough',
      doc: 'Assigned devices: which path serves their DMA, why not a better one, and what they are attached to on the host',
      json: () => ({
        ...(viommu === undefined ? {} : { viommu: viommu.json }),
        devices: rows(),
        refused: passthrough.log.lines,
        ...(passthrough.verification === undefined ? {} : { verified: passthrough.verification.checked }),
      }),
      text: () => {
        const lines = rows().flatMap(({ id, host, path, channel, reasons, attached }) => [
          `${id}: ${host}, ${path}, channel ${channel}`,
          ...reasons.map((why) => `  because ${why}`),
          ...attached.map(
            ({ pasid, kind, hwpt }) =>
              `  ${pasid === undefined ? 'requester' : `PASID ${pasid}`}: ${kind}, page table ${hwpt}`,
          ),
        ]);
        const refused = passthrough.log.lines.map((line) => `refused: ${line}`);
        const verified =
          passthrough.verification === undefined
            ? []
            : [
                `verified: ${passthrough.verification.checked} requests as the guest's IOMMU model would have them`,
              ];
        return [
          ...(viommu?.text ?? []),
          ...(lines.length === 0 ? ['no device is assigned'] : lines),
          ...refused,
          ...verified,
        ].join('\n');
      },
    },
  ];
}
