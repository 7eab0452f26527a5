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
		if err := pause(ctx, delay); err != nil {
			return err
		}
		err = f()
	}
	return err
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
