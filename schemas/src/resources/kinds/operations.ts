import { Type } from 'typebox'
import { type Check, calico, defineKind } from '../kind.ts'
import { anything, formatted, oneOf, optional, selector, status, stringMap } from '../schema.ts'

/** Kinds of running the product, checked for structure only. */
const onlyDefault: Check = (resource, report) => {
  if (resource.metadata.name !== 'default') {
    report.error(['metadata', 'name'], 'singleton', `there is one ${resource.kind}, named default`)
  }
}

export const deepPacketInspection = defineKind({
  kind: 'DeepPacketInspection',
  plural: 'deeppacketinspections',
  apiVersions: calico,
  namespaced: true,
  members: Type.Object({ spec: optional(Type.Object({ selector: optional(selector()) })), status: status() }),
})

export const policyRecommendationScope = defineKind({
  kind: 'PolicyRecommendationScope',
  plural: 'policyrecommendationscopes',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({
    spec: optional(
      Type.Object({
        interval: optional(formatted('duration')),
        initialLookback: optional(formatted('duration')),
        stabilizationPeriod: optional(formatted('duration')),
        maxRules: optional(Type.Integer({ minimum: 1 })),
        policiesLearningCutOff: optional(Type.Integer()),
        namespaceSpec: optional(
          Type.Object({
            recStatus: optional(oneOf(['Enabled', 'Disabled'])),
            selector: optional(selector()),
            tierName: optional(Type.String()),
            intraNamespacePassThroughTraffic: optional(Type.Boolean()),
          }),
        ),
        hostEndpointSpec: optional(anything()),
      }),
    ),
    status: status(),
  }),
  checks: [onlyDefault],
})

export const kubeControllersConfiguration = defineKind({
  kind: 'KubeControllersConfiguration',
  plural: 'kubecontrollersconfigurations',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: optional(anything()), status: status() }),
  checks: [onlyDefault],
})

export const uiSettingsGroup = defineKind({
  kind: 'UISettingsGroup',
  plural: 'uisettingsgroups',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({
    spec: Type.Object({ description: optional(Type.String()), filterType: optional(Type.String()) }),
    status: status(),
  }),
})

export const uiSettings = defineKind({
  kind: 'UISettings',
  plural: 'uisettings',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: anything(), status: status() }),
})

export const managedCluster = defineKind({
  kind: 'ManagedCluster',
  plural: 'managedclusters',
  apiVersions: calico,
  namespaced: false,
  members: Type.Object({ spec: optional(anything()), status: status() }),
})

const review = (kind: string, plural: string) =>
  defineKind({
    kind,
    plural,
    apiVersions: calico,
    namespaced: false,
    members: Type.Object({ spec: optional(anything()), status: status(), labels: optional(stringMap()) }),
  })

export const authorizationReview = review('AuthorizationReview', 'authorizationreviews')
export const authenticationReview = review('AuthenticationReview', 'authenticationreviews')
