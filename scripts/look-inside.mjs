// After `npm start`: what to try next. test/system/readme.test.ts carries these commands out.
console.error(`
Look inside: stop the guest where the device first misses a page, and ask how an address of process 1 is translated:
  printf 'run-until dsa_page_fault\\nxlate 00:02.0 pasid=1 0x40001000\\ninfo queues\\ncont\\n' | npx tsvmm run --example svm -S --monitor stdio
By hand, with history and completion (help lists the commands):
  npx tsvmm run --example svm -S --monitor stdio
What becomes of PASID table entries, as it happens, and who did it:
  npx tsvmm run --example svm --trace 'pasid_*'
More in docs/guide/monitor.md.`);
