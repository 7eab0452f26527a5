package artifact

// File is a file of a published release.
type File struct {
	Path   string `json:"path"` // below the prefix
	Size   int64  `json:"size"`
	Digest Digest `json:"digest"` // of its content
}

// Entry is what a release holds at a path.
type Entry struct {
	Kind   string `json:"kind"`             // file, directory or link
	Size   int64  `json:"size"`             // of a file
	Digest Digest `json:"digest,omitempty"` // of a file's content
	Target string `json:"target,omitempty"` // of a link
}

// Change is a path at which two releases differ.
type Change struct {
	Path   string `json:"path"`             // below the prefix
	Before *Entry `json:"before,omitempty"` // nil when it was added
	After  *Entry `json:"after,omitempty"`  // nil when it was removed
}
