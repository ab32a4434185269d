// `calico-ts/policy`: Calico's and Kubernetes' policies, compiled and asked, without a kernel (docs/library.md).
// Pure: no I/O, no clock. Whatever is not here may change without notice.

// Manifests: what is wrong with one, and Kubernetes' objects as Calico's.
export { convertClusterNetworkPolicy } from '../conversion/cluster-network-policy.ts';
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
// What a change means for traffic, and whether there is traffic that there should never be.
export { type Comparison, compareConnectivity } from './connectivity/compare.ts';
export { type Claim, findCounterExample, type Search } from './connectivity/counter-example.ts';
// Evaluating: the verdict on a packet, who said so at each place on its way, and that in words.
export { evaluate, type Verdict } from './evaluate.ts';
export { formatReason } from './evaluation/explain.ts';
export { type Packet, PacketError } from './evaluation/packet.ts';
// Questions by name (`shop/web`, `5432/tcp`), and the verdict explained rule by rule.
export { type Explanation, explain } from './explanation/explanation.ts';
export { renderExplanation } from './explanation/render.ts';
export { PolicyError } from './policy-error.ts';
export { type Answer, ask, type Question } from './question/ask.ts';
export { type End, parseEnd } from './question/ends.ts';
export { QuestionError } from './question/question-error.ts';
export { parseTraffic, type Traffic } from './question/traffic.ts';
