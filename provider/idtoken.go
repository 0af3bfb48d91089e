package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/directory"
)

// idToken signs what the grant says of the end-user (OpenID Connect Core §2), for one client alone, so azp is not needed.
// nonce is given at the code and not again at a refresh (§12.2). u is used where claims belong into the ID token.
func (p *Provider) idToken(ctx context.Context, g *grant, c *client, u directory.User, nonce, accessToken string, now time.Time) (string, error) {
	held, err := p.lately(ctx)
	if err != nil {
		return "", fmt.Errorf("signing keys: %w", err)
	}
	k := held.signing[c.IDTokenAlg]
	if k == nil {
		return "", fmt.Errorf("no active key for %s", c.IDTokenAlg)
	}
	hash, err := oidc.ClaimHash(accessToken, jose.SignatureAlgorithm(c.IDTokenAlg))
	if err != nil {
		return "", err
	}
	claims := make(map[string]any, 24)
	if c.ClaimsInIDToken || len(g.Wants.IDToken) > 0 {
		var covered []string
		if c.ClaimsInIDToken {
			covered = c.kept(g.Scopes)
		}
		c.about(u, covered, g.Wants.IDToken, claims)
	}
	claims["iss"], claims["sub"], claims["aud"] = p.c.Issuer, g.Subject, c.ID
	claims["iat"], claims["exp"], claims["auth_time"] = now.Unix(), now.Add(p.c.ID).Unix(), g.At.Unix()
	claims["at_hash"], claims["sid"], claims["acr"] = hash, g.Session, acr(g.AMR)
	if len(g.AMR) > 0 {
		claims["amr"] = g.AMR
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return k.sign(payload)
}

// hint is what an id_token_hint says.
type hint struct {
	Issuer   string        `json:"iss"`
	Subject  string        `json:"sub"`
	Audience oidc.Audience `json:"aud"`
	Session  string        `json:"sid"`
}

// readHint verifies an ID token of ours that comes back (OpenID Connect Core §3.1.2.1). It may have expired. The key is the one its kid
// names among ours and no other: jwk, jku and x5u in its header mean nothing, and neither does another algorithm than the key's own.
func (p *Provider) readHint(ctx context.Context, token, clientID string) (hint, bool) {
	var h hint
	if len(token) > longToken {
		return h, false
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	if err != nil || len(parsed.Signatures) != 1 {
		return h, false
	}
	if same, err := parsed.CompactSerialize(); err != nil || same != token {
		return h, false // the library takes blanks within, and bits behind the signature (RFC 7515 §3.1, §2: neither is there)
	}
	header := parsed.Signatures[0].Protected
	k := p.keyNamed(ctx, header.KeyID)
	if k == nil || header.Algorithm != k.Alg || header.ExtraHeaders[jose.HeaderType] != "JWT" {
		return h, false
	}
	payload, err := parsed.Verify(k.public)
	if err != nil || json.Unmarshal(payload, &h) != nil {
		return hint{}, false
	}
	if h.Issuer != p.c.Issuer || h.Subject == "" || len(h.Audience) == 0 || clientID != "" && !slices.Contains(h.Audience, clientID) {
		return hint{}, false
	}
	return h, true
}
