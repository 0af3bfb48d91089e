// Package journey walks the whole story against the built binary, as people and relying parties meet it: Chromium over TLS with the
// relying party on another site, a real mail server, Apache's mod_auth_openidc, openid-client. It holds tests alone.
package journey
