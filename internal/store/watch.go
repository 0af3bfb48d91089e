package store

import "context"

// watched is an engine that tells of every statement before it is run, for tests that ask what each costs.
type watched struct {
	engine
	seen func(query string)
}

// told is a link of a watched engine.
type told struct {
	link
	seen func(query string)
}

func (w watched) tell(f func(link) error) func(link) error {
	return func(l link) error { return f(told{l, w.seen}) }
}

func (w watched) write(ctx context.Context, f func(link) error) error {
	return w.engine.write(ctx, w.tell(f))
}

func (w watched) read(ctx context.Context, f func(link) error) error {
	return w.engine.read(ctx, w.tell(f))
}

func (t told) exec(query string, args []any) (int64, error) {
	t.seen(query)
	return t.link.exec(query, args)
}

func (t told) query(query string, args []any, most int) ([][]any, error) {
	t.seen(query)
	return t.link.query(query, args, most)
}
