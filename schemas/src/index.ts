// The one index of the project: what every service and the browser share.
export * from './config.ts'
export * from './events/column.ts'
export * from './events/event.ts'
export * from './events/flow.ts'
export * from './events/status.ts'
export * from './policy/model.ts'
export * from './resources/resource.ts'
