// What the kubelet must know of a pod after its own restart or the host's, in one file per pod.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const sandboxSchema = z.object({
  id: z.string(),
  netns: z.string().optional(),
  /** Addresses that ADD gave; absent while ADD has not succeeded. */
  addresses: z.array(z.string()).optional(),
});

const podRecordSchema = z.object({
  version: z.literal(1),
  uid: z.string(),
  namespace: z.string(),
  name: z.string(),
  runtime: z.enum(['process', 'docker']),
  hostNetwork: z.boolean(),
  graceSeconds: z.number(),
  startTime: z.string(),
  /** Where containers ran: a later boot, or another life of a host in a container, has a new one. */
  hostLife: z.string(),
  sandbox: sandboxSchema.optional(),
  /** Attempts of each container that may have left something. */
  attempts: z.record(z.string(), z.number()),
  /** Address attachments that DEL has yet to release. */
  toRelease: z.array(sandboxSchema),
});
export type PodRecord = z.infer<typeof podRecordSchema>;
export type SandboxRecord = z.infer<typeof sandboxSchema>;

export class PodRecords {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o711 });
  }

  /** Every pod that was here. A folder without a readable record is one that nothing was started for yet. */
  readAll(): readonly PodRecord[] {
    return readdirSync(this.#directory).flatMap((uid) => {
      const record = this.#read(uid);
      if (record === undefined) rmSync(join(this.#directory, uid), { recursive: true, force: true });
      return record ?? [];
    });
  }

  write(record: PodRecord): void {
    const folder = join(this.#directory, record.uid);
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    writeFileSync(join(folder, 'pod.json.new'), `${JSON.stringify(record)}\n`);
    renameSync(join(folder, 'pod.json.new'), join(folder, 'pod.json'));
  }

  remove(uid: string): void {
    rmSync(join(this.#directory, uid), { recursive: true, force: true });
  }

  /** Folder of a volume of the pod, made when it is missing. */
  volume(uid: string, name: string): string {
    const folder = join(this.#directory, uid, '.volumes', name);
    mkdirSync(folder, { recursive: true, mode: 0o777 });
    return folder;
  }

  #read(uid: string): PodRecord | undefined {
    try {
      return podRecordSchema.parse(JSON.parse(readFileSync(join(this.#directory, uid, 'pod.json'), 'utf8')));
    } catch {
      return undefined;
    }
  }
}
