package provider

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/text/language"
)

// request is one authorization request (OpenID Connect Core §3.1.2.1) after every check that needs no store.
// It is also what is parked while the end-user signs in.
type request struct {
	Client    string    `json:"client"`
	Redirect  string    `json:"redirect"`
	Mode      string    `json:"mode"`
	State     string    `json:"state,omitempty"`
	Nonce     string    `json:"nonce,omitempty"`
	Challenge string    `json:"challenge,omitempty"` // PKCE, S256
	Scopes    []string  `json:"scopes"`
	Wants     wants     `json:"wants,omitzero"`
	Subject   string    `json:"subject,omitempty"` // id_token_hint: nobody else may answer
	NotBefore time.Time `json:"not_before,omitzero"`
	Session   string    `json:"session,omitempty"` // a session that may not answer: the end-user has to prove herself again

	Prompt    []string      `json:"-"`
	MaxAge    time.Duration `json:"-"` // negative: not asked
	LoginHint string        `json:"-"`
	Hint      string        `json:"-"` // id_token_hint, not verified yet
	Languages []string      `json:"-"`

	Pushed string `json:"pushed,omitempty"` // where it lies, pushed, until it is answered with a code

	parked, flow string // its id and that of its flow, once it has come back from one
}

func (q *request) asks(prompt string) bool { return slices.Contains(q.Prompt, prompt) }

// Limits on what is stored or sent back for strangers.
const (
	longest    = 4 << 10  // of one parameter
	longToken  = 16 << 10 // of an id_token_hint
	mostParked = 8 << 10  // of all parameters of a POST together
	mostScopes = 50
)

// parse reads an authorization request. The client and the redirect URI come first: while they are in doubt the answer is a page,
// whose reason is returned. pushed is the id of a request that was pushed. Afterwards every fault is a failure that goes to the relying party, and the request says where.
func (p *Provider) parse(v url.Values, pushed string) (q *request, c *client, reason string, f *failure) {
	c = p.clients[one(v, "client_id")]
	if c == nil {
		return nil, nil, "client", nil
	}
	q = &request{Client: c.ID, Redirect: one(v, "redirect_uri"), Mode: string(oidc.ResponseModeQuery), MaxAge: -1, Pushed: pushed}
	if q.Redirect == "" || !c.sendsTo(q.Redirect) {
		return nil, nil, "redirect_uri", nil
	}
	return q, c, "", q.read(v, c)
}

// read fills in the rest.
func (q *request) read(v url.Values, c *client) *failure {
	if state := one(v, "state"); len(state) <= longest {
		q.State = state
	}
	if mode := one(v, "response_mode"); mode != "" {
		if !slices.Contains(c.ResponseModes, mode) {
			return invalidRequest("this response_mode is not supported")
		}
		q.Mode = mode
	}
	for name, values := range v {
		if len(values) > 1 && known[name] {
			return invalidRequest("a parameter is there twice") // RFC 6749 §3.1
		}
		if !known[name] || len(values) == 0 {
			continue
		}
		if value := values[0]; len(value) > longToken || len(value) > longest && name != "id_token_hint" {
			return invalidRequest("a parameter is too long")
		} else if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return invalidRequest("a parameter is not text")
		}
	}
	switch {
	case v.Has("request"):
		return &failure{Code: string(oidc.RequestNotSupported), Text: "request objects are not supported"}
	case v.Has("request_uri"): // one of ours has been replaced by what it stands for
		return &failure{Code: noRequestURI, Text: "request_uri is not one of the pushed request endpoint"}
	case c.Pushed && q.Pushed == "":
		return invalidRequest("this client has to push its requests")
	case v.Has("registration"):
		return &failure{Code: noRegistration, Text: "registration is not supported"}
	case v.Get("response_type") == "":
		return invalidRequest("response_type is missing")
	case v.Get("response_type") != string(oidc.ResponseTypeCode):
		return &failure{Code: badResponseType, Text: "only response_type=code is supported"}
	case !slices.Contains(c.Grants, string(oidc.GrantTypeCode)):
		return &failure{Code: string(oidc.UnauthorizedClient), Text: "this client may not use authorization codes"}
	}
	if f := q.readScopes(v.Get("scope"), c); f != nil {
		return f
	}
	if f := q.readChallenge(v, c); f != nil {
		return f
	}
	if f := q.readPrompt(v); f != nil {
		return f
	}
	if f := q.Wants.read(v.Get("claims"), c); f != nil {
		return f
	}
	q.Nonce, q.LoginHint, q.Hint, q.Languages = v.Get("nonce"), v.Get("login_hint"), v.Get("id_token_hint"), locales(v.Get("ui_locales"))
	return nil
}

// readScopes keeps those scopes that mean something and that the client may ask for; others are ignored (OpenID Connect Core §3.1.2.1).
func (q *request) readScopes(text string, c *client) *failure {
	asked := strings.Fields(text)
	if len(asked) > mostScopes {
		return &failure{Code: string(oidc.InvalidScope), Text: "too many scopes"}
	}
	for _, s := range scopes {
		if slices.Contains(asked, s) && slices.Contains(c.Scopes, s) {
			q.Scopes = append(q.Scopes, s)
		}
	}
	if !slices.Contains(q.Scopes, oidc.ScopeOpenID) {
		return &failure{Code: string(oidc.InvalidScope), Text: "the scope openid is needed"}
	}
	return nil
}

// readChallenge takes S256 alone (RFC 7636 §4.2, RFC 9700 §2.1.1); a challenge without a method would be plain.
func (q *request) readChallenge(v url.Values, c *client) *failure {
	challenge, method := v.Get("code_challenge"), v.Get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return invalidRequest("code_challenge is missing")
	case challenge == "" && (c.Public || c.PKCERequired):
		return invalidRequest("this client needs PKCE: code_challenge is missing")
	case challenge == "":
		return nil
	case method != string(oidc.CodeChallengeMethodS256):
		return invalidRequest("code_challenge_method must be S256")
	case len(challenge) != 43 || !unreserved(challenge):
		return invalidRequest("code_challenge is not a SHA-256 in base64url")
	}
	q.Challenge = challenge
	return nil
}

func (q *request) readPrompt(v url.Values) *failure {
	q.Prompt = strings.Fields(v.Get("prompt"))
	for _, one := range q.Prompt {
		switch one {
		case oidc.PromptLogin, oidc.PromptSelectAccount, oidc.PromptConsent: // the operator consented by registering the client
		case oidc.PromptNone:
			if len(q.Prompt) > 1 {
				return invalidRequest("prompt=none goes with nothing else")
			}
		default:
			return invalidRequest("unknown prompt")
		}
	}
	if text := v.Get("max_age"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return invalidRequest("max_age is not a number of seconds")
		}
		q.MaxAge = time.Duration(n) * time.Second
	}
	return nil
}

// known are the parameters that mean something; all others are ignored (RFC 6749 §3.1).
var known = map[string]bool{
	"client_id": true, "redirect_uri": true, "state": true, "response_mode": true, "response_type": true, "scope": true, "nonce": true,
	"code_challenge": true, "code_challenge_method": true, "prompt": true, "max_age": true, "claims": true, "login_hint": true,
	"id_token_hint": true, "ui_locales": true, "acr_values": true, "display": true, "request": true, "request_uri": true, "registration": true,
}

// one is the value of a parameter that is there once, or nothing.
func one(v url.Values, name string) string {
	if len(v[name]) != 1 {
		return ""
	}
	return v[name][0]
}

// unreserved reports whether s is made of the characters of RFC 7636 §4.1.
func unreserved(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~", r))
	})
}

// locales are the language tags of a space-separated list, most wanted first; what is no tag is left out.
func locales(text string) []string {
	var tags []string
	for _, s := range strings.Fields(text) {
		if t, err := language.Parse(s); err == nil && !t.IsRoot() && len(tags) < 10 {
			tags = append(tags, t.String())
		}
	}
	return tags
}
