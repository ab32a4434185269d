// What a packet carries numbers and its verdict in while it is judged (docs/dataplane.md "Scratch"). Two forms, one layout: the packet
// mark, or, where others use the mark, the packet's priority. A rule reads and writes either as 32 bits; nftables only calls the type
// by another name, and has no statement that moves the one into the other.

/** Bits of scratch, and of the conntrack mark that a packet that passes leaves: the rule id below, the verdict above it. */
export const Mark = {
  ruleBits: 0x3ffff,
  allow: 0x40000,
  deny: 0x80000,
  verdictBits: 0xc0000,
  ruleAndVerdict: 0xfffff,
  /** Where the key of a counting set has the protocol. */
  protocolShift: 20,
  generationShift: 20,
  generationMask: 0xfff00000,
} as const;

export type ScratchForm = 'mark' | 'priority';

const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;

export class Scratch {
  readonly form: ScratchForm;
  /** As a rule reads it, alone or as a field of a key. */
  readonly key: 'meta mark' | 'meta priority';
  /** Its type in sets and maps. */
  readonly type: 'mark' | 'classid';

  constructor(form: ScratchForm) {
    this.form = form;
    this.key = form === 'mark' ? 'meta mark' : 'meta priority';
    this.type = form === 'mark' ? 'mark' : 'classid';
  }

  /** No value of ours leaves on a packet. */
  get clear(): string {
    return `${this.key} set 0`;
  }

  set(value: number): string {
    return `${this.key} set ${hex(value)}`;
  }

  add(bits: number): string {
    return `${this.key} set ${this.key} | ${hex(bits)}`;
  }

  /** Sets it to what a map says of a key; a miss ends the rule. */
  lookUp(key: string, map: string): string {
    return `${this.key} set ${key} map @${map}`;
  }

  get isAllowed(): string {
    return `${this.key} & ${hex(Mark.verdictBits)} == ${hex(Mark.allow)}`;
  }

  get isNotAllowed(): string {
    return `${this.key} & ${hex(Mark.verdictBits)} != ${hex(Mark.allow)}`;
  }

  /**
   * Rules that write rule id and generation into the conntrack mark, and accept. `ids` is a map from each id that allows to itself
   * as a mark: where scratch is the priority, that lookup is what moves it. Of an id that is not there the last rule is left.
   */
  stamp(generation: number, ids: string, denied: string): readonly string[] {
    const stamped = `& ${hex(Mark.ruleAndVerdict)} | ${hex(generation << Mark.generationShift)}`;
    if (this.form === 'mark') return [`ct mark set ${this.key} ${stamped}`, this.clear, 'accept'];
    return [
      // In two steps, as nft moves no register: between them the mark has no generation, and the flow's other packets are judged.
      `${this.key} set ${this.key} & ${hex(Mark.ruleAndVerdict)} ct mark set ${this.key} map @${ids} ct mark set ct mark ${stamped} ${this.clear} accept`,
      denied,
    ];
  }
}
