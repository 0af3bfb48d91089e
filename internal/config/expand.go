package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces each ${NAME} by what the environment holds; $${ stands for ${ itself. What is put in is not looked at again.
// Errors name variables and never their values.
func expand(text string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), nil
		}
		if strings.HasSuffix(before, "$") {
			b.WriteString(before[:len(before)-1] + "${")
			text = rest
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", errors.New("${ is not closed; write $${ for the two characters themselves")
		}
		value, err := environment(name)
		if err != nil {
			return "", err
		}
		b.WriteString(before + value)
		text = after
	}
}

func environment(name string) (string, error) {
	if !variable.MatchString(name) {
		return "", errors.New("${…} names an environment variable by letters, digits and _; write $${ for the two characters themselves")
	}
	value, set := os.LookupEnv(name)
	if !set {
		return "", fmt.Errorf("the environment variable %s is not set", name)
	}
	return value, nil
}
