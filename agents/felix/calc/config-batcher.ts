// Felix's settings in the datastore, put together to one map (Felix's config batcher): the global ones, and over them
// those of this host. Names and values as text; lib/config's table gives them types.

export type ConfigLayer = 'global' | 'host';
type Settings = Readonly<Record<string, string>>;

export class ConfigBatcher {
  private readonly layers: Record<ConfigLayer, Settings> = { global: {}, host: {} };

  update(layer: ConfigLayer, settings: Settings | undefined): void {
    this.layers[layer] = settings ?? {};
  }

  merged(): Settings {
    return { ...this.layers.global, ...this.layers.host };
  }
}
