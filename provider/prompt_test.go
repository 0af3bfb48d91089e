package provider

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestPromptNoneNeverAsks(t *testing.T) {
	h := newHouse(t)
	h.browser().authorize("prompt", "none").refusal("login_required")
	b := h.browser()
	b.signedIn(ironman)
	b.authorize("prompt", "none").code()
	h.clock.Advance(time.Minute)
	b.authorize("prompt", "none", "max_age", "59").refusal("login_required")
	b.authorize("prompt", "none", "max_age", "60").code()
	b.authorize("prompt", "none", "max_age", "0").refusal("login_required")
	if len(h.guide.asked) != 0 {
		t.Error("a flow was begun")
	}
}

func TestSE06_PromptNoneMakesNoSession(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.authorize("prompt", "none").refusal("login_required")
	if len(b.cookies) != 0 || h.count("session") != 0 {
		t.Fatal(b.cookies)
	}
}

func TestPromptLoginAsksAgainAndAuthTimeIsLater(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	first := b.claimsOf(b.authorize())
	h.clock.Advance(2 * time.Second)
	b.authorize("prompt", "login")
	if q := h.guide.asked[h.guide.last]; !q.Again {
		t.Fatal("the session counts")
	}
	second := b.claimsOf(b.get(b.walk(ironman)))
	if second["auth_time"].(float64) != first["auth_time"].(float64)+2 || second["sid"] == first["sid"] || second["sub"] != first["sub"] {
		t.Errorf("%v\n%v", first, second)
	}
}

func TestMaxAgeAsksAgainOnceItHasPassed(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	b.authorize("max_age", "0") // at this very moment, too
	if q := h.guide.asked[h.guide.last]; !q.Again {
		t.Error("max_age=0 is not prompt=login")
	}
	for age, again := range map[int]bool{0: true, 1: true, 2: false, 10000: false} {
		h.clock.Set(time.Date(2026, 6, 1, 12, 0, 2, 0, time.UTC))
		to := b.authorize("max_age", strconv.Itoa(age)).location()
		if begun := strings.Contains(to.Path, "/flow/"); begun != again {
			t.Errorf("max_age=%d after 2 s: %s", age, to)
		} else if begun && !h.guide.asked[h.guide.last].Again {
			t.Errorf("max_age=%d: the session counts", age)
		}
	}
}

func TestAPromptThatWasNotMetGivesNoCode(t *testing.T) {
	h := newHouse(t)
	for _, age := range []time.Duration{0, time.Hour} {
		b := h.browser()
		s := b.signedIn(ironman)
		h.clock.Advance(age)
		b.authorize("prompt", "login")
		// A flow that hands back the session there was, as if nothing had been asked (CVE-2023-6787).
		a := authentication(s)
		a.Request = h.guide.asked[h.guide.last]
		h.guide.out[h.guide.last] = a
		b.cookies["walker"] = h.guide.last
		b.get("/avengers" + a.Request.Return + "&flow=" + h.guide.last).refusal("login_required")
	}
	t.Run("nor one that is new and says it is old", func(t *testing.T) {
		b := h.browser()
		b.signedIn(ironman)
		b.authorize("prompt", "login")
		back := b.walk(ironman)
		a := h.guide.out[h.guide.last]
		a.At = a.At.Add(-time.Minute)
		h.guide.out[h.guide.last] = a
		b.get(back).refusal("login_required")
	})
}

func TestSelectAccountAlwaysAsks(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	b.authorize("prompt", "select_account")
	if q := h.guide.asked[h.guide.last]; !q.Choose || q.Again {
		t.Fatalf("%+v", q)
	}
	if claims := b.claimsOf(b.get(b.walk(pepper))); claims["sub"] != "subject-of-pepper" {
		t.Error(claims)
	}
}

func TestAnIDTokenHintNamesWhoMayAnswer(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted()
	b.authorize("prompt", "none", "id_token_hint", tk.id).code()
	h.clock.Advance(24 * time.Hour)
	b.signedIn(ironman)
	b.authorize("prompt", "none", "id_token_hint", tk.id).code() // it may have expired

	other := h.browser()
	other.signedIn(pepper)
	other.authorize("prompt", "none", "id_token_hint", tk.id).refusal("login_required")
	other.authorize("id_token_hint", tk.id)
	if q := h.guide.asked[h.guide.last]; q.Subject != ironmanSub || !q.Again {
		t.Fatalf("%+v", q)
	}
	other.get(other.walk(pepper)).refusal("login_required") // SE-07: nobody else goes on with it

	other.authorize("id_token_hint", tk.id)
	other.get(other.walk(ironman)).code()

	t.Run("its aud is checked", func(t *testing.T) {
		b.authorize("id_token_hint", tk.id, "client_id", "spa", "redirect_uri", "https://spa.example.com/cb").refusal("invalid_request")
	})
}

func TestSE07_ClaimsThatNameASubjectBindTheAnswerToIt(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	b.authorize("prompt", "none", "claims", `{"id_token":{"sub":{"value":"`+ironmanSub+`"}}}`).code()
	b.authorize("prompt", "none", "claims", `{"id_token":{"sub":{"value":"subject-of-pepper"}}}`).refusal("login_required")
}

func TestAnEssentialACRThatIsNotReachedIsAnError(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	b.authorize("claims", `{"id_token":{"acr":{"essential":true,"values":["aal2"]}}}`).refusal("unmet_authentication_requirements")
	b.authorize("claims", `{"id_token":{"acr":{"essential":true,"values":["aal1","aal2"]}}}`).code()
	b.authorize("claims", `{"id_token":{"acr":{"essential":true}}}`).code()
	b.authorize("claims", `{"id_token":{"acr":{"values":["aal2"]}}}`).code() // wished for only
}
