package method

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// TOTP is the authenticator app (RFC 6238): SHA-1, six digits, 30 seconds, one step either side, no step twice.
// The authenticator's Data is the seed, 20 bytes; its row's step is the last one used.
type TOTP struct {
	Issuer string // the organisation's name in the app; empty: the claimant's Tenant
}

const (
	period   = 30
	seedSize = 20 // 160 bits (RFC 4226 §4 R6)
	appLabel = "Authenticator app"
)

// Kind is identity.TOTP.
func (TOTP) Kind() identity.Kind { return identity.TOTP }

// Traits: something held, amr otp, for everything.
func (TOTP) Traits() identity.Traits {
	return identity.Traits{Factors: []identity.Factor{identity.Have}, Uses: []identity.Use{identity.SignIn, identity.Reset, identity.Manage}, AMR: []string{"otp"}, Strength: 30}
}

// Challenge asks for the field code. Any of the user's apps may answer.
func (m TOTP) Challenge(_ context.Context, who Claimant) (templates.Prompt, State, []notify.Message, error) {
	return askApp(), nil, nil, serves(m, who.For)
}

func askApp() templates.Prompt {
	return templates.Prompt{Shape: templates.AskCode, Kind: string(identity.TOTP), Hint: appLabel}
}

// Verify finds the app and the step whose code was typed. It computes the codes of Most seeds whoever asks, so that
// neither a decoy nor the number of apps can be told by time. Spend raises the row's step to the one used,
// and is store.ErrChanged when that or a later one was used before, or when the app was deleted or suspended meanwhile.
func (m TOTP) Verify(_ context.Context, who Claimant, _ State, answer url.Values) (Result, error) {
	if err := serves(m, who.For); err != nil {
		return Result{}, err
	}
	typed, ok := digits(one(answer, "code"), 6)
	if !ok {
		return Result{}, reject("code_form")
	}
	var found string
	var used int64
	for i := range max(Most, len(who.Authenticators)) {
		seed, id := make([]byte, seedSize), ""
		if i < len(who.Authenticators) {
			if a := who.Authenticators[i]; a.Kind == identity.TOTP && !a.Suspended && a.ID != "" && len(a.Data) >= 16 {
				seed, id = a.Data, a.ID
			}
		}
		if step, ok := match(seed, typed, who.Now); ok && found == "" {
			found, used = id, step
		}
	}
	if found == "" || who.User.ID == "" {
		return Result{}, reject("wrong_code")
	}
	user := string(who.User.ID)
	return Result{Authenticator: found, Spend: func(tx store.Tx) error {
		n, err := tx.Exec(`UPDATE authenticator SET step = $4, used_at = $5 WHERE tenant = $1 AND id = $2 AND user_id = $3 AND step < $4 AND suspended_at = 0`,
			found, user, used, store.Micros(tx.Now()))
		if err != nil {
			return fmt.Errorf("spend step: %w", err)
		}
		if n == 0 {
			return errUsed()
		}
		return nil
	}}, nil
}

// match finds the latest step within one of now's whose code was typed. The latest, because the row then refuses every earlier one.
func match(seed []byte, typed string, now time.Time) (step int64, ok bool) {
	at := now.Unix() / period
	for s := at - 1; s <= at+1; s++ {
		if s > 0 && secret.Equal(code(seed, s), typed) {
			step, ok = s, true
		}
	}
	return step, ok
}

// code is the six digits of a step (RFC 4226 §5.3).
func code(seed []byte, step int64) string {
	c, err := hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(seed), uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return ""
	}
	return c
}

// pendingApp is an app that is being bound: the seed is nowhere else.
type pendingApp struct {
	ID    string `json:"id"`
	Seed  []byte `json:"seed"`
	Shown bool   `json:"shown,omitempty"` // the key was taken over; a code is asked for
}

// Offer shows a new seed as a QR code and as text; with a State it asks that stage's question again, with the same seed.
func (m TOTP) Offer(_ context.Context, who Claimant, s State) (templates.Prompt, State, []notify.Message, error) {
	if len(who.Authenticators) >= Most {
		return templates.Prompt{}, nil, nil, reject("limit")
	}
	if s != nil {
		p, err := readApp(s)
		if err != nil {
			return templates.Prompt{}, nil, nil, err
		}
		if p.Shown {
			return askApp(), s, nil, nil
		}
		prompt, err := m.show(who, p.Seed)
		return prompt, s, nil, err
	}
	p := pendingApp{ID: secret.ID(), Seed: make([]byte, seedSize)}
	rand.Read(p.Seed)
	prompt, err := m.show(who, p.Seed)
	if err != nil {
		return templates.Prompt{}, nil, nil, err
	}
	s, err = json.Marshal(p)
	return prompt, s, nil, err
}

// Bind goes on from the key to the question for a code, and from a right code to the authenticator.
// Its Step is the one just used, so that the code which bound the app opens nothing else.
func (TOTP) Bind(_ context.Context, who Claimant, s State, answer url.Values) (Bound, error) {
	p, err := readApp(s)
	if err != nil {
		return Bound{}, err
	}
	if !p.Shown {
		p.Shown = true
		next, err := json.Marshal(p)
		return Bound{State: next, Prompt: askApp()}, err
	}
	typed, ok := digits(one(answer, "code"), 6)
	if !ok {
		return Bound{}, reject("code_form")
	}
	step, ok := match(p.Seed, typed, who.Now)
	if !ok {
		return Bound{}, reject("wrong_code")
	}
	if len(who.Authenticators) >= Most {
		return Bound{}, reject("limit")
	}
	return Bound{Done: true, Authenticator: identity.Authenticator{ID: p.ID, Kind: identity.TOTP, Label: appLabel, Data: p.Seed, BoundAt: who.Now, Step: step}}, nil
}

func readApp(s State) (pendingApp, error) {
	var p pendingApp
	if err := json.Unmarshal(s, &p); err != nil || len(p.Seed) != seedSize || p.ID == "" {
		return pendingApp{}, reject("stale")
	}
	return p, nil
}

// show makes the prompt with the QR code, the key in groups of four, and the otpauth: link.
func (m TOTP) show(who Claimant, seed []byte) (templates.Prompt, error) {
	uri := m.uri(who, seed)
	picture, err := qrSVG(uri)
	if err != nil {
		return templates.Prompt{}, fmt.Errorf("draw the QR code: %w", err)
	}
	key := base32.StdEncoding.EncodeToString(seed)
	var groups []string
	for ; len(key) > 4; key = key[4:] {
		groups = append(groups, key[:4])
	}
	return templates.Prompt{Shape: templates.ShowSecret, Kind: string(identity.TOTP), Hint: appLabel, QR: template.HTML(picture),
		Key: strings.Join(append(groups, key), " "), URI: template.URL(uri)}, nil
}

// uri is the "Key Uri Format" that authenticator apps read. A colon parts issuer and account in it, so neither may hold one;
// both are kept short, or a phone could not read the picture.
func (m TOTP) uri(who Claimant, seed []byte) string {
	issuer := m.Issuer
	if issuer == "" {
		issuer = who.Tenant
	}
	plain := func(s string, n int) string {
		s = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(s, ""), ":", " ")), " ")
		if r := []rune(s); len(r) > n {
			s = string(r[:n])
		}
		return s
	}
	issuer, login := plain(issuer, 40), plain(who.User.Login, 64)
	q := url.Values{"secret": {base32.StdEncoding.EncodeToString(seed)}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {fmt.Sprint(period)}}
	escape := func(s string) string { return strings.ReplaceAll(url.PathEscape(s), "+", "%2B") }
	label := escape(login)
	if issuer != "" {
		q.Set("issuer", issuer)
		label = escape(issuer) + ":" + label
	}
	return "otpauth://totp/" + label + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}
