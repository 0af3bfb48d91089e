package config

import (
	"fmt"
	"testing"
)

// A program that fills a config itself is held to the same words as a file.
func TestWordsOfAProgramsConfigAreThoseOfAFile(t *testing.T) {
	good := file{Mail: &mail{}, Tenants: map[string]*tenant{"a": {Policies: []rule{{Methods: map[string]method{"email": {For: []string{"reset"}}}}}}, "b": nil}}
	good.Mail.SMTP.TLS = "implicit"
	bad := file{Mail: &mail{}, Tenants: map[string]*tenant{"a": {Policies: []rule{{At: registration{Needs: "nothing"}, Methods: map[string]method{"email": {For: []string{"reset", "signin"}}}}}}}}
	bad.Mail.SMTP.TLS = "ssl"
	for _, c := range []struct {
		of   any
		want []string
	}{
		{file{}, nil}, {&good, nil},
		{bad, []string{
			`mail.smtp.tls: "ssl" is not one of mandatory, implicit, none`,
			`tenants.a.policies[0].methods.email.for[1]: "signin" is not one of sign_in, reset; did you mean "sign_in"?`,
			`tenants.a.policies[0].registration.needs: "nothing" is not one of password, email, pass`,
		}},
	} {
		var got []string
		Words(c.of, func(path, format string, args ...any) { got = append(got, path+": "+fmt.Sprintf(format, args...)) })
		expect(t, got, c.want...)
	}
}
