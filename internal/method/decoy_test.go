package method

import (
	"encoding/json"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
)

func TestRS13_EvenTheRightGuessAtACodeNobodyGotProvesNothing(t *testing.T) {
	m := Email{MAC: secret.NewRing().MAC("email/avengers")}
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	decoy := Claimant{For: identity.Reset, Flow: "flow-1", Now: now, Address: "nobody@nowhere.example"}
	mistyped := decoy
	mistyped.User = directory.User{ID: "id-ironman"}
	mistyped.Authenticators = []identity.Authenticator{{ID: "mail-1", Kind: identity.Email, Data: []byte("ironman@stark.example")}}
	empty := mistyped
	empty.Authenticators = []identity.Authenticator{{Kind: identity.Email}, {ID: "mail-2", Kind: identity.Email}}
	for name, who := range map[string]Claimant{"a decoy": decoy, "a user who mistyped her address": mistyped, "a user whose addresses are blank": empty} {
		issued, code := m.issue(who, string(who.For), "", "") // what Challenge does when there is nobody to write to
		s, err := json.Marshal(issued)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Verify(t.Context(), who, s, url.Values{"code": {code}}); !errors.Is(err, ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, x := range map[string]struct {
		user    directory.UserID
		held    identity.Authenticator
		address string
	}{
		"an authenticator without an address": {"id-ironman", identity.Authenticator{ID: "mail-2", Kind: identity.Email}, ""},
		"an authenticator without an id":      {"id-ironman", identity.Authenticator{Kind: identity.Email, Data: []byte("ironman@stark.example")}, "ironman@stark.example"},
		"an authenticator of nobody":          {"", identity.Authenticator{ID: "mail-2", Kind: identity.Email, Data: []byte("ironman@stark.example")}, "ironman@stark.example"},
	} {
		who := decoy
		who.User.ID, who.Authenticators = x.user, []identity.Authenticator{x.held}
		issued, code := m.issue(who, string(who.For), x.held.ID, x.address)
		s, err := json.Marshal(issued)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Verify(t.Context(), who, s, url.Values{"code": {code}}); !errors.Is(err, ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
