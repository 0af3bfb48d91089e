package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// grant is what one end-user lets one client do, from the moment a code is made for it: one record for the code, for the access tokens
// and for the family of refresh tokens. It lies on its shelf under the digest of the code, so that a code which comes a second time finds
// what the first one began, for as long as any of it lives. Its owner is the user. A client that acts for itself has grants without one.
type grant struct {
	Client  string           `json:"client"`
	User    string           `json:"user"`
	Subject string           `json:"subject"`
	Epoch   int64            `json:"epoch"`
	Session string           `json:"session"` // the public id, sid
	Held    string           `json:"held"`    // the same session's key on its shelf
	At      time.Time        `json:"at"`      // auth_time; the absolute limit of refreshing counts from here
	Proofs  []identity.Proof `json:"proofs,omitempty"`
	AMR     []string         `json:"amr,omitempty"`
	Scopes  []string         `json:"scopes"`
	Wants   wants            `json:"wants,omitzero"`
	Offline bool             `json:"offline,omitempty"` // it outlives the session, and has a refresh token

	Code   *code    `json:"code,omitempty"` // until it is redeemed
	Access accesses `json:"access,omitempty"`

	Refresh string    `json:"refresh,omitempty"` // digest of the refresh token that is good now
	Rotated time.Time `json:"rotated,omitzero"`  // when that was made
	Before  string    `json:"before,omitempty"`  // digest of the one before it; for a client with a grace
	Sealed  []byte    `json:"sealed,omitempty"`  // the one that is good now; for a client with a grace
}

// codeFor is how long a code waits for its client (RFC 6749 §4.1.2 allows ten minutes).
const codeFor = time.Minute

// code is what an authorization code has to be redeemed with.
type code struct {
	Redirect  string `json:"redirect"`
	Challenge string `json:"challenge,omitempty"`
	Nonce     string `json:"nonce,omitempty"`
}

// access is an access token.
type access struct {
	Digest string
	Until  time.Time
	Scopes []string // where they are fewer than the grant's
}

// accesses are a grant's access tokens, oldest first. They are stored as one text, since there may be many and a grant is read at every use
// of one of them: digest, microseconds and scopes of each, with spaces between, and semicolons between the tokens.
type accesses []access

// MarshalText is how they are stored.
func (a accesses) MarshalText() ([]byte, error) {
	var text []byte
	for i, one := range a {
		if i > 0 {
			text = append(text, ';')
		}
		text = append(text, one.Digest...)
		text = strconv.AppendInt(append(text, ' '), store.Micros(one.Until), 10)
		for _, scope := range one.Scopes {
			text = append(append(text, ' '), scope...)
		}
	}
	return text, nil
}

// UnmarshalText reads what MarshalText wrote.
func (a *accesses) UnmarshalText(text []byte) error {
	*a = make(accesses, 0, 1+bytes.Count(text, []byte(";")))
	for one := range strings.SplitSeq(string(text), ";") {
		digest, rest, _ := strings.Cut(one, " ")
		until, scopes, _ := strings.Cut(rest, " ")
		micros, err := strconv.ParseInt(until, 10, 64)
		if err != nil {
			return fmt.Errorf("an access token's end: %w", err)
		}
		token := access{Digest: digest, Until: store.Time(micros)}
		if scopes != "" {
			token.Scopes = strings.Fields(scopes)
		}
		*a = append(*a, token)
	}
	return nil
}

// An access token is the key of its grant, which opens nothing, and 256 random bits. A refresh token has a MAC behind these, so that one
// of ours that is good no more can be told from what somebody made up. Their digests alone are kept.
const (
	keyLength     = 43
	accessLength  = 2 * keyLength
	refreshLength = 3 * keyLength
	mostAccess    = 32 // living access tokens of one grant; a further one ends the oldest
)

func (p *Provider) newRefresh(key string) string {
	random := secret.Token()
	return key + random + p.refreshing.Sum(key, random)
}

// keyOfRefresh is the key in a refresh token of ours.
func (p *Provider) keyOfRefresh(token string) (string, bool) {
	if len(token) != refreshLength || !unreserved(token) {
		return "", false
	}
	key, random, sum := token[:keyLength], token[keyLength:accessLength], token[accessLength:]
	return key, p.refreshing.Check(sum, key, random)
}

// keyOfAccess is the key in what looks like an access token.
func keyOfAccess(token string) (string, bool) {
	if len(token) != accessLength || !unreserved(token) {
		return "", false
	}
	return token[:keyLength], true
}

// authentication is what the grant rests on.
func (g *grant) authentication() identity.Authentication {
	return identity.Authentication{Session: g.Session, User: g.User, Subject: g.Subject, Epoch: g.Epoch, At: g.At, Proofs: g.Proofs, AMR: g.AMR}
}

// admit adds an access token and forgets those that have ended.
func (g *grant) admit(token string, scopes []string, now, until time.Time) {
	if slices.Equal(scopes, g.Scopes) {
		scopes = nil
	}
	living := make(accesses, 0, len(g.Access)+1)
	for _, a := range g.Access {
		if now.Before(a.Until) {
			living = append(living, a)
		}
	}
	living = append(living, access{secret.Digest(token), until, scopes})
	g.Access = living[max(0, len(living)-mostAccess):]
}

// holds finds a living access token, its scopes filled in.
func (g *grant) holds(token string, now time.Time) (access, bool) {
	digest := secret.Digest(token)
	for _, a := range g.Access {
		if secret.Equal(a.Digest, digest) && now.Before(a.Until) {
			if a.Scopes == nil {
				a.Scopes = g.Scopes
			}
			return a, true
		}
	}
	return access{}, false
}

// refreshable is when the grant's refresh token is over: unused too long, or too long after sign-in.
func (p *Provider) refreshable(g *grant) time.Time {
	if !g.Offline {
		return time.Time{}
	}
	idle, absolute := g.Rotated.Add(p.c.RefreshIdle), g.At.Add(p.c.RefreshAbsolute)
	if absolute.Before(idle) {
		return absolute
	}
	return idle
}

// until is when nothing of the grant can be good any more.
func (p *Provider) until(g *grant) time.Time {
	end := p.refreshable(g)
	for _, a := range g.Access {
		if a.Until.After(end) {
			end = a.Until
		}
	}
	return end
}

// addCode commits a new code and gives its value. The parked request and its flow are used up in the same transaction; store.ErrNotFound when
// somebody was first. session.ErrNone when the session has ended.
func (p *Provider) addCode(ctx context.Context, q *request, c *client, a identity.Authentication, s session.Session) (string, error) {
	value, scopes := secret.Token(), c.kept(q.Scopes) // the request may have waited
	g := grant{
		Client: c.ID, User: a.User, Subject: a.Subject, Epoch: a.Epoch, Session: a.Session, Held: s.Key, At: a.At, Proofs: a.Proofs, AMR: a.AMR,
		Scopes: scopes, Wants: q.Wants, Code: &code{q.Redirect, q.Challenge, q.Nonce},
		Offline: slices.Contains(scopes, oidc.ScopeOfflineAccess) && slices.Contains(c.Grants, string(oidc.GrantTypeRefreshToken)),
	}
	err := p.d.Store.Write(ctx, func(tx store.Tx) error {
		if q.parked != "" {
			if _, err := p.requests.Take(tx, q.parked); err != nil {
				return err
			}
			if err := p.d.Interaction.Over(tx, q.flow); err != nil {
				return err
			}
		}
		if q.Pushed != "" {
			if _, err := p.pushed.Take(tx, q.Pushed); err != nil {
				return err
			}
		}
		if !slices.Contains(s.Clients, c.ID) {
			if err := p.d.Sessions.Signed(tx, s, c.ID); err != nil {
				return err
			}
		}
		return p.grants.Add(tx, secret.Digest(value), a.User, tx.Now().Add(codeFor), g)
	})
	return value, err
}

func (p *Provider) grant(ctx context.Context, key string) (g store.Record[grant], err error) {
	err = p.d.Store.Read(ctx, func(tx store.Tx) (err error) {
		g, err = p.grants.Get(tx, key)
		return err
	})
	return g, err
}

// kill ends a grant and with it all its tokens, and journals why. One that has ended already is no error.
func (p *Provider) kill(tx store.Tx, r *http.Request, g store.Record[grant], why string) error {
	if _, err := p.grants.Take(tx, g.Key); errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	return p.d.Journal.Record(tx, audit.Event{Name: why, User: g.Value.User, Actor: "system", Client: g.Value.Client, Network: web.Network(r)})
}

// committed tells, when the connection was lost at the commit, whether t's access token is there to stay: no other change brings it (SECURITY F-09).
// A primary may show what its standby has not got yet, so it is written once more, and that commit waits for the standby.
func (p *Provider) committed(ctx context.Context, t *issued) bool {
	holds := func(g store.Record[grant]) bool { _, ok := g.Value.holds(t.access, t.at); return ok }
	if seen, err := p.grant(ctx, t.grant.Key); err != nil || !holds(seen) {
		return false
	}
	return nil == p.d.Store.Write(ctx, func(tx store.Tx) error {
		seen, err := p.grants.Get(tx, t.grant.Key)
		if err == nil && !holds(seen) {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		return p.grants.Note(tx, seen)
	})
}
