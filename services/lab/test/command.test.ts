import { describe, expect, it } from 'vitest'
import { callUrl } from '../src/manifests/call.ts'
import { argumentCalls, commandCalls } from '../src/manifests/command.ts'

const calls = (script: string) =>
  commandCalls({ containers: [{ command: ['sh', '-c'], args: [script] }] }).map(
    (call) => `${callUrl(call)} ${call.everyMs}`,
  )

describe('a container’s command', () => {
  it.each([
    ['while true; do curl -m3 http://nginx-svc; sleep 3; done', ['http://nginx-svc:80 3000']],
    ['while :; do wget -q -O- -T 2 web:8080/health; sleep 0.1; done', ['http://web:8080/health 100']],
    [
      'while true; do curl -s -o /dev/null https://api.example.com; curl -m 1 a; sleep 5; done',
      ['tcp://api.example.com:443 5000', 'http://a:80 5000'],
    ],
    ['until nc -z -w 1 db 5432; do sleep 2; done', ['tcp://db:5432 2000']],
    ["watch -n 7 'curl http://web'", ['http://web:80 7000']],
    ['for i in 1 2; do curl -O http://web/file > /dev/null 2>&1; done', ['http://web:80/file 1000']],
    ['curl http://once', []],
    ['sleep infinity', []],
    ['while true; do echo hello; sleep 1; done', []],
  ])('%s', (script, expected) => {
    expect(calls(script)).toEqual(expected)
  })
})

describe('the arguments of a program', () => {
  const isService = (host: string) => ['frontend.stars', 'backend.stars', 'web'].includes(host)
  const found = (...command: string[]) => argumentCalls({ containers: [{ command }] }, isService).map(callUrl)

  it.each([
    [
      ['probe', '--http-port=80', '--urls=http://frontend.stars:80/status,http://backend.stars:6379/status'],
      ['http://frontend.stars:80/status', 'http://backend.stars:6379/status'],
    ],
    [['server', '-upstream', 'web:9000'], ['tcp://web:9000']],
    [['server', '--upstream=https://web'], ['tcp://web:443']],
    [['etcd', '-advertise-client-urls', 'http://web:2379', '--listen=http://web:2379'], []],
    [['probe', '--urls=http://www.example.com:80/'], []],
    [['sh', '-c', 'echo http://web:80'], []],
  ])('%s', (command, expected) => {
    expect(found(...command)).toEqual(expected)
  })
})
