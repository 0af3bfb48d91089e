package provider
import "testing"
func TestDbg(t *testing.T){
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	for range 20 {
	code := b.authorize("client_id", "graceful", "redirect_uri", "https://graceful.example.com/cb", "scope", "openid offline_access").code()
	first := b.tokenAs("graceful", "graceful-secret", "grant_type", "authorization_code", "code", code, "redirect_uri", "https://graceful.example.com/cb", "code_verifier", verifier).tokens()
	good := together(20, func() answer {
		a := (&browser{h, nil}).tokenAs("graceful", "graceful-secret", "grant_type", "refresh_token", "refresh_token", first.refresh)
		if a.StatusCode != 200 {  t.Log(a.StatusCode, a.body) }
		return a
	})
	t.Log(len(good))
	}
}
