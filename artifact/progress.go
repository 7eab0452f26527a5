package artifact

import (
	"sync"
)

// Progress tells how far a stage has come. Calls come one at a time, Done
// never shrinks within a stage, and the last call of a finished stage has
// Done equal to Total.
type Progress struct {
	Stage string
	Done  int64 // bytes
	Total int64 // bytes
}

// Counter turns bytes done by many goroutines into calls of one function.
type Counter struct {
	mu   sync.Mutex
	tell func(Progress)
	now  Progress
}

// NewCounter begins a stage; tell may be nil.
func NewCounter(tell func(Progress), stage string, total int64) *Counter {
	c := &Counter{tell: tell, now: Progress{Stage: stage, Total: total}}
	c.Add(0)
	return c
}

// Add takes what was done since the last call.
func (c *Counter) Add(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Done += n
	if c.tell != nil {
		c.tell(c.now)
	}
}

// Reach counts up to an offset; what was counted before is not counted again.
func (c *Counter) Reach(off int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if off <= c.now.Done {
		return
	}
	c.now.Done = off
	if c.tell != nil {
		c.tell(c.now)
	}
}

// Count turns bytes done by many goroutines into calls of tell, as Progress
// promises them: add takes what was done since.
func Count(tell func(Progress), stage string, total int64) (add func(n int64)) {
	return NewCounter(tell, stage, total).Add
}
