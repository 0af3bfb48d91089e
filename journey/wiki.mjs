// A relying party on another site, made with openid-client: it signs people in by code with PKCE and says who they are.
import https from 'node:https'
import dns from 'node:dns'
import fs from 'node:fs'
import * as client from 'openid-client'

// The names of this test stand in no DNS.
const lookup = dns.lookup
dns.lookup = (name, options, done) => {
  if (typeof options === 'function') { done = options; options = {} }
  if (!name.endsWith('.example.test')) return lookup(name, options, done)
  return options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
}

export async function startWiki(j) {
  const config = await client.discovery(new URL(j.issuer), 'wiki', 'wiki-secret')
  const began = new Map()
  const users = new Map()
  const server = https.createServer({ key: fs.readFileSync(j.key), cert: fs.readFileSync(j.cert) }, async (req, res) => {
    const url = new URL(req.url, j.wiki)
    const cookie = (req.headers.cookie || '').match(/wiki=([\w-]+)/)?.[1]
    const page = body => { res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }); res.end(`<!doctype html><title>Wiki</title>${body}`) }
    const go = (to, id) => { res.writeHead(303, { location: String(to), ...(id ? { 'set-cookie': `wiki=${id}; Path=/; Secure; HttpOnly; SameSite=Lax` } : {}) }); res.end() }
    try {
      if (url.pathname === '/favicon.ico') {
        res.writeHead(404)
        res.end()
      } else if (url.pathname === '/callback') {
        const b = began.get(cookie)
        const tokens = await client.authorizationCodeGrant(config, url, { pkceCodeVerifier: b.verifier, expectedState: b.state, expectedNonce: b.nonce, idTokenExpected: true })
        const info = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
        users.set(cookie, { info, tokens })
        go(j.wiki)
      } else if (url.pathname === '/sign-out') {
        const u = users.get(cookie)
        users.delete(cookie)
        go(client.buildEndSessionUrl(config, { post_logout_redirect_uri: j.wiki + 'bye', id_token_hint: u.tokens.id_token }))
      } else if (url.pathname === '/bye') {
        page('Signed out')
      } else if (users.has(cookie)) {
        page(`<h1>Wiki</h1><p>Signed in as <b id="who">${users.get(cookie).info.preferred_username}</b></p>`)
      } else {
        const id = client.randomState()
        const b = { verifier: client.randomPKCECodeVerifier(), state: client.randomState(), nonce: client.randomNonce() }
        began.set(id, b)
        go(client.buildAuthorizationUrl(config, { redirect_uri: j.wiki + 'callback', scope: 'openid profile email', state: b.state, nonce: b.nonce,
          code_challenge: await client.calculatePKCECodeChallenge(b.verifier), code_challenge_method: 'S256' }), id)
      }
    } catch (e) {
      res.writeHead(500, { 'content-type': 'text/plain' })
      res.end('the wiki failed: ' + (e.stack || e) + ' ' + JSON.stringify(e.cause || ''))
    }
  })
  await new Promise(done => server.listen(Number(new URL(j.wiki).port), '127.0.0.1', done))
  return server
}
