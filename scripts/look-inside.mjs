// After `npm start`: what to try next. test/system/readme.test.ts carries these commands out.
console.error(`
Look inside: stop the edu example at its first DMA, and ask how the device's address is translated:
  printf 'run-until edu_dma\\nxlate 00:02.0 0x100000\\ninfo iotlb\\ncont\\n' | npx tsvmm run --example edu -S --monitor stdio
By hand, with history and completion (help lists the commands):
  npx tsvmm run --example edu -S --monitor stdio
What the IOMMU does, as it happens:
  npx tsvmm run --example edu --trace 'vtd_*'
More in docs/guide/monitor.md.`);
