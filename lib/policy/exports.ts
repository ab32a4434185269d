// `calico-ts/policy`: Calico's and Kubernetes' policies, compiled and asked, without a kernel (docs/library.md).
// Pure: no I/O, no clock. Whatever is not here may change without notice.

// Manifests: what is wrong with one, and Kubernetes' objects as Calico's.
export { convertNetworkPolicy } from '../conversion/network-policy.ts';
export { convertPod } from '../conversion/pod.ts';
export { convertNamespace, convertServiceAccount } from '../conversion/profiles.ts';
export type { WorkloadEndpoint } from '../model/endpoint-types.ts';
export type { Resource } from '../model/metadata.ts';
export type { GlobalNetworkPolicy, NetworkPolicy, Profile, Tier } from '../model/policy-types.ts';
export { applyDefaults } from '../model/validation/defaults.ts';
export type { Problem } from '../model/validation/problem.ts';
export { validateResource } from '../model/validation/validate.ts';

// Selectors by themselves.
export { parseSelector } from '../selector/parser.ts';
export type { Selector } from '../selector/selector.ts';
export { SelectorError } from '../selector/selector-error.ts';

// Compiling: one policy or profile, or all resources of a cluster at once.
export { type ClusterProblem, type PolicyCluster, resolveCluster } from './cluster.ts';
export { compilePolicy, compileProfile, type PolicyCompilation } from './compile.ts';
export type { CompiledPolicy, CompiledRule } from './compiled.ts';
// Evaluating: the verdict on a packet, who said so at each place on its way, and that in words.
export { evaluate, type Verdict } from './evaluate.ts';
export { formatReason } from './evaluation/explain.ts';
export { type Packet, PacketError } from './evaluation/packet.ts';
export { PolicyError } from './policy-error.ts';
