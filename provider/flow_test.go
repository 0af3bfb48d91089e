package provider

import (
	"testing"
)

func TestTheWholeFlowFromAuthorizeToUserinfo(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted("scope", "openid profile email")
	claims := h.verified(tk.id)
	t.Log(claims)
	t.Log(b.userinfo(tk.access).body)
}
