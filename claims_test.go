package sparekey_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
)

// staff is a directory of one, with an attribute of the host program's own.
type staff struct{ user directory.User }

func (s staff) Find(_ context.Context, login string) (directory.User, error) {
	if login != s.user.Login {
		return directory.User{}, directory.ErrNotFound
	}
	return s.user, nil
}

func (s staff) Get(_ context.Context, id directory.UserID) (directory.User, error) {
	if id != s.user.ID {
		return directory.User{}, directory.ErrNotFound
	}
	return s.user, nil
}

func (s staff) VerifyPassword(_ context.Context, _ directory.User, given string) (directory.Verdict, error) {
	if given != password {
		return directory.Wrong, nil
	}
	return directory.Right, nil
}

// What a file says of a client's claims, ways to be answered and grace is what the client meets.
func TestAClientHasTheClaimsTheAnswersAndTheGraceOfItsConfiguration(t *testing.T) {
	h := open(t, bring(staff{directory.User{ID: "1", Login: "hulk", Name: "Bruce Banner", Attrs: map[string][]string{"dept": {"Gamma"}, "l": {"Dayton"}}}}), with(func(t *sparekey.Tenant) {
		t.Policies = nil
		t.Administrators = sparekey.Groups{}
		wiki := &t.Clients[0]
		wiki.Claims = map[string]string{"department": "dept", "address.locality": "l"}
		wiki.ResponseModes, wiki.RefreshGrace = []string{"query", "fragment"}, sparekey.Duration(20*time.Second)
	}))
	b := h.browser()
	first := h.redeem(b.signIn("hulk", password))
	r, _ := http.NewRequest(http.MethodGet, h.meta("avengers")["userinfo_endpoint"].(string), nil)
	r.Header.Set("Authorization", "Bearer "+h.redeem(b.authorize("scope", "openid", "claims", `{"userinfo":{"department":null,"address":null,"name":null}}`)).Access)
	res, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var info struct {
		Name, Department string
		Address          map[string]string
		Username         string `json:"preferred_username"`
	}
	if err := json.NewDecoder(res.Body).Decode(&info); err != nil || info.Department != "Gamma" || info.Address["locality"] != "Dayton" || info.Name != "Bruce Banner" || info.Username != "" {
		t.Errorf("%+v %v", info, err)
	}
	if again := h.refresh(first.Refresh); again.status != http.StatusOK {
		t.Error(again.raw)
	} else if late := h.refresh(first.Refresh); late.status != http.StatusOK || late.Refresh != again.Refresh {
		t.Errorf("inside the grace: %s", late.raw)
	}
	if at := b.authorize("response_mode", "form_post"); at.query("error") != "invalid_request" {
		t.Errorf("an answer that is not the client's: %q", at.location)
	}
	modes, _ := h.meta("avengers")["response_modes_supported"].([]any)
	if len(modes) != 3 {
		t.Errorf("discovery tells %v", modes)
	}
}
