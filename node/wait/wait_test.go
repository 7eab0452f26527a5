package wait

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestEvery(t *testing.T) {
	for name, tt := range map[string]struct {
		within time.Duration
		stopAt int
		want   int
		took   time.Duration
	}{
		"until it ends":          {within: 3500 * time.Millisecond, stopAt: 99, want: 4, took: 3500 * time.Millisecond},
		"until the answer comes": {within: time.Hour, stopAt: 2, want: 2, took: time.Second},
		"once, without any time": {within: 0, stopAt: 99, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.within)
				defer cancel()
				begun, last := time.Now(), 0
				for last = range Every(ctx, time.Second) {
					if last == tt.stopAt {
						break
					}
				}
				if took := time.Since(begun); last != tt.want || took != tt.took {
					t.Errorf("%d attempts in %v, want %d in %v", last, took, tt.want, tt.took)
				}
			})
		})
	}
}
