// The pod's network namespace and its attachment by CNI. Each step is on disk before it is made, so that whatever dies in
// between, nothing is made twice and no address stays behind.

import type { Sandbox } from '../runtime/container-runtime.ts';
import { emitPodEvent, type PodContext, runtimeOf } from './pod-context.ts';
import type { PodRecord, SandboxRecord } from './pod-record.ts';

export class PodSandbox {
  readonly #context: PodContext;
  readonly #record: PodRecord;

  constructor(context: PodContext, record: PodRecord) {
    this.#context = context;
    this.#record = record;
  }

  /** Addresses of the pod; those of the host with its network. */
  get addresses(): readonly string[] {
    const { sandbox, hostNetwork } = this.#record;
    if (sandbox?.addresses === undefined) return [];
    return hostNetwork ? [this.#context.hostIp] : sandbox.addresses;
  }

  get isReady(): boolean {
    return this.#record.sandbox?.addresses !== undefined;
  }

  get current(): Sandbox | undefined {
    const { sandbox } = this.#record;
    return sandbox === undefined ? undefined : toSandbox(sandbox);
  }

  /** A sandbox of an earlier life of the host is set aside, to be released. */
  async check(signal: AbortSignal): Promise<void> {
    const { sandbox } = this.#record;
    if (sandbox === undefined) return;
    const runtime = runtimeOf(this.#context, this.#record);
    const isOfThisLife = this.#record.hostLife === this.#context.hostLife;
    if (isOfThisLife && (await runtime.isSandboxAlive(toSandbox(sandbox), signal))) return;
    this.setAside();
  }

  setAside(): void {
    const { sandbox } = this.#record;
    if (sandbox === undefined) return;
    this.#record.toRelease.push(sandbox);
    this.#record.sandbox = undefined;
    this.#save();
  }

  /** Throws CniError or RuntimeError; the next call goes on from there. */
  async ensure(signal: AbortSignal): Promise<void> {
    if (this.isReady) return;
    await this.release(signal);
    const record = this.#record;
    const { namespace, name, uid, hostNetwork } = record;
    const started = performance.now();
    if (record.sandbox === undefined) {
      const config = { podUid: uid, namespace, pod: name, hostNetwork };
      const sandbox = await runtimeOf(this.#context, record).createSandbox(config, signal);
      record.sandbox = { id: sandbox.id, ...(sandbox.netns === undefined ? {} : { netns: sandbox.netns }) };
      record.hostLife = this.#context.hostLife;
      this.#save();
    }
    const { sandbox } = record;
    if (hostNetwork) sandbox.addresses = [];
    else {
      await this.#context.collectAttachments(signal);
      sandbox.addresses = [...(await this.#context.cni.add(this.#attachment(sandbox), signal))];
    }
    this.#save();
    emitPodEvent(this.#context, 'podSandboxCreated', record, {
      durationMs: performance.now() - started,
      ...(sandbox.addresses.length === 0 ? {} : { cause: sandbox.addresses.join(', ') }),
    });
  }

  /** Gives back what was set aside. Throws while the plugin cannot. */
  async release(signal: AbortSignal): Promise<void> {
    const record = this.#record;
    for (let old = record.toRelease[0]; old !== undefined; old = record.toRelease[0]) {
      if (!record.hostNetwork) await this.#context.cni.del(this.#attachment(old), signal);
      await runtimeOf(this.#context, record).removeSandbox(toSandbox(old), signal);
      record.toRelease.shift();
      this.#save();
    }
  }

  #attachment(sandbox: SandboxRecord) {
    const { namespace, name, uid } = this.#record;
    return { namespace, pod: name, podUid: uid, sandbox: toSandbox(sandbox) };
  }

  #save(): void {
    this.#context.records.write(this.#record);
  }
}

function toSandbox({ id, netns }: SandboxRecord): Sandbox {
  return { id, netns };
}
