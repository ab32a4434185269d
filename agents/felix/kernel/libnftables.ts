// libnftables through koffi: one context, one caller at a time (docs/dataplane.md "Kernel writer"). It may end the process on
// some errors, so only the kernel writer loads it.

import koffi from 'koffi';

const SONAME = 'libnftables.so.1';
/** `nft_ctx_output_set_flags`: JSON, and numbers in place of names of protocols and priorities. */
const OutputFlag = { json: 1 << 4, numericProto: 1 << 7, numericPrio: 1 << 8, terse: 1 << 11 } as const;
const JSON_FLAGS = OutputFlag.json | OutputFlag.numericProto | OutputFlag.numericPrio;
const FLAGS = { text: 0, json: JSON_FLAGS, terseJson: JSON_FLAGS | OutputFlag.terse } as const;

export interface NftResult {
  readonly ok: boolean;
  readonly output: string;
  readonly error: string;
}

export class Libnftables {
  readonly #context: unknown;
  readonly #run: (context: unknown, text: string) => number;
  readonly #output: (context: unknown) => string;
  readonly #error: (context: unknown) => string;
  readonly #setFlags: (context: unknown, flags: number) => void;
  readonly #setDryRun: (context: unknown, isDry: boolean) => void;

  constructor() {
    const library = koffi.load(SONAME);
    const create = library.func('void *nft_ctx_new(uint32_t flags)');
    this.#run = library.func('int nft_run_cmd_from_buffer(void *nft, const char *buf)');
    this.#output = library.func('const char *nft_ctx_get_output_buffer(void *ctx)');
    this.#error = library.func('const char *nft_ctx_get_error_buffer(void *ctx)');
    this.#setFlags = library.func('void nft_ctx_output_set_flags(void *ctx, unsigned int flags)');
    this.#setDryRun = library.func('void nft_ctx_set_dry_run(void *ctx, bool dry)');
    this.#context = create(0);
    library.func('int nft_ctx_buffer_output(void *ctx)')(this.#context);
    library.func('int nft_ctx_buffer_error(void *ctx)')(this.#context);
  }

  /** Runs one transaction. Blocks until the kernel has answered; reading the buffers empties them. */
  run(text: string, options: { readonly output: keyof typeof FLAGS; readonly isCheck: boolean }): NftResult {
    this.#setFlags(this.#context, FLAGS[options.output]);
    this.#setDryRun(this.#context, options.isCheck);
    const code = this.#run(this.#context, text);
    return { ok: code === 0, output: this.#output(this.#context), error: this.#error(this.#context) };
  }
}
