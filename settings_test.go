package sparekey

import (
	"reflect"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/config"
)

// What the wing to relying parties reads of its settings, a file can say: a setting that nobody can reach is a constant.
func TestEverySettingOfTheProviderComesFromAFile(t *testing.T) {
	whole := Tenant{Issuer: "https://login.example.com", Languages: []string{"de"},
		Tokens: Tokens{Access: config.Duration(time.Minute), ID: config.Duration(time.Minute), RefreshIdle: config.Duration(time.Hour), RefreshAbsolute: config.Duration(time.Hour)},
		Clients: []Client{{ID: "wiki", Name: "Wiki", Secret: NewSecret("s"), Public: true, RedirectURIs: []string{"com.example.wiki:/cb"}, PostLogoutURIs: []string{"x"}, AuthMethod: "none", IDTokenAlg: "ES256",
			Grants: []string{"authorization_code"}, Scopes: []string{"openid"}, PKCE: "required", Groups: []string{"Staff"}, ClaimsInID: true, Claims: map[string]string{"team": "team"},
			ResponseModes: []string{"fragment"}, RefreshGrace: config.Duration(time.Second), Pushed: true, ResourceServer: true}}}
	c := whole.provider()
	for _, v := range []reflect.Value{reflect.ValueOf(c), reflect.ValueOf(c.Clients[0])} {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%v.%s is never set", v.Type(), v.Type().Field(i).Name)
			}
		}
	}
}
