// The state that a peer shows: that of its connection that is farthest, and since when.

import type { StateName } from '../fsm/fsm.ts';

const ORDER: readonly StateName[] = ['Idle', 'Connect', 'Active', 'OpenSent', 'OpenConfirm', 'Established'];

export class ShownState {
  #name: StateName = 'Idle';
  #since = new Date();

  get name(): StateName {
    return this.#name;
  }

  get since(): Date {
    return this.#since;
  }

  /** `resting`: without any connection. Returns the state before where it is another one now. */
  update(
    resting: StateName,
    connections: readonly { readonly state: { readonly name: StateName } }[],
  ): StateName | undefined {
    const states = [resting, ...connections.map(({ state }) => state.name)];
    const name = states.reduce((best, one) => (ORDER.indexOf(one) > ORDER.indexOf(best) ? one : best));
    if (name === this.#name) return undefined;
    const before = this.#name;
    this.#name = name;
    this.#since = new Date();
    return before;
  }
}
