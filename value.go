package sparekey

import (
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/guard"
)

// The types of settings, for programs that write a Config as a value.
type (
	// Secret is a value that whatever prints or logs it does not show.
	Secret = config.Secret
	// Duration is a time.Duration that a file writes as "10m" or "180d".
	Duration = config.Duration
	// Path is a path of the file system.
	Path = config.Path
	// Rate is a count in a window: Rate{Count: 5, Per: 24 * time.Hour}, in a file "5/24h".
	Rate = config.Rate
	// Limits are a tenant's throttles. What is left zero takes its default.
	Limits = guard.Limits
)

// NewSecret makes a Secret of a text at hand.
func NewSecret(text string) Secret { return config.NewSecret(text) }
