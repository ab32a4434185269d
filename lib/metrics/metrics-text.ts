// Metrics in the text form of Prometheus, for processes that read their numbers when somebody asks.

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export class MetricsText {
  readonly #lines: string[] = [];

  gauge(name: string, help: string, samples: number | readonly Sample[]): void {
    this.#add('gauge', name, help, samples);
  }

  /** `name` ends with `_total`, but for names that are Calico's. */
  counter(name: string, help: string, samples: number | readonly Sample[]): void {
    this.#add('counter', name, help, samples);
  }

  /** How often something was done, and how long that took in all. */
  summary(name: string, help: string, { count, seconds }: { count: number; seconds: number }): void {
    this.#head('summary', name, help);
    this.#lines.push(`${name}_sum ${seconds}`, `${name}_count ${count}`);
  }

  toString(): string {
    return this.#lines.map((line) => `${line}\n`).join('');
  }

  #add(type: 'gauge' | 'counter', name: string, help: string, samples: number | readonly Sample[]): void {
    this.#head(type, name, help);
    const list = typeof samples === 'number' ? [{ value: samples }] : samples;
    for (const { labels, value } of list) this.#lines.push(`${name}${labelText(labels)} ${value}`);
  }

  #head(type: string, name: string, help: string): void {
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }
}

function labelText(labels: Readonly<Record<string, string>> | undefined): string {
  if (labels === undefined) return '';
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
