// Who may import whom (docs/architecture.md "Layout"). Pure folders reach no I/O, clock or package but the listed ones.
const PURE = [
  '^lib/(model|net|collections|selector|policy|conversion)/',
  '^lib/ipam/(block|arithmetic|audit|pools|types|errors|space|filter)',
  '^agents/felix/calc/',
  '^agents/felix/nftables/render/',
  '^agents/bgp/(packet|fsm|rib|policy)/',
].join('|');
const rule = (name, from, to) => ({ name, severity: 'error', from, to });
module.exports = {
  forbidden: [
    rule('no-cycles', {}, { circular: true }),
    rule('lib-is-a-leaf', { path: '^lib/' }, { path: '^(agents|controller|cli|lab|bench|scripts)/' }),
    rule('agents-not-controller-or-cli', { path: '^agents/' }, { path: '^(controller|cli|lab)/' }),
    rule('controller-not-agents-or-cli', { path: '^controller/' }, { path: '^(agents|cli|lab)/' }),
    rule('cli-not-agents-or-controller', { path: '^cli/' }, { path: '^(agents|controller|lab)/' }),
    rule('agents-apart', { path: '^agents/(?!node/)([^/]+)/' }, { path: '^agents/', pathNot: '^agents/$1/' }),
    rule('pure-core-no-io', { path: PURE }, { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' }),
    rule('pure-core-no-packages', { path: PURE }, { dependencyTypes: ['npm'], pathNot: 'node_modules/zod/' }),
    rule(
      'pure-core-only-pure',
      { path: PURE },
      { path: '^lib/(datastore|events|config|logging|metrics|lifecycle|process)/' },
    ),
    rule('not-to-test', { path: '^(lib|agents|controller|cli|lab)/' }, { path: '^(test|bench)/' }),
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
