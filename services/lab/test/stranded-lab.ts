import { startLab } from '../../../test/harness/lab.ts'

// A process of its own that brings up a lab and waits to be killed: `stranded-lab.ts <id> <run folder>`.
const [, , id = '', runDir = ''] = process.argv
const manifests = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: web, image: x, ports: [{containerPort: 8080}]}]}
`
await startLab({ manifests, id, runDir })
console.log('up')
setInterval(() => {}, 1000)
