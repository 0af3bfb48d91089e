// Looks over every sample page there is, wide and narrow. The folder they are in stands in the environment variable JOURNEY, as JSON.
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { open, inspect } from './look.mjs'

const j = JSON.parse(process.env.JOURNEY)
const names = fs.readdirSync(j.gallery).filter(f => /\.(en|de)\.html$/.test(f) && !f.startsWith('mail.')).sort()
let faults = 0
for (const [width, language] of [[1280, 'en'], [320, 'de']]) { // German words are the longer ones
  const { browser, context } = await open(j.chromium, { viewport: { width, height: 900 } })
  const page = await context.newPage()
  let held = false // the page that posts itself to a relying party is looked at without its script
  await page.route(/\.js$/, route => held ? route.abort() : route.continue())
  let looked = 0
  for (const name of names.filter(n => n.endsWith(`.${language}.html`))) {
    held = name.startsWith('form_post')
    await page.goto(pathToFileURL(path.join(j.gallery, name)).href)
    for (const fault of await inspect(page)) { faults++; console.error('FAULT', `${name} at ${width} px: ${fault}`) }
    looked++
  }
  console.log(`${looked} pages at ${width} px, ${language}`)
  if (looked < 40) { faults++; console.error('FAULT', 'too few pages were found') }
  await browser.close()
}
process.exit(faults ? 1 : 0)
