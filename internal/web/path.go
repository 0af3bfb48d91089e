package web

import (
	"net/url"
	"regexp"
	"strings"
)

const maxPath = 2048

var (
	localPath  = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*/?$`)
	localQuery = regexp.MustCompile(`^([A-Za-z0-9._~!$'()*+,:@/?=&-]|%[0-9A-Fa-f]{2})*$`)
)

// LocalPath is the one check of an address to return to (UI-03). It accepts a path of our own, with or without a query, and returns it
// unchanged; whatever a browser could read as another origin or another path is refused: a scheme, //, /\, a dot segment,
// a path parameter, a fragment, any encoded character in the path, an encoded control character in the query.
func LocalPath(s string) (string, bool) {
	path, query, _ := strings.Cut(s, "?")
	if len(s) > maxPath || !strings.HasPrefix(path, "/") || !localPath.MatchString(path) || !localQuery.MatchString(query) {
		return "", false
	}
	for _, segment := range strings.Split(path, "/") {
		if strings.Trim(segment, ".") == "" && segment != "" {
			return "", false
		}
	}
	plain, err := url.QueryUnescape(query)
	if err != nil || strings.ContainsFunc(plain, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", false
	}
	return s, true
}
