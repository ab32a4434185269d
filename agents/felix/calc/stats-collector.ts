// How many tiers, policies and profiles the datastore holds, active here or not (Felix's stats collector).

import { type PolicyId, policyKey } from '../../../lib/policy/compiled.ts';

export interface CalcCounts {
  readonly tiers: number;
  readonly policies: number;
  /** Those with rules, if empty ones. */
  readonly profiles: number;
  /** Policies with a rule that only an application-layer proxy can match. */
  readonly applicationLayer: number;
  readonly workloadEndpoints: number;
  readonly hostEndpoints: number;
}

export class StatsCollector {
  private readonly tiers = new Set<string>();
  private readonly policies = new Set<string>();
  private readonly profiles = new Set<string>();
  private readonly applicationLayerPolicies = new Set<string>();
  private readonly workloadEndpoints = new Set<string>();
  private readonly hostEndpoints = new Set<string>();

  noteTier(name: string, exists: boolean): void {
    note(this.tiers, name, exists);
  }

  notePolicy(id: PolicyId, exists: boolean, isApplicationLayer: boolean): void {
    note(this.policies, policyKey(id), exists);
    note(this.applicationLayerPolicies, policyKey(id), exists && isApplicationLayer);
  }

  noteProfile(name: string, exists: boolean): void {
    note(this.profiles, name, exists);
  }

  noteWorkloadEndpoint(key: string, exists: boolean): void {
    note(this.workloadEndpoints, key, exists);
  }

  noteHostEndpoint(key: string, exists: boolean): void {
    note(this.hostEndpoints, key, exists);
  }

  counts(): CalcCounts {
    return {
      tiers: this.tiers.size,
      policies: this.policies.size,
      profiles: this.profiles.size,
      applicationLayer: this.applicationLayerPolicies.size,
      workloadEndpoints: this.workloadEndpoints.size,
      hostEndpoints: this.hostEndpoints.size,
    };
  }
}

function note(set: Set<string>, key: string, exists: boolean): void {
  if (exists) set.add(key);
  else set.delete(key);
}
