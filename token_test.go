package sparekey_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// tokens is a token response.
type tokens struct {
	status  int
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
	raw     string
}

func (h *house) token(tenant string, pairs ...string) tokens {
	h.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, h.meta(tenant)["token_endpoint"].(string), strings.NewReader(form.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if form.Get("client_id") == "" {
		r.SetBasicAuth("wiki", "wiki-secret")
	}
	res, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	out := tokens{status: res.StatusCode, raw: string(body)}
	out.read()
	return out
}

// read takes the response apart.
func (k *tokens) read() { _ = json.Unmarshal([]byte(k.raw), k) }

// redeem trades the code of a redirect for tokens.
func (h *house) redeem(p page) tokens {
	h.t.Helper()
	return h.token(h.tenant, "grant_type", "authorization_code", "code", p.query("code"), "redirect_uri", callback, "code_verifier", verifier)
}

func (h *house) refresh(token string) tokens {
	h.t.Helper()
	return h.token(h.tenant, "grant_type", "refresh_token", "refresh_token", token)
}

func (h *house) userinfo(access string) int {
	h.t.Helper()
	r, _ := http.NewRequest(http.MethodGet, h.meta(h.tenant)["userinfo_endpoint"].(string), nil)
	r.Header.Set("Authorization", "Bearer "+access)
	res, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
