// Makes a failing fuzz case small: fewer steps, one packet, fewer objects, fewer rules and fields, as long as it fails. Objects stay
// what validation lets be stored.

import type { Resource } from '../../../lib/model/metadata.ts';
import { validateResource } from '../../../lib/model/validation/validate.ts';
import { storedResource } from '../stored-resource.ts';
import { isLasting } from './cluster.ts';
import type { FuzzStep } from './steps.ts';

export type Fails = (steps: readonly FuzzStep[]) => Promise<boolean>;

/** Cases that are tried; each takes a load of every step. */
const MOST_TRIES = 600;

export async function shrink(
  steps: readonly FuzzStep[],
  failing: readonly number[],
  fails: Fails,
): Promise<readonly FuzzStep[]> {
  const shrinker = new Shrinker(steps, fails);
  await shrinker.fewerSteps();
  await shrinker.onePacket(failing);
  await shrinker.withoutObjects();
  await shrinker.withoutParts();
  return shrinker.steps;
}

class Shrinker {
  steps: readonly FuzzStep[];
  readonly #fails: Fails;
  #tries = 0;

  constructor(steps: readonly FuzzStep[], fails: Fails) {
    this.steps = steps;
    this.#fails = fails;
  }

  async fewerSteps(): Promise<void> {
    for (let count = 1; count < this.steps.length; count *= 2)
      if (await this.#try(this.steps.slice(-count))) return;
  }

  /** Of the last step; of those before, only those whose flows are asked for again. */
  async onePacket(failing: readonly number[]): Promise<void> {
    for (const number of failing) {
      const keep = (step: FuzzStep, isLast: boolean): FuzzStep => ({
        ...step,
        again: isLast ? step.again.filter((each) => each.number === number) : [],
        packets: step.packets.filter((packet) => packet.number === number),
      });
      if (await this.#try(this.steps.map((step, index) => keep(step, index === this.steps.length - 1))))
        return;
    }
  }

  async withoutObjects(): Promise<void> {
    const keys = new Set(
      this.steps.flatMap(({ resources }) => resources.filter((each) => !isLasting(each)).map(keyOf)),
    );
    for (const key of keys) {
      if (await this.#try(this.#mapResources((each) => (keyOf(each) === key ? undefined : each)))) continue;
      for (let index = 0; index < this.steps.length; index++) {
        await this.#try(
          this.steps.map((step, at) => {
            if (at !== index) return step;
            return { ...step, resources: step.resources.filter((each) => keyOf(each) !== key) };
          }),
        );
      }
    }
  }

  /** Of each object, in all steps that hold the same of it. */
  async withoutParts(): Promise<void> {
    const texts = new Set(
      this.steps.flatMap(({ resources }) => resources.map((each) => JSON.stringify(each))),
    );
    for (const text of texts) await this.#withoutPartsOf(text);
  }

  async #withoutPartsOf(first: string): Promise<void> {
    let text = first;
    for (let isSmaller = true; isSmaller; ) {
      isSmaller = false;
      const resource = JSON.parse(text) as Resource;
      if (resource.kind === 'Node') return;
      for (const smaller of smallerResources(resource)) {
        const steps = this.#mapResources((each) => (JSON.stringify(each) === text ? smaller : each));
        if (!(await this.#try(steps))) continue;
        text = JSON.stringify(smaller);
        isSmaller = true;
        break;
      }
    }
  }

  #mapResources(change: (resource: Resource) => Resource | undefined): readonly FuzzStep[] {
    return this.steps.map((step) => ({
      ...step,
      resources: step.resources.flatMap((each) => change(each) ?? []),
    }));
  }

  async #try(steps: readonly FuzzStep[]): Promise<boolean> {
    if (this.#tries >= MOST_TRIES) return false;
    this.#tries++;
    if (!(await this.#fails(steps))) return false;
    this.steps = steps;
    return true;
  }
}

function keyOf(resource: Resource): string {
  return storedResource(resource).key;
}

/** A workload without an address or an interface would be another bed's. */
const PARTS_OF_WORKLOADS: readonly string[] = ['ports', 'profiles', 'serviceAccountName'];

/** Those that may be stored, each with one part less, the larger parts first. */
function* smallerResources(resource: Resource): Generator<Resource> {
  const { metadata } = resource;
  const spec = (resource['spec'] ?? {}) as Readonly<Record<string, unknown>>;
  const isPart = ([field]: readonly [string, unknown]): boolean =>
    resource.kind !== 'WorkloadEndpoint' || PARTS_OF_WORKLOADS.includes(field);
  const fixed = Object.fromEntries(Object.entries(spec).filter((entry) => !isPart(entry)));
  for (const smaller of withoutOnePart(Object.fromEntries(Object.entries(spec).filter(isPart)))) {
    const made = { ...resource, spec: { ...fixed, ...(smaller as object) } } as Resource;
    if (validateResource(made).length === 0) yield made;
  }
  for (const label of Object.keys(metadata.labels ?? {})) {
    const labels = Object.fromEntries(Object.entries(metadata.labels ?? {}).filter(([key]) => key !== label));
    yield { ...resource, metadata: { ...metadata, labels } };
  }
}

function* withoutOnePart(value: unknown): Generator<unknown> {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) yield value.toSpliced(index, 1);
    for (let index = 0; index < value.length; index++)
      for (const smaller of withoutOnePart(value[index])) yield value.with(index, smaller);
    return;
  }
  const fields = Object.entries(value);
  for (const [field] of fields) yield Object.fromEntries(fields.filter(([name]) => name !== field));
  for (const [field, inner] of fields)
    for (const smaller of withoutOnePart(inner)) yield { ...value, [field]: smaller };
}
