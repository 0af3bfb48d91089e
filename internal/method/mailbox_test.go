package method_test

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/internal/method"
)

// hostile are A11's tricks: what looks like, contains or stands beside the true address, ironman@stark.example.
var hostile = map[string]string{
	"two addresses":            "ironman@stark.example,evil@evil.example",
	"two, semicolon":           "ironman@stark.example;evil@evil.example",
	"two, space":               "ironman@stark.example evil@evil.example",
	"two, percent 20":          "ironman@stark.example%20evil@evil.example",
	"second first":             "evil@evil.example,ironman@stark.example",
	"line break and copy":      "ironman@stark.example\r\nBcc: evil@evil.example",
	"bare line feed":           "ironman@stark.example\nevil@evil.example",
	"trailing line break":      "ironman@stark.example\r\n",
	"NUL":                      "ironman@stark.example\x00",
	"NUL inside":               "ironman\x00@stark.example",
	"tab":                      "ironman@stark.example\t",
	"group":                    "friends: ironman@stark.example, evil@evil.example;",
	"empty group":              "undisclosed-recipients:;",
	"display name":             "Ironman <ironman@stark.example>",
	"display name of another":  "ironman@stark.example <evil@evil.example>",
	"angle brackets":           "<ironman@stark.example>",
	"comment":                  "ironman@stark.example(evil@evil.example)",
	"comment in local part":    "ironman(x)@stark.example",
	"quoted local part":        `"ironman"@stark.example`,
	"quoted at sign":           `"ironman@stark.example,"@evil.example`,
	"source route":             "@evil.example:ironman@stark.example",
	"percent route":            "ironman%stark.example@",
	"bang":                     "evil.example!ironman",
	"two at signs":             "ironman@stark.example@evil.example",
	"dotless i":                "\u0131ronman@stark.example",
	"dotted capital I":         "\u0130ronman@stark.example",
	"Cyrillic a":               "ironm\u0430n@stark.example",
	"full-width":               "ｉronman@stark.example",
	"long s in the host":       "ironman@\u017ftark.example",
	"Kelvin sign in the host":  "ironman@star\u212a.example",
	"full-width host":          "ironman@ｓtark.example",
	"full-width dot":           "ironman@stark。example",
	"full-width at":            "ironman＠stark.example",
	"zero-width in the local":  "iron\u200bman@stark.example",
	"zero-width in the host":   "ironman@stark\u200b.example",
	"soft hyphen in the host":  "ironman@sta\u00adrk.example",
	"combining":                "ironman\u0301@stark.example",
	"right-to-left override":   "\u202eironman@stark.example",
	"not UTF-8":                "ironman@stark.example\xff",
	"encoded word":             "=?utf-8?q?ironman?=@stark.example ",
	"array as text":            `["ironman@stark.example","evil@evil.example"]`,
	"JSON":                     `{"email":"ironman@stark.example"}`,
	"wildcard":                 "*@stark.example",
	"SQL":                      "' OR 1=1 --@stark.example",
	"address literal":          "ironman@[192.0.2.1]",
	"IPv6 literal":             "ironman@[IPv6:2001:db8::1]",
	"empty":                    "",
	"at alone":                 "@",
	"no local part":            "@stark.example",
	"no host":                  "ironman@",
	"one label":                "ironman@localhost",
	"trailing dot":             "ironman@stark.example.",
	"double dot in host":       "ironman@stark..example",
	"double dot in local part": "iron..man@stark.example",
	"leading dot":              ".ironman@stark.example",
	"dot before at":            "ironman.@stark.example",
	"hyphen label":             "ironman@-stark.example",
	"underscore host":          "ironman@st_ark.example",
	"port":                     "ironman@stark.example:25",
	"mailto":                   "mailto:ironman@stark.example",
	"long local part":          strings.Repeat("x", 65) + "@stark.example",
	"long label":               "ironman@" + strings.Repeat("x", 64) + ".example",
	"long in all":              "ironman@" + strings.Repeat("x.", 130) + "example",
}

// legal are among the tricks above, but addresses in their own right: another one than the true.
var legal = map[string]bool{"wildcard": true}

func TestA11_OnlyOnePlainAddressIsOne(t *testing.T) {
	for what, s := range hostile {
		got, err := method.Mailbox(s)
		if legal[what] {
			continue
		}
		if what == "encoded word" { // a legal dot-atom, and nothing more than that
			if got == "ironman@stark.example" {
				t.Error("an encoded word was decoded")
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: %q was taken as %q", what, s, got)
		}
	}
	for typed, want := range map[string]string{
		"ironman@stark.example": "ironman@stark.example", " ironman@stark.example ": "ironman@stark.example", "Iron.Man+tag@STARK.Example": "Iron.Man+tag@stark.example",
		"i@müller.example": "i@xn--mller-kva.example", "i@MüLLER.example": "i@xn--mller-kva.example", "o'brien@a-b.co.uk": "o'brien@a-b.co.uk", "i@xn--mller-kva.example": "i@xn--mller-kva.example",
	} {
		if got, err := method.Mailbox(typed); err != nil || got != want {
			t.Errorf("%q is %q (%v), want %q", typed, got, err, want)
		}
	}
}

func TestAMaskShowsTheFirstLetterAndTheHost(t *testing.T) {
	for address, want := range map[string]string{"ironman@stark.example": "i•••@stark.example", "x@stark.example": "•••@stark.example", "": "•••", "no address": "•••", "ı@stark.example": "•••", "a@": "•••"} {
		if got := method.Mask(address); got != want {
			t.Errorf("%q is masked as %q, want %q", address, got, want)
		}
	}
}

func FuzzMailbox(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Add("ironman@stark.example")
	f.Add("i@müller.example")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := method.Mailbox(s)
		if err != nil {
			return
		}
		if again, err := method.Mailbox(got); err != nil || again != got {
			t.Fatalf("%q is %q, and that is %q (%v)", s, got, again, err)
		}
		for _, c := range []byte(got) {
			if c <= ' ' || c > '~' {
				t.Fatalf("%q is %q", s, got)
			}
		}
		list, err := mail.ParseAddressList(got)
		if err != nil || len(list) != 1 || list[0].Address != got || list[0].Name != "" {
			t.Fatalf("%q is read as %v (%v)", got, list, err)
		}
		// What was plain ASCII may change in the host's case alone.
		if local, host, _ := strings.Cut(strings.Trim(s, " "), "@"); strings.IndexFunc(s, func(r rune) bool { return r > 126 }) < 0 && local+"@"+strings.ToLower(host) != got {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
