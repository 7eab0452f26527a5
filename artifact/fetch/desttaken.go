package fetch

import "fmt"

// DestTaken refuses to unpack over something else.
type DestTaken struct {
	Dest string
	Err  error // how Dest differs from the release
}

func (e *DestTaken) Error() string {
	return fmt.Sprintf("unpacking into %q: it exists and is not this release: %v", e.Dest, e.Err)
}

// Unwrap returns how Dest differs.
func (e *DestTaken) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *DestTaken) Hint() string { return fmt.Sprintf("move %s away, or unpack elsewhere", e.Dest) }
