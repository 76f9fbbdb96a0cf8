// Puts the documents that an onboarding left behind before an IAM simulator that is not the local
// cloud's: only this scraper may wear the source role, only the source role in this scraper's name
// the target role, and the target role can write to this pair's workspace and do nothing else.
//
//   node .ci/simulate.mjs onboard.json
import { readFileSync } from 'node:fs'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const run = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { source, target } = run.roles
const scraper = run.scraperArn
const other = scraper.replace(/s-[^/]*$/, 's-00000000-0000-0000-0000-000000000000')
const workspace = run.workspaceArn
const scraperService = 'scraper.aps.amazonaws.com'
const account = (arn) => arn.split(':')[4]
let passed = 0
let failed = 0

async function ask(role, principal, action, resource, contextVariables, trust) {
  const answer = await runSimulation({
    request: { principal, action, resource: { resource, accountId: account(resource) }, contextVariables },
    identityPolicies: role ? role.policies.map(({ name, document }) => ({ name, policy: document })) : [],
    permissionBoundaryPolicies: role ? [{ name: 'boundary', policy: role.permissionsBoundary.document }] : undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: trust
  }, {})
  if (answer.errors) throw new Error(JSON.stringify(answer.errors))
  const ignored = answer.result.ignoredContextKeys ?? []
  if (ignored.length) throw new Error(`these keys were not taken into account: ${ignored}`)
  return answer.overallResult
}

async function expect(wanted, sentence, ...question) {
  let got
  try {
    got = await ask(...question)
  } catch (error) {
    got = `error: ${error.message}`
  }
  const right = wanted === 'Allowed' ? got === 'Allowed' : /Denied/.test(got)
  right ? passed++ : failed++
  console.log(`${right ? 'ok    ' : 'FAILED'} ${sentence}: ${got}`)
}

const assume = 'sts:AssumeRole'
const service = (arn, accountId) => ({ 'aws:SourceArn': arn, 'aws:SourceAccount': accountId })
const wear = (sentence, wanted, principal, context) =>
  expect(wanted, `source role: ${sentence}`, null, principal, assume, source.arn, context, source.trustPolicy)
await wear('this scraper', 'Allowed', scraperService, service(scraper, source.accountId))
await wear('another scraper of the account', 'Denied', scraperService, service(other, source.accountId))
await wear('this scraper in the name of another account', 'Denied', scraperService, service(scraper, '999999999999'))
await wear('the service in the name of nobody', 'Denied', scraperService, {})
await wear('another service', 'Denied', 'ec2.amazonaws.com', service(scraper, source.accountId))
await wear('the provisioner', 'Denied', `arn:aws:iam::${source.accountId}:role/ampxa-source-provisioner`, service(scraper, source.accountId))

const reach = (sentence, wanted, role, principal, context, resource = target.arn, trust = target.trustPolicy) =>
  expect(wanted, `target role: ${sentence}`, role, principal, assume, resource, context, trust)
const stranger = `arn:aws:iam::${source.accountId}:role/somebody`
const named = (id) => ({ 'sts:ExternalId': id })
await reach('the source role, naming this scraper', 'Allowed', source, source.arn, named(scraper))
await reach('the source role, naming another scraper', 'Denied', source, source.arn, named(other))
await reach('the source role, naming the placeholder', 'Denied', source, source.arn, named(scraper.replace(/s-[^/]*$/, '*')))
await reach('the source role, naming nobody', 'Denied', source, source.arn, {})
await reach('another role with the same rights', 'Denied', source, stranger, named(scraper))
await reach('the target account itself', 'Denied', null, `arn:aws:iam::${target.accountId}:role/admin`, named(scraper))
const elsewhere = target.arn.replace(/ampxa-target-.*$/, 'ampxa-target-other-00000000')
await reach('the source role, another target role', 'Denied', source, source.arn, named(scraper), elsewhere)
await reach('the source role, the provisioner', 'Denied', source, source.arn, named(scraper), target.arn.replace(/ampxa-target-.*$/, 'ampxa-target-provisioner'))

const write = (sentence, wanted, action, resource) =>
  expect(wanted, `as the target role: ${sentence}`, target, target.arn, action, resource, {})
await write('write to the workspace', 'Allowed', 'aps:RemoteWrite', workspace)
await write('write to another workspace of the account', 'Denied', 'aps:RemoteWrite', workspace.replace(/ws-.*$/, 'ws-other'))
await write('write to another account', 'Denied', 'aps:RemoteWrite', workspace.replace(account(workspace), '999999999999'))
for (const action of ['aps:QueryMetrics', 'aps:DeleteWorkspace', 'aps:DescribeWorkspace', 'aps:GetSeries']) {
  await write(action, 'Denied', action, workspace)
}
await write('assume another role', 'Denied', 'sts:AssumeRole', stranger)
await write('change itself', 'Denied', 'iam:PutRolePolicy', target.arn)

console.log(`\n${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
