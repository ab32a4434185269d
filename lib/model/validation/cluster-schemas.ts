// Schemas of ClusterInformation, KubeControllersConfiguration and CalicoNodeStatus (Calico v3).

import { goDuration, looseCidr, regularExpression, resourceName, selector } from './formats.ts';
import { checkAnnotations, checkLabel } from './metadata.ts';
import {
  any,
  boolean,
  checkedText,
  integer,
  type JsonObject,
  list,
  map,
  type ObjectSchema,
  object,
  objectField,
  oneOf,
  type Report,
  type Schema,
  text,
} from './schema.ts';

const enabledOrDisabled = oneOf('Enabled', 'Disabled');
const duration = checkedText(goDuration);
const reconciler = object({ reconcilerPeriod: duration });

function checkTemplateMaps(template: JsonObject, report: Report): void {
  for (const [key, value] of Object.entries(objectField(template, 'labels') ?? {})) {
    for (const problem of checkLabel('labels', key, value))
      report(problem.path, problem.message, problem.rule);
  }
  for (const problem of checkAnnotations(template, 'annotations')) {
    report(problem.path, problem.message, problem.rule);
  }
}

const hostEndpointTemplate = object(
  {
    generateName: text({ check: resourceName, maxLength: 253 }),
    interfaceCIDRs: list(checkedText(looseCidr), { isSet: true }),
    interfacePattern: checkedText(regularExpression),
    labels: map(text()),
    annotations: map(text()),
    nodeSelector: checkedText(selector),
  },
  { checks: [checkTemplateMaps] },
);

function controllersConfiguration(): Record<string, Schema> {
  return {
    controllers: object({
      node: object({
        reconcilerPeriod: duration,
        syncLabels: enabledOrDisabled,
        leakGracePeriod: duration,
        hostEndpoint: object({
          autoCreate: enabledOrDisabled,
          createDefaultHostEndpoint: enabledOrDisabled,
          templates: list(hostEndpointTemplate),
        }),
      }),
      policy: reconciler,
      workloadEndpoint: reconciler,
      serviceAccount: reconciler,
      namespace: reconciler,
      loadBalancer: object({
        assignIPs: text({ enum: ['AllServices', 'RequestedServicesOnly'], default: 'AllServices' }),
      }),
      migration: object({ policyNameMigrator: text({ enum: ['Enabled', 'Disabled'], default: 'Enabled' }) }),
      policyMigration: object({ enabled: text({ enum: ['Enabled', 'Disabled'], default: 'Enabled' }) }),
    }),
    debugProfilePort: integer(0, 65535),
    etcdV3CompactionPeriod: duration,
    healthChecks: text({ enum: ['Enabled', 'Disabled'], default: 'Enabled' }),
    logSeverityScreen: oneOf('None', 'Debug', 'Info', 'Warning', 'Error', 'Fatal', 'Panic'),
    prometheusMetricsPort: integer(0, 65535),
  };
}

export const CLUSTER_SCHEMAS: Readonly<Record<string, ObjectSchema>> = {
  KubeControllersConfiguration: object({
    spec: object(controllersConfiguration()),
    status: object({ runningConfig: object(controllersConfiguration()), environmentVars: map(text()) }),
  }),
  ClusterInformation: object({
    spec: object({
      clusterGUID: text(),
      clusterType: text(),
      calicoVersion: text(),
      datastoreReady: boolean,
      variant: text(),
    }),
  }),
  CalicoNodeStatus: object(
    {
      spec: object(
        {
          node: checkedText(resourceName),
          classes: list(oneOf('Agent', 'BGP', 'Routes'), { minItems: 1, maxItems: 3, isSet: true }),
          updatePeriodSeconds: integer(0, 86_400),
        },
        { required: ['node', 'classes', 'updatePeriodSeconds'] },
      ),
      status: object({ lastUpdated: any, agent: any, bgp: any, routes: any }),
    },
    { required: ['spec'] },
  ),
};
