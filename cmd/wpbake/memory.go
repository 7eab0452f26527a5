package main

import "runtime/debug"

// What a fetch may take: nodes are small, and what they serve needs the rest.
// The runtime counts only its own memory, not the program's pages.
const (
	fetchMemory  = 36 << 20
	fetchGarbage = 40 // percent of what is in use
)

// boundMemory has the garbage collector work for little memory until restore
// is called. A fetch makes little garbage, so that this costs hardly any time.
func boundMemory() (restore func()) {
	limit := debug.SetMemoryLimit(fetchMemory)
	percent := debug.SetGCPercent(fetchGarbage)
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}
