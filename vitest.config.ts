import { defineConfig } from 'vitest/config';

// unit: seconds, no child processes. random: models against oracles and bad guests, many thousands of cases, a minute or two.
// system: compiles C, spawns the CLI, asks outside tools.
const RANDOM = ['test/unit/oracle/**/*.test.ts', 'test/unit/fuzz/**/*.test.ts', 'test/unit/**/*fuzz.test.ts'];
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          exclude: RANDOM,
          testTimeout: 20_000,
          // Tests keep nothing at module level, and importing the models anew for each file takes longer than many files do.
          isolate: false,
        },
      },
      { test: { name: 'random', include: RANDOM, testTimeout: 300_000 } },
      {
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts'],
          globalSetup: ['test/kit/build.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
    coverage: {
      provider: 'v8',
      include: ['viommu/**/*.ts', 'vmm/vcpu/**/*.ts'],
      reporter: ['text', 'json-summary'],
      reportOnFailure: true,
      thresholds: { lines: 95 },
    },
  },
});
