package fetch

import (
	"os"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/tree"
)

// A base is an artifact on this disk that another one is fetched with the help
// of. Nobody vouches for it: it only says where frames may be, and each is
// compared with what the wanted index says.

// openBase reads a base's index. It returns nil when there is none that could
// be read, and what closes it.
func openBase(name string) (base *Previous, done func()) {
	f, err := os.OpenFile(name, tree.OpenFlags, 0)
	if err != nil {
		return nil, func() {}
	}
	x, err := artifact.FindIndex(f)
	if err != nil {
		f.Close()
		return nil, func() {}
	}
	return NewPrevious(f, x.Frames), func() { f.Close() }
}

// same returns where a frame is that should have the same stored bytes.
func (e *Previous) same(f artifact.Frame) (artifact.Located, bool) {
	if e == nil {
		return artifact.Located{}, false
	}
	at, ok := e.at[f.ContentSum]
	return at, ok && at.StoredSum == f.StoredSum && at.Stored == f.Stored
}

// holds tells whether all of some frames should be there.
func (e *Previous) holds(frames []artifact.Frame) bool {
	for i := range frames {
		if _, ok := e.same(frames[i]); !ok {
			return false
		}
	}
	return true
}
