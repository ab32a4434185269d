// For `node --import`: what programs import from the package comes from its sources, so that nothing has to be built.

import { registerHooks } from 'node:module';

const ENTRY = new URL('../../../agents/bgp/exports.ts', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) => next(specifier === 'calico-ts/bgp' ? ENTRY : specifier, context),
});
