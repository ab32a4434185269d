// Felix's settings put together to one map (Felix's config batcher): the datastore's global ones, over them those of the
// configuration whose selector matches this host's Node, over them this host's own, over all the host's variables and file.

import { oldestMatching, type Selecting } from '../../../lib/policy/felix-scope.ts';
import type { Labels } from '../../../lib/selector/expression.ts';

export type Settings = Readonly<Record<string, string>>;

/** Settings for the nodes that a selector matches. */
export type SelectedSettings = Omit<Selecting, 'name'> & { readonly settings: Settings };

export class ConfigBatcher {
  private global: Settings = {};
  private host: Settings = {};
  private readonly selected = new Map<string, SelectedSettings>();
  private nodeLabels: Labels | undefined;
  private readonly local: Settings;

  /** `local`: of the host itself, not the datastore; an empty value takes back what the datastore says. */
  constructor(local: Settings = {}) {
    this.local = local;
  }

  setGlobal(settings: Settings | undefined): void {
    this.global = settings ?? {};
  }

  setHost(settings: Settings | undefined): void {
    this.host = settings ?? {};
  }

  setSelected(name: string, selected: SelectedSettings | undefined): void {
    if (selected === undefined) this.selected.delete(name);
    else this.selected.set(name, selected);
  }

  /** Labels of this host's Node; undefined while there is none, and then no selector matches. */
  setNodeLabels(labels: Labels | undefined): void {
    this.nodeLabels = labels;
  }

  merged(): Settings {
    const all = { ...this.global, ...this.oldestMatching(), ...this.host, ...this.local };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''));
  }

  private oldestMatching(): Settings {
    const all = [...this.selected].map(([name, selected]) => ({ name, ...selected }));
    return oldestMatching(all, this.nodeLabels)?.settings ?? {};
  }
}
