// How a page is opened, photographed and looked over, in Chromium.
import fs from 'node:fs'
import { chromium } from 'playwright-core'

const axeSource = fs.readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
const schemes = ['light', 'dark']

// open starts Chromium with a context that measures layout shifts.
export async function open(executablePath, options) {
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--host-resolver-rules=MAP *.example.test 127.0.0.1'],
  })
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-GB', reducedMotion: 'reduce', hasTouch: options.viewport.width < 500, ...options })
  await context.addInitScript(() => {
    window.__shift = 0
    new PerformanceObserver(l => { for (const e of l.getEntries()) if (!e.hadRecentInput) window.__shift += e.value }).observe({ type: 'layout-shift', buffered: true })
  })
  return { browser, context }
}

// photograph keeps the page as it is in each colour scheme.
export async function photograph(page, file) {
  for (const scheme of schemes) {
    await page.emulateMedia({ colorScheme: scheme })
    await page.screenshot({ path: file(scheme), fullPage: true })
  }
  await page.emulateMedia({ colorScheme: 'light' })
}

// inspect says what is wrong with the page: axe-core's violations in each colour scheme, and what it does not look for.
export async function inspect(page) {
  const faults = []
  await page.evaluate(axeSource)
  for (const scheme of schemes) {
    await page.emulateMedia({ colorScheme: scheme })
    const result = await page.evaluate(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
    for (const v of result.violations) faults.push(`${scheme}: axe ${v.id}: ${v.nodes.map(x => x.target.join(' ')).join(', ')}`)
  }
  await page.emulateMedia({ colorScheme: 'light' })
  const facts = await page.evaluate(() => {
    const shown = e => { const r = e.getBoundingClientRect(); return r.width > 1 && r.height > 1 && getComputedStyle(e).visibility !== 'hidden' }
    const small = []
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walk.nextNode()) {
      const e = walk.currentNode.parentElement
      if (walk.currentNode.textContent.trim() && shown(e) && parseFloat(getComputedStyle(e).fontSize) < 13) small.push(walk.currentNode.textContent.trim())
    }
    return { primary: [...document.querySelectorAll('.primary')].filter(shown).length, small, shift: window.__shift, wide: document.documentElement.scrollWidth - window.innerWidth, h1: document.querySelectorAll('h1').length }
  })
  if (facts.primary > 1) faults.push(`${facts.primary} primary buttons`)
  if (facts.h1 !== 1) faults.push(`${facts.h1} headings of the first level`)
  if (facts.small.length) faults.push(`text under 13 px: ${facts.small}`)
  if (facts.shift >= 0.01) faults.push(`layout shift ${facts.shift}`) // a tenth of what counts as good; what is left comes from how late a loaded machine paints
  if (facts.wide > 0) faults.push(`${facts.wide} px wider than the window`)
  return faults
}
