// Checks policies with an IAM simulator that is independent of the local cloud.
//
//   node .ci/simulate.mjs onboard onboard.json     the policies of an onboarded pair: only this scraper can assume the
//                                                  source role, only the source role can assume the target role, on
//                                                  behalf of this scraper, and the target role can only write
//   node .ci/simulate.mjs requests requests.json   requests with the decision that is wanted, and the policies of all
//                                                  roles that they concern (tests/e2e/attacks.rs writes these files)
import { readFileSync } from 'node:fs'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const [mode, file] = process.argv.slice(2)
const document = JSON.parse(readFileSync(file, 'utf8'))
const account = (arn) => arn.split(':')[4]
let passed = 0
let failed = 0

async function simulate({ role, principal, action, resource, accountId, context, resourcePolicy, sessionPolicy }) {
  const answer = await runSimulation({
    request: { principal, action, resource: { resource, accountId: accountId ?? account(resource) }, contextVariables: context },
    identityPolicies: role ? role.policies.map(({ name, document }) => ({ name, policy: document })) : [],
    permissionBoundaryPolicies: role?.permissionsBoundary ? [{ name: 'boundary', policy: role.permissionsBoundary.document }] : undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy,
    sessionPolicy
  }, {})
  if (answer.errors) throw new Error(JSON.stringify(answer.errors))
  const ignored = answer.result?.ignoredContextKeys ?? []
  if (ignored.length) throw new Error(`the simulator ignored these condition keys: ${ignored}`)
  return answer.overallResult
}

async function expect(expected, title, request) {
  let result
  try {
    result = await simulate(request)
  } catch (error) {
    result = `error: ${error.message}`
  }
  const ok = expected === 'Allowed' ? result === 'Allowed' : /Denied/.test(result)
  ok ? passed++ : failed++
  if (mode === 'onboard' || !ok) console.log(`${ok ? 'ok    ' : 'FAILED'} ${title}: ${result}`)
}

function finish() {
  console.log(`\n${passed} passed, ${failed} failed`)
  process.exit(failed || !passed ? 1 : 0)
}

if (mode === 'requests') {
  const { roles, resourcePolicies, requests } = document
  for (const { attack, title, want, principal, action, resource, context, sessionPolicy, sameAccount } of requests) {
    const policies = { ...resourcePolicies, ...Object.fromEntries(Object.values(roles).map((role) => [role.arn, role.trustPolicy])) }
    // The trust policy of a role concerns sts:AssumeRole only.
    const resourcePolicy = resource.includes(':role/') && action !== 'sts:AssumeRole' ? undefined : policies[resource]
    await expect(want, `${attack} ${title}: ${principal} ${action} on ${resource} must be ${want}`, {
      role: roles[principal], principal, action, resource, context, resourcePolicy, sessionPolicy: sessionPolicy ?? undefined,
      accountId: (!sameAccount && account(resource)) || account(principal)
    })
  }
  finish()
}

const run = document
const { source, target } = run.roles
const scraper = run.scraperArn
const other = scraper.replace(/s-[^/]*$/, 's-00000000-0000-0000-0000-000000000000')
const workspace = run.workspaceArn
const scraperService = 'scraper.aps.amazonaws.com'

const assume = 'sts:AssumeRole'
const service = (arn, accountId) => ({ 'aws:SourceArn': arn, 'aws:SourceAccount': accountId })
const assumeSource = (title, expected, principal, context) =>
  expect(expected, `assume the source role as ${title}`,
    { principal, action: assume, resource: source.arn, context, resourcePolicy: source.trustPolicy })
await assumeSource('this scraper', 'Allowed', scraperService, service(scraper, source.accountId))
await assumeSource('another scraper of the account', 'Denied', scraperService, service(other, source.accountId))
await assumeSource('this scraper on behalf of another account', 'Denied', scraperService, service(scraper, '999999999999'))
await assumeSource('the service without a source ARN and account', 'Denied', scraperService, {})
await assumeSource('another service', 'Denied', 'ec2.amazonaws.com', service(scraper, source.accountId))
await assumeSource('the provisioner', 'Denied', `arn:aws:iam::${source.accountId}:role/ampxa-provisioner-source`, service(scraper, source.accountId))

const assumeTarget = (title, expected, role, principal, context, resource = target.arn, trust = target.trustPolicy) =>
  expect(expected, `assume the target role as ${title}`,
    { role, principal, action: assume, resource, context, resourcePolicy: trust })
const otherRole = `arn:aws:iam::${source.accountId}:role/other`
// The permissions boundary of the source role limits the organization of the target role.
const organization = 'o-ampxalocal01'
const externalId = (id, resourceOrganization = organization) => ({ 'sts:ExternalId': id, 'aws:ResourceOrgID': resourceOrganization })
await assumeTarget('the source role, with this scraper as external id', 'Allowed', source, source.arn, externalId(scraper))
await assumeTarget('the source role, in another organization', 'Denied', source, source.arn, externalId(scraper, 'o-another0001'))
await assumeTarget('the source role, with another scraper as external id', 'Denied', source, source.arn, externalId(other))
await assumeTarget('the source role, with the placeholder as external id', 'Denied', source, source.arn, externalId(scraper.replace(/s-[^/]*$/, '*')))
await assumeTarget('the source role, without an external id', 'Denied', source, source.arn, { 'aws:ResourceOrgID': organization })
await assumeTarget('another role with the same permissions', 'Denied', source, otherRole, externalId(scraper))
await assumeTarget('a role of the target account', 'Denied', null, `arn:aws:iam::${target.accountId}:role/admin`, externalId(scraper))
const otherTarget = target.arn.replace(/ampxa-target-.*$/, 'ampxa-target-other-00000000')
await assumeTarget('the source role, for another target role', 'Denied', source, source.arn, externalId(scraper), otherTarget)
await assumeTarget('the source role, for the provisioner', 'Denied', source, source.arn, externalId(scraper), target.arn.replace(/ampxa-target-.*$/, 'ampxa-provisioner-target'))

const asTarget = (title, expected, action, resource) =>
  expect(expected, `as the target role: ${title}`,
    { role: target, principal: target.arn, action, resource, context: {} })
await asTarget('write to the workspace', 'Allowed', 'aps:RemoteWrite', workspace)
await asTarget('write to another workspace of the account', 'Denied', 'aps:RemoteWrite', workspace.replace(/ws-.*$/, 'ws-other'))
await asTarget('write to another account', 'Denied', 'aps:RemoteWrite', workspace.replace(account(workspace), '999999999999'))
for (const action of ['aps:QueryMetrics', 'aps:DeleteWorkspace', 'aps:DescribeWorkspace', 'aps:GetSeries']) {
  await asTarget(action, 'Denied', action, workspace)
}
await asTarget('assume another role', 'Denied', 'sts:AssumeRole', otherRole)
await asTarget('change itself', 'Denied', 'iam:PutRolePolicy', target.arn)

finish()
