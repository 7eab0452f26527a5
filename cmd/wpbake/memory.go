package main

import "runtime/debug"

// memory is what the garbage collector works for. The runtime counts only what
// is its own, not the program's pages.
type memory struct {
	limit   int64 // bytes; more is taken only where more is in use
	garbage int   // percent of what is in use
}

var (
	// Nodes are small, and what they serve needs the rest. A fetch makes little
	// garbage, so that this costs hardly any time.
	fetchMemory = memory{limit: 56 << 20, garbage: 35}
	// Only trees of more than 100,000 files come near it.
	buildMemory = memory{limit: 208 << 20, garbage: 100}
)

// bound holds the process to it until restore is called.
func (m memory) bound() (restore func()) {
	limit := debug.SetMemoryLimit(m.limit)
	percent := debug.SetGCPercent(m.garbage)
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}
