package store

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema, in the words of one engine.
type migration struct {
	number int64
	name   string
	text   string
}

const (
	makeMigration   = `CREATE TABLE IF NOT EXISTS migration (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, at BIGINT NOT NULL)`
	readMigration   = `SELECT COALESCE(MAX(number), 0) FROM migration`
	recordMigration = `INSERT INTO migration (number, name, at) VALUES ($1, $2, $3)`
)

// migrations reads the steps in order, with the engine's own words in place of BYTES, SERIAL and TEXT.
func migrations(words *strings.Replacer) []migration {
	return readMigrations(migrationFiles, words)
}

func readMigrations(files fs.FS, words *strings.Replacer) []migration {
	entries, err := fs.ReadDir(files, "migrations") // sorted by name
	if err != nil {
		panic(err)
	}
	var all []migration
	for i, e := range entries {
		number, name, _ := strings.Cut(strings.TrimSuffix(e.Name(), ".sql"), "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n != int64(i+1) {
			panic("store: migrations are numbered without gaps: " + e.Name())
		}
		text, err := fs.ReadFile(files, "migrations/"+e.Name())
		if err != nil {
			panic(err)
		}
		all = append(all, migration{n, name, words.Replace(string(text))})
	}
	return all
}

// due are the steps a schema lacks. ErrNewer: it has steps we do not know.
func due(all []migration, have int64) ([]migration, error) {
	if have > int64(len(all)) {
		return nil, fmt.Errorf("%w: its schema is number %d, this program knows %d", ErrNewer, have, len(all))
	}
	return all[have:], nil
}
