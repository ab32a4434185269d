// One Jest project per cost class; see CONTRIBUTING.md "Tests". swc turns the ESM sources into CommonJS inside Jest.
const transform = {
  '\\.ts$': [
    '@swc/jest',
    {
      jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
      module: { type: 'commonjs' },
      sourceMaps: 'inline',
    },
  ],
};
const project = (displayName) => ({
  displayName,
  rootDir: import.meta.dirname,
  roots: [`<rootDir>/test/${displayName}`],
  testMatch: ['**/*.test.ts'],
  // `npm run test:long` adds what takes minutes.
  testPathIgnorePatterns: [
    '/node_modules/',
    ...(process.env.CALICO_TS_LONG === '1' ? [] : ['\\.long\\.test\\.ts$']),
  ],
  testEnvironment: 'node',
  transform,
  restoreMocks: true,
  setupFilesAfterEnv: displayName === 'unit' ? [] : ['<rootDir>/test/support/long-test-timeout.ts'],
});
export default {
  testSequencer: '<rootDir>/jest-sequencer.config.js',
  // unit: pure code and conformance cases. integration: a real etcd or Redis. lab: real kernel, needs a network
  // namespace. interop: real BGP routers. e2e: containers.
  projects: ['unit', 'integration', 'lab', 'interop', 'e2e'].map(project),
};
