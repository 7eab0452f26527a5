package build

import "time"

// Later has a builder take now for a later moment: stamps are old enough to tell
// then.
func (b *Builder) Later(by time.Duration) {
	b.now = func() time.Time { return time.Now().Add(by) }
}
