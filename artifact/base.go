package artifact

import (
	"os"
)

// A base is an artifact on this disk that another one is fetched with the help
// of. Nobody vouches for it: it only says where frames may be, and each is
// compared with what the wanted index says.

// openBase reads a base's index. It returns nil when there is none that could
// be read, and what closes it.
func openBase(name string) (base *earlier, done func()) {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, func() {}
	}
	x, err := findIndex(f)
	if err != nil {
		f.Close()
		return nil, func() {}
	}
	return newEarlier(f, x.frames), func() { f.Close() }
}

// same returns where a frame is that should have the same stored bytes.
func (e *earlier) same(f frame) (located, bool) {
	if e == nil {
		return located{}, false
	}
	at, ok := e.at[f.contentSum]
	return at, ok && at.storedSum == f.storedSum && at.stored == f.stored
}

// holds tells whether all of some frames should be there.
func (e *earlier) holds(frames []frame) bool {
	for i := range frames {
		if _, ok := e.same(frames[i]); !ok {
			return false
		}
	}
	return true
}
