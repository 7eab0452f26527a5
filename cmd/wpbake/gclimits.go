package main

import "runtime/debug"

// gcLimits is what the garbage collector works for. The runtime counts only
// what is its own, not the program's pages.
type gcLimits struct {
	memory  int64 // bytes; more is taken only where more is in use
	garbage int   // percent of what is in use
}

// fetchLimits suit nodes: they are small, and what they serve needs the rest. A
// fetch makes little garbage, so that this costs hardly any time.
func fetchLimits() gcLimits { return gcLimits{memory: 56 << 20, garbage: 35} }

// buildLimits are for builds: only trees of more than 100,000 files come near.
func buildLimits() gcLimits { return gcLimits{memory: 208 << 20, garbage: 100} }

// apply holds the process to them until restore is called.
func (l gcLimits) apply() (restore func()) {
	memory := debug.SetMemoryLimit(l.memory)
	percent := debug.SetGCPercent(l.garbage)
	return func() {
		debug.SetMemoryLimit(memory)
		debug.SetGCPercent(percent)
	}
}
