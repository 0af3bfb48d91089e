package local

import (
	"errors"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"golang.org/x/text/unicode/norm"
)

func TestLoginsAreComparedByTheirKeys(t *testing.T) {
	for typed, want := range map[string]string{
		"ironman": "ironman", "IronMan": "ironman", "  ironman\t\n": "ironman", "\u00a0ironman\u3000": "ironman",
		"ｉｒｏｎｍａｎ": "ironman", "ﬁona": "fiona", "Straße": "strasse", "ΣΊΣΥΦΟΣ": "σίσυφοσ", "Ärger": "ärger", "A\u0308rger": "ärger",
		"tony stark": "tony stark", "tony@stark.example": "tony@stark.example", "\u212aelvin": "kelvin", "İstanbul": "i̇stanbul", "ıronman": "ıronman",
		"o'neil": "o'neil", "*": "*", "山田": "山田", "①": "1",
	} {
		if got, ok := loginKey(typed); !ok || got != want {
			t.Errorf("loginKey(%q) = %q, %v, want %q", typed, got, ok, want)
		}
	}
	for _, typed := range []string{
		"", " ", "\u3000", "\x00", "iron\x00man", "iron\nman", "iron\u200bman", "iron\u00adman", "iron\u2066man", "iron\ufe0fman", "\u115f", "\u3164", "\ufeffironman",
		"iron\x7fman", "\xff", "iron\xc0\xafman", "\ufffd", "\ue000", "\U000e0041", strings.Repeat("a", 257), strings.Repeat("ﷺ", 100), strings.Repeat("a", 10_000_000),
	} {
		if got, ok := loginKey(typed); ok || got != "" {
			t.Errorf("loginKey(%.60q) = %.60q, %v, want none", typed, got, ok)
		}
	}
}

func TestA11_LoginsThatOnlyLookAlikeStayApart(t *testing.T) {
	seen := map[string]string{}
	for _, login := range []string{"paypal", "pаypal", "раураl", "paypa1", "paypaI", "ironman", "ıronman", "i̇ronman", "irönman", "iron man", "iron-man", "iron.man", "iron_man", "1ronman"} {
		key, ok := loginKey(login)
		if !ok {
			t.Errorf("loginKey(%q): none", login)
		}
		if other, taken := seen[key]; taken {
			t.Errorf("%q and %q have the one key %q", login, other, key)
		}
		seen[key] = login
	}
}

func TestA11_AddressesDifferInMoreThanTheCaseOfASCII(t *testing.T) {
	for typed, want := range map[string]string{
		"Tony@Stark.Example": "tony@stark.example", " tony@stark.example\n": "tony@stark.example", "tony+x@stark.example": "tony+x@stark.example",
		"\u212aelvin@stark.example": "\u212aelvin@stark.example", "mıke@stark.example": "mıke@stark.example", "ÄRGER@stark.example": "Ärger@stark.example",
		"tony@ｓtark.example": "tony@ｓtark.example",
	} {
		if got, ok := emailKey(typed); !ok || got != want {
			t.Errorf("emailKey(%q) = %q, %v, want %q", typed, got, ok, want)
		}
	}
	for _, typed := range []string{
		"", "tony", "@stark.example", "tony@", "tony@a@b", "tony@stark.example,eve@evil.example", "tony@stark.example eve@evil.example",
		"Tony <tony@stark.example>", "tony@stark.example\r\nBcc: eve@evil.example", "tony@stark.example\x00", "team: tony@stark.example;", `"to ny"@stark.example`,
		"tony(x)@stark.example", "tony@[127.0.0.1]", "tony@.example", "tony@example.", "to..ny@example.com", "tony\u200b@stark.example", "\xff@stark.example",
		strings.Repeat("a", 250) + "@b.example", "tony;eve@stark.example", "tony@stark.example\u2028",
	} {
		if got, ok := emailKey(typed); ok || got != "" {
			t.Errorf("emailKey(%.60q) = %.60q, %v, want none", typed, got, ok)
		}
	}
}

func TestPhoneNumbersAreKeptAsE164(t *testing.T) {
	for typed, want := range map[string]string{"+441632960000": "+441632960000", "+44 (1632) 960-000": "+441632960000", "+1.212.555.0100": "+12125550100"} {
		if got, ok := phoneKey(typed); !ok || got != want {
			t.Errorf("phoneKey(%q) = %q, %v, want %q", typed, got, ok, want)
		}
	}
	for _, typed := range []string{"", "+", "01632960000", "441632960000", "+01632960000", "+123456", "+1234567890123456", "+44x1632960000", "++441632960000", "+44１632960000", "+44163296\n0000"} {
		if got, ok := phoneKey(typed); ok || got != "" {
			t.Errorf("phoneKey(%q) = %q, %v, want none", typed, got, ok)
		}
	}
}

// alike are names that some engines, collations or foldings take for one another.
var alike = []string{
	"ironman", "IRONMAN", "ｉronman", "ironman ", "ıronman", "İronman", "i̇ronman", "írónmán", "iro\u0301nman", "irónman", "ironmän", "iron man", "iron  man", "iron-man", "iron_man",
	"iron%", "iron\\", "irоnman", "ŀ", "l·", "straße", "strasse", "STRASSE", "straẞe", "ﬁona", "fiona", "ﬀ", "ff", "Kelvin", "\u212aelvin", "σίσυφος", "σίσυφοσ", "ΣΊΣΥΦΟΣ",
	"日本", "日\u3000本", "日 本", "①", "1", "١", "½", "1⁄2", "Ω", "Ω", "ǆ", "Ǆ", "dž", "ÿ", "Ÿ", "ye\u0308", "å", "Å", "a\u030a", "ae", "æ", "Æ", "o", "ø", "oe", "œ", "é", "e", "🔑", "🔒",
	"ا", "أ", "ά", "α", "ﾊﾝ", "ハン", "ハ\u3099ン", "バン", "はん", "Ⅷ", "viii", "x²", "x2", "null", "NULL", "0", "00", "tony@stark.example", "TONY@STARK.EXAMPLE",
}

func TestZ12_BothEnginesKeepTheSameNamesApart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		ids := map[string]directory.UserID{}
		for _, login := range alike {
			key, ok := loginKey(login)
			if !ok {
				t.Fatalf("loginKey(%q): none", login)
			}
			u, err := b.Add(t.Context(), NewUser{Login: login})
			switch _, taken := ids[key]; {
			case taken && !errors.Is(err, ErrExists):
				t.Errorf("adding %q, which is there already as %q: %v, want ErrExists", login, key, err)
			case !taken && err != nil:
				t.Errorf("adding %q: %v", login, err)
			case !taken:
				ids[key] = u.ID
			}
		}
		for _, login := range alike {
			key, _ := loginKey(login)
			if u, err := b.Find(t.Context(), login); err != nil || u.ID != ids[key] {
				t.Errorf("Find(%q) is %q, %v, want the user with the key %q", login, u.Login, err, key)
			}
		}
		if all, err := b.List(t.Context()); err != nil || len(all) != len(ids) {
			t.Errorf("there are %d users, %v, want %d", len(all), err, len(ids))
		}
	})
}

func FuzzZ12_Names(f *testing.F) {
	for _, name := range alike {
		f.Add(name, "ironman")
	}
	f.Add("tony@stark.example\r\nx", "TONY@stark.example")
	f.Add("+44 1632 960000", "\u0345\u0301a")
	f.Fuzz(func(t *testing.T, a, b string) {
		keyA, okA := loginKey(a)
		keyB, okB := loginKey(b)
		if !okA && keyA != "" || okA && keyA == "" {
			t.Errorf("loginKey(%q) = %q, %v", a, keyA, okA)
		}
		if again, ok := loginKey(keyA); okA && (again != keyA || !ok) {
			t.Errorf("loginKey(%q) = %q, and that has the key %q, %v", a, keyA, again, ok)
		}
		if okA && (strings.ContainsFunc(keyA, unicode.IsControl) || keyA != strings.TrimSpace(keyA) || !norm.NFKC.IsNormalString(keyA)) {
			t.Errorf("loginKey(%q) = %q", a, keyA)
		}
		for _, same := range []string{norm.NFC.String(a), norm.NFD.String(a), " " + a + "\n", upperASCII(a)} {
			if key, _ := loginKey(same); okA && len(same) <= 4*maxLogin && key != keyA {
				t.Errorf("%q has the key %q, %q has %q", a, keyA, same, key)
			}
		}
		if okA && okB && keyA != keyB && a == b {
			t.Errorf("%q has two keys", a)
		}
		mailA, okA := emailKey(a)
		mailB, okB := emailKey(b)
		if again, ok := emailKey(mailA); okA && (again != mailA || !ok) {
			t.Errorf("emailKey(%q) = %q, and that has the key %q, %v", a, mailA, again, ok)
		}
		if okA && okB && (mailA == mailB) != (upperASCII(strings.Trim(a, " \t\r\n")) == upperASCII(strings.Trim(b, " \t\r\n"))) {
			t.Errorf("the addresses %q and %q have the keys %q and %q", a, b, mailA, mailB)
		}
		if okA {
			if strings.ContainsAny(mailA, "\r\n\x00,;<> ") || strings.Count(mailA, "@") != 1 {
				t.Errorf("emailKey(%q) = %q", a, mailA)
			}
			if list, err := mail.ParseAddressList(mailA); err == nil && (len(list) != 1 || list[0].Address != mailA) {
				t.Errorf("emailKey(%q) = %q, which a mail program reads as %v", a, mailA, list)
			}
		}
		if phone, ok := phoneKey(a); ok {
			if again, _ := phoneKey(phone); again != phone || slices.ContainsFunc([]byte(phone[1:]), func(c byte) bool { return c < '0' || c > '9' }) {
				t.Errorf("phoneKey(%q) = %q", a, phone)
			}
		}
	})
}

func upperASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r + 'A' - 'a'
		}
		return r
	}, s)
}
