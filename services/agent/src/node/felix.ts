import { felixSpec, type LogSettings, logSettings, type Resource } from '@margay/schemas'
import type { RenderOptions } from '../nftables/render.ts'

/** What the agent takes from FelixConfiguration (spec 4.8), completed with what holds without it. */
export interface NodeSettings extends LogSettings {
  readonly render: Omit<RenderOptions, 'serviceIps'>
}

/** The settings of a node: `node.<name>` goes before `default`, that before what the agent was started with. */
export function nodeSettings(
  resources: readonly Resource[],
  node: string,
  fallback: { readonly flowFlushMs: number },
): NodeSettings {
  const spec = felixSpec(resources, node)
  return {
    ...logSettings(spec, fallback),
    render: {
      allowVxlan: spec.allowVXLANPacketsFromWorkloads === true,
      allowIpip: spec.allowIPIPPacketsFromWorkloads === true,
    },
  }
}
