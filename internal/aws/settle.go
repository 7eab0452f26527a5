package aws

import (
	"context"
	"time"
)

// settle repeats f while its error is one that passes once AWS's services
// agree about something just made, for about a minute.
func settle(ctx context.Context, passes func(error) bool, f func() error) error {
	err := f()
	for delay := time.Second / 2; delay <= 32*time.Second && err != nil && passes(err); delay *= 2 {
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		err = f()
	}
	return err
}
