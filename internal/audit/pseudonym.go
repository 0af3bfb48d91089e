package audit

import (
	"errors"
	"regexp"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

var unknown = regexp.MustCompile(`^nobody:[A-Za-z0-9_-]{22}$`)

// Unknown gives the pseudonym of a typed name that belongs to nobody, "nobody:" and 22 characters, for Event.User. It is the same for
// every spelling (case, spaces, Unicode forms) and tells nothing without the key: people type passwords into the field for names.
// No row is written for it, so strangers cannot fill the store with names.
func (j *Journal) Unknown(name string) string {
	key := cases.Fold().String(norm.NFKC.String(strings.TrimSpace(name)))
	return "nobody:" + j.nobody.Name("unknown", key)[:22]
}

// pseudonym gives the name under which the user appears, and makes one when she has none.
func (j *Journal) pseudonym(tx store.Tx, user string) (string, error) {
	who, err := j.known(tx, user)
	if !errors.Is(err, store.ErrNotFound) {
		return who, err
	}
	_, err = tx.Exec(`INSERT INTO pseudonym (tenant, user_id, name) VALUES ($1, $2, $3) ON CONFLICT (tenant, user_id) DO NOTHING`, user, "user:"+secret.ID())
	if err != nil {
		return "", err
	}
	return j.known(tx, user) // another deed of hers may have been first
}

// known is pseudonym for readers: ErrNotFound when she has none.
func (j *Journal) known(tx store.Tx, user string) (who string, err error) {
	if user == "" {
		return user, nil
	}
	err = tx.Row(`SELECT name FROM pseudonym WHERE tenant = $1 AND user_id = $2`, user).Scan(&who)
	if errors.Is(err, store.ErrNotFound) && unknown.MatchString(user) {
		return user, nil // looked for all the same: nobody costs what somebody does (SECURITY RS-02)
	}
	return who, err
}

// User gives the user behind a pseudonym, for the eyes of an operator: store.ErrNotFound when she was erased or never was.
func (j *Journal) User(tx store.Tx, who string) (user string, err error) {
	err = tx.Row(`SELECT user_id FROM pseudonym WHERE tenant = $1 AND name = $2`, who).Scan(&user)
	return user, err
}

// Erase cuts the tie between the user and her pseudonym for ever. Her rows stay, are nobody's, and the chain stays whole.
func (j *Journal) Erase(tx store.Tx, user string) error {
	_, err := tx.Exec(`DELETE FROM pseudonym WHERE tenant = $1 AND user_id = $2`, user)
	return err
}
