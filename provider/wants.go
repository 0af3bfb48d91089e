package provider

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// wants is what the claims parameter asks for beyond scopes (OpenID Connect Core §5.5). Of a claim that is asked for by name, the value is the
// one there is, whatever value was wished for; only acr and sub are demands (§5.5.1.1, §3.1.2.2). auth_time and acr are in every ID token.
type wants struct {
	UserInfo []string `json:"userinfo,omitempty"`
	IDToken  []string `json:"id_token,omitempty"`
	ACR      []string `json:"acr,omitempty"`      // essential: one of these, or the request fails
	Subjects []string `json:"subjects,omitempty"` // nobody else may answer
}

// What a claims parameter may hold. How long it may be is the same for every parameter.
const (
	mostDepth  = 6 // of objects and arrays; four mean something
	mostClaims = 100
)

// ask is what may be said of one claim (§5.5.1). Other members are ignored.
type ask struct {
	essential bool
	values    []json.RawMessage // value, or values
}

var badClaims = "claims is not what OpenID Connect Core 5.5 describes"

// read takes the claims parameter. A claim is given only where the client may ask for its scope; names that mean nothing are ignored (§5.5).
func (w *wants) read(text string, c *client) *failure {
	if text == "" {
		return nil
	}
	asked, ok := members(json.RawMessage(text))
	if !ok || asked == nil || !plainJSON(text) {
		return invalidRequest(badClaims)
	}
	userinfo, ok := asks(asked["userinfo"])
	if !ok {
		return invalidRequest(badClaims)
	}
	inToken, ok := asks(asked["id_token"])
	if !ok {
		return invalidRequest(badClaims)
	}
	for _, list := range []map[string]ask{userinfo, inToken} {
		if f := w.demandSubject(list["sub"]); f != nil {
			return f
		}
	}
	if acr := inToken["acr"]; acr.essential && len(acr.values) > 0 {
		if w.ACR, ok = texts(acr.values); !ok {
			return invalidRequest(badClaims)
		}
	}
	w.UserInfo, w.IDToken = c.among(userinfo), c.among(inToken)
	return nil
}

// demandSubject notes that the answer has to be of one of the end-users named (§5.5.1). Two demands that leave nobody are a mistake.
func (w *wants) demandSubject(sub ask) *failure {
	if len(sub.values) == 0 {
		return nil
	}
	named, ok := texts(sub.values)
	if !ok || slices.Contains(named, "") {
		return invalidRequest(badClaims)
	}
	if w.Subjects != nil {
		named = slices.DeleteFunc(named, func(s string) bool { return !slices.Contains(w.Subjects, s) })
	}
	if w.Subjects = named; len(named) == 0 {
		return invalidRequest("claims names two subjects")
	}
	return nil
}

// among are those claims of a list that the client may be given, in order.
func (c *client) among(list map[string]ask) (names []string) {
	for name := range list {
		if c.mayHave(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// mayHave reports whether the client may ask for the scope that covers a claim.
func (c *client) mayHave(name string) bool {
	scope := c.scopeOf(name)
	return scope != "" && slices.Contains(c.Scopes, scope)
}

// scopeOf is the scope under which the client is given a claim; empty: there is no such claim.
func (c *client) scopeOf(name string) string {
	if scope, standard := scopeOf[name]; standard {
		return scope
	}
	if _, mapped := c.Claims[name]; mapped && !strings.Contains(name, ".") {
		return oidc.ScopeProfile
	}
	return ""
}

// excludes reports whether somebody may not answer, since the request is for somebody else.
func (q *request) excludes(subject string) bool {
	return q.Subject != "" && q.Subject != subject || len(q.Wants.Subjects) > 0 && !slices.Contains(q.Wants.Subjects, subject)
}

// asks reads the claims of userinfo or id_token; none when it is not there.
func asks(raw json.RawMessage) (map[string]ask, bool) {
	list, ok := members(raw)
	if !ok || len(list) > mostClaims {
		return nil, false
	}
	all := map[string]ask{}
	for name, raw := range list {
		said, ok := members(raw)
		if !ok {
			return nil, false
		}
		var one ask
		if e, there := said["essential"]; there && json.Unmarshal(e, &one.essential) != nil {
			return nil, false
		}
		if v, there := said["values"]; there && (json.Unmarshal(v, &one.values) != nil || len(one.values) == 0) {
			return nil, false
		}
		if v, there := said["value"]; there {
			one.values = append(one.values, v)
		}
		all[name] = one
	}
	return all, true
}

// members are those of an object by their exact names, which json.Unmarshal would not keep to in a struct. An object that is left out, or null, has none.
func members(raw json.RawMessage) (m map[string]json.RawMessage, ok bool) {
	return m, len(raw) == 0 || json.Unmarshal(raw, &m) == nil
}

func texts(raw []json.RawMessage) ([]string, bool) {
	var all []string
	for _, one := range raw {
		var s *string
		if json.Unmarshal(one, &s) != nil || s == nil {
			return nil, false
		}
		all = append(all, *s)
	}
	return all, true
}

// plainJSON reports whether a text is one value that means the same to every reader: no name is there twice in an object (RFC 8259 §4), and nothing is nested
// deeper than anything could mean.
func plainJSON(text string) bool {
	d := json.NewDecoder(strings.NewReader(text))
	if !plainValue(d, 0) {
		return false
	}
	_, err := d.Token()
	return err == io.EOF
}

func plainValue(d *json.Decoder, depth int) bool {
	t, err := d.Token()
	open, nested := t.(json.Delim)
	switch {
	case err != nil || depth > mostDepth:
		return false
	case !nested:
		return true
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			key, _ := name.(string)
			if err != nil || seen[key] {
				return false
			}
			seen[key] = true
		}
		if !plainValue(d, depth+1) {
			return false
		}
	}
	_, err = d.Token() // the end
	return err == nil
}
