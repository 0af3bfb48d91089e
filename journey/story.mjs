// Walks the whole story in Chromium: registration at sign-in, reset, security info. What it is told stands in the
// environment variable JOURNEY, as JSON. Every page it meets is photographed and looked over, light and dark.
import fs from 'node:fs'
import path from 'node:path'
import crypto from 'node:crypto'
import { open, inspect, photograph } from './look.mjs'
import { startWiki } from './wiki.mjs'

const j = JSON.parse(process.env.JOURNEY)
const faults = []
const seen = new Map()

function check(ok, what) {
  if (!ok) { faults.push(what); console.error('FAULT', what) }
}

function code(key, steps = 0) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  let bits = ''
  for (const c of key.replace(/\s/g, '')) bits += alphabet.indexOf(c).toString(2).padStart(5, '0')
  const seed = Buffer.from(bits.match(/.{8}/g).map(b => parseInt(b, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step() + steps))
  const sum = crypto.createHmac('sha1', seed).update(counter).digest()
  const at = sum[19] & 15
  return String((sum.readUInt32BE(at) & 0x7fffffff) % 1e6).padStart(6, '0')
}
const step = () => Math.floor(Date.now() / 30000)

// The mail server keeps every mail as a file; the newest that fits is waited for.
async function mail(fits, what) {
  for (let i = 0; i < 300; i++) {
    const files = fs.readdirSync(j.mails).sort().reverse()
    for (const f of files) {
      const m = JSON.parse(fs.readFileSync(path.join(j.mails, f), 'utf8'))
      if (fits(m)) return m
    }
    await new Promise(r => setTimeout(r, 100))
  }
  throw new Error('no mail: ' + what)
}

const wiki = await startWiki(j)
const { browser, context } = await open(j.chromium, { viewport: j.viewport, javaScriptEnabled: j.javascript })
const page = await context.newPage()
page.setDefaultTimeout(20000)
page.on('pageerror', e => check(false, 'script error: ' + e))
page.on('console', m => { if (/Content.Security.Policy/i.test(m.text())) check(false, 'CSP: ' + m.text()) })

// look photographs the page and looks it over.
async function look(name) {
  const n = String(seen.size + 1).padStart(2, '0')
  if (seen.has(name)) return
  seen.set(name, true)
  if (j.javascript) await page.waitForLoadState('networkidle')
  await photograph(page, scheme => path.join(j.shots, `${n}-${name}-${scheme}.png`))
  if (j.javascript) for (const fault of await inspect(page)) check(false, `${name}: ${fault}`)
}
const press = name => page.getByRole('button', { name, exact: true }).click()
const follow = name => page.getByRole('link', { name, exact: true }).or(page.getByRole('button', { name, exact: true })).first().click()
const fill = (label, value) => page.getByLabel(label, { exact: true }).fill(value)
const heading = name => page.getByRole('heading', { level: 1, name, exact: true }).waitFor()
async function puzzle() {
  if (j.javascript) await page.getByText('Checked: you are not a robot').waitFor()
  else await new Promise(r => setTimeout(r, 15500)) // the ticket counts when it has been waited for
}

async function story() {
  // 1 and 2: a relying party on another site, the password, and what is asked for before any token.
  await page.goto(j.wiki)
  await heading('Sign in')
  await look('sign-in')
  await fill('User name', 'ironman')
  await press('Next')
  await look('password')
  await fill('Password', 'not-this-one')
  await press('Sign in')
  await page.locator('.error').first().waitFor()
  await look('password-wrong')
  await fill('Password', j.password)
  await press('Sign in')
  await heading('Choose a new password')
  await look('password-due')
  await page.locator('input[name=old]').fill(j.password)
  await fill('New password', 'short')
  await fill('Confirm new password', 'short')
  await press('Next')
  await heading('Choose a new password')
  await look('password-refused')
  await page.locator('input[name=old]').fill(j.password)
  await fill('New password', 'jarvis-suits-up')
  await fill('Confirm new password', 'jarvis-suits-up')
  await press('Next')
  await heading('More information required')
  await look('more-information')
  await press('Next')
  await heading('Keep your account secure')
  await look('register-app')
  await follow('I want to set up a different method')
  await look('register-choose')
  await page.locator('input[name=choose][value=totp]').check()
  await press('Next')
  await press('Next')
  await look('register-scan')
  await page.getByText('Can’t scan the QR code?').click()
  const key = (await page.locator('[data-secret]').textContent()).trim()
  await look('register-key')
  await press('Next')
  await fill('Code', '000000')
  await press('Verify')
  await page.locator('.error').first().waitFor()
  await look('register-code-wrong')
  await page.goBack() // the back button meets the true step
  await page.reload()
  await page.getByLabel('Code', { exact: true }).waitFor()
  if (Date.now() % 30000 > 25000) await new Promise(r => setTimeout(r, 5500))
  await fill('Code', code(key, -1))
  await press('Verify')
  await heading('All set')
  await look('all-set')
  await press('Done')
  await page.waitForURL(j.wiki + '**')
  check((await page.locator('#who').textContent()) === 'ironman', 'the wiki does not know who signed in')
  const added = await mail(m => m.to === 'tony@stark.example' && /added/i.test(m.subject), 'method added')

  // 3: signed out, the password forgotten, reset, signed in anew.
  await page.goto(j.wiki + 'sign-out')
  await page.goto(j.wiki)
  await heading('Sign in')
  await fill('User name', 'ironman')
  await press('Next')
  await follow('Can’t access your account?')
  await heading('Get back into your account')
  await puzzle()
  await look('reset')
  check((await page.getByLabel('User name', { exact: true }).inputValue()) === 'ironman', 'the user name was not carried forward')
  await press('Next')
  if (await page.locator('input[name=what]').count()) {
    await look('reset-what')
    await press('Next')
  }
  await look('reset-code')
  await fill('Code', code(key, 0))
  await press('Verify')
  await heading('Choose a new password')
  await look('reset-password')
  await fill('New password', 'a-brand-new-suit-42')
  await fill('Confirm new password', 'a-brand-new-suit-42')
  await press('Next')
  await heading('Your password has been reset')
  await look('reset-done')
  const told = await mail(m => m.to === 'tony@stark.example' && /reset/i.test(m.subject), 'password reset')
  check(!told.text.includes('a-brand-new-suit-42'), 'the mail holds the password')
  await follow('Sign in')
  if (await page.getByLabel('User name', { exact: true }).count()) {
    await fill('User name', 'ironman')
    await press('Next')
  }
  await fill('Password', 'jarvis-suits-up')
  await press('Sign in')
  await page.locator('.error').first().waitFor()
  await fill('Password', 'a-brand-new-suit-42')
  await press('Sign in')
  await page.waitForURL(j.wiki + '**')
  check((await page.locator('#who').textContent()) === 'ironman', 'not signed in after the reset')

  // 4: security info.
  await page.goto(j.issuer + '/security-info')
  await heading('Security info')
  await look('security-info')
  await press('Add sign-in method')
  await page.getByLabel('Code', { exact: true }).waitFor()
  await look('prove')
  await fill('Code', code(key, 1))
  await press('Verify')
  await heading('Keep your account secure')
  await look('add-choose')
  await page.locator('input[name=choose][value=email]').check()
  await press('Next')
  await look('add-email')
  await fill('E-mail address', 'tony@home.example')
  await press('Next')
  const sent = await mail(m => m.to === 'tony@home.example' && /\d{3} ?\d{3}/.test(m.text), 'code')
  await look('add-email-code')
  await fill('Code', sent.text.match(/\b(\d{3}) ?(\d{3})\b/).slice(1).join(''))
  await press('Verify')
  await heading('Security info')
  await page.getByText('t•••@home.example').first().waitFor()
  await look('security-info-two')
  const changed = page.locator('li', { hasText: 't•••@home.example' })
  await changed.getByRole('button', { name: /^Change/ }).click()
  await fill('E-mail address', 'anthony@home.example')
  await press('Next')
  const again = await mail(m => m.to === 'anthony@home.example' && /\d{3} ?\d{3}/.test(m.text), 'second code')
  await fill('Code', again.text.match(/\b(\d{3}) ?(\d{3})\b/).slice(1).join(''))
  await press('Verify')
  await heading('Security info')
  await page.getByText('a•••@home.example').first().waitFor()
  await page.locator('li', { hasText: 'Authenticator app' }).getByRole('button', { name: /^Delete/ }).click()
  await look('delete')
  await press('Delete')
  await heading('Security info')
  check(await page.locator('li', { hasText: 'Authenticator app' }).getByRole('button', { name: /^Delete/ }).count() === 0, 'the app was not deleted')
  await look('security-info-last')
  // The last one: a replacement first.
  await page.locator('li', { hasText: 'a•••@home.example' }).getByRole('button', { name: /^Delete/ }).click()
  if (await page.getByLabel('Code', { exact: true }).count() || await page.locator('input[name=choose]').count()) await look('prove-again')
  await page.goto(j.issuer + '/security-info')
  await press('Sign out everywhere')
  await look('signed-out')

  // Strangers and scanners: the link in the mail asks before it acts, and acts once.
  const link = added.text.match(/https:\/\/\S+\/not-me\/[\w-]+/)[0]
  await page.goto(link)
  await look('not-me')
  await press('This wasn’t me')
  await look('not-me-done')
  const twice = await page.goto(link)
  check(twice.status() === 403 || twice.status() === 404, 'a used link answered ' + twice.status())
  await look('expired')
  // The dead end.
  await page.goto(j.issuer + '/reset')
  await fill('User name', 'hulk')
  await puzzle()
  await press('Next')
  await heading('Ask your administrator')
  await look('dead-end')
  const sheet = await context.newPage() // mails are read elsewhere: no page of ours is around them
  for (const m of [told, sent, added]) {
    await sheet.setContent(m.html)
    await sheet.screenshot({ path: path.join(j.shots, `mail-${m.subject.replace(/\W+/g, '-').slice(0, 40)}.png`) })
  }
}

try {
  await story()
} catch (e) {
  faults.push(String(e.stack || e))
  console.error('at', page.url(), (await page.locator('body').innerText().catch(() => '')).slice(0, 600), (await page.locator('h1').allTextContents().catch(() => [])).join('|'), (await page.locator('.error').allTextContents().catch(() => [])).join('|'))
  await page.screenshot({ path: path.join(j.shots, 'failed.png'), fullPage: true }).catch(() => {})
} finally {
  await browser.close()
  wiki.close()
}
console.log(`${seen.size} pages looked at`)
if (faults.length) { console.error(faults.join('\n')); process.exit(1) }
