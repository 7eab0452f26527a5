package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"
)

// Names inside every artifact.
const (
	metaDir  = ".wpbake"
	listPath = metaDir + "/SHA256SUMS"
)

// kind is what an entry is; its value is its letter in the index.
type kind byte

const (
	kindDir  kind = 'd'
	kindFile kind = 'f'
	kindLink kind = 'l'
)

func (k kind) String() string {
	switch k {
	case kindDir:
		return "directory"
	case kindFile:
		return "file"
	default:
		return "link"
	}
}

// entry is one member of an artifact. Owner, mode and time are no part of it:
// they follow from the rest.
type entry struct {
	path   string // from the artifact's root, no slash at either end
	kind   kind
	size   int64             // of a file
	target string            // of a link
	sum    [sha256.Size]byte // of a file's content, once it was read
}

// Modes of everything that is unpacked.
const (
	fileMode = 0o644
	dirMode  = 0o755
	linkMode = 0o777
)

// epoch is the time of directories and links, and the earliest of files:
// 2010-01-01T00:00:00Z.
const epoch = 1262304000

// modTime derives an entry's time from its content, so that it changes when
// the content does and is the same on every node. A constant would make web
// servers answer 304 for a changed file of equal size.
func (e *entry) modTime() time.Time {
	if e.kind != kindFile {
		return time.Unix(epoch, 0)
	}
	return time.Unix(epoch+int64(binary.BigEndian.Uint32(e.sum[:])>>4), 0)
}

// comparePaths orders paths as a walk meets them: a slash before any other
// byte, so that a directory is followed by all it holds.
func comparePaths(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		if a[i] == '/' || b[i] != '/' && a[i] < b[i] {
			return -1
		}
		return 1
	}
	return len(a) - len(b)
}

// treeDigest is the digest of a plain tree: of one line an entry, in order.
// FORMAT.md has the lines.
func treeDigest(entries []entry) Digest {
	h := sha256.New()
	var line []byte
	for i := range entries {
		line = appendTreeLine(line[:0], &entries[i])
		h.Write(line)
	}
	return DigestFromSum(h.Sum(nil))
}

func appendTreeLine(b []byte, e *entry) []byte {
	b = append(b, byte(e.kind), '\t')
	switch e.kind {
	case kindFile:
		b = hex.AppendEncode(b, e.sum[:])
		b = append(b, '\t')
		b = strconv.AppendInt(b, e.size, 10)
		b = append(b, '\t')
		b = append(b, e.path...)
	case kindLink:
		b = append(b, e.path...)
		b = append(b, '\t')
		b = append(b, e.target...)
	default:
		b = append(b, e.path...)
	}
	return append(b, '\n')
}

// fileList is the content of .wpbake/SHA256SUMS, as sha256sum -c reads it.
func fileList(entries []entry) []byte {
	var b bytes.Buffer
	b.Grow(int(fileListSize(entries)))
	writeFileList(&b, entries)
	return b.Bytes()
}

// fileListDigest is the file list's digest, without the list in memory.
func fileListDigest(entries []entry) Digest {
	h := sha256.New()
	writeFileList(h, entries)
	return DigestFromSum(h.Sum(nil))
}

// writeFileList writes to what takes everything.
func writeFileList(w io.Writer, entries []entry) {
	var line []byte
	for i := range entries {
		if e := &entries[i]; e.kind == kindFile {
			line = hex.AppendEncode(line[:0], e.sum[:])
			line = append(append(line, "  "...), e.path...)
			w.Write(append(line, '\n'))
		}
	}
}

// fileListSize is known before any file is read, so that frames can be planned.
func fileListSize(entries []entry) int64 {
	var n int64
	for i := range entries {
		if e := &entries[i]; e.kind == kindFile {
			n += int64(2*sha256.Size + len("  ") + len(e.path) + len("\n"))
		}
	}
	return n
}

// parseFileList reads a file list; only our own form is accepted.
func parseFileList(b []byte) (map[string]string, error) {
	sums := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		line, ended := strings.CutSuffix(line, "\n")
		sum, name, ok := strings.Cut(line, "  ")
		if !ended || !ok || len(sum) != 2*sha256.Size || name == "" || sums[name] != "" {
			return nil, damaged(listPath, "line %q is not one of a file list", line)
		}
		sums[name] = sum
	}
	return sums, nil
}

// membersOf lists what an artifact of these tree entries holds: the
// directories above the prefix, the tree, our metadata.
func membersOf(prefix string, tree []entry) []entry {
	members := make([]entry, 0, len(tree)+maxDepth)
	for i, c := range prefix {
		if c == '/' {
			members = append(members, entry{path: prefix[:i], kind: kindDir})
		}
	}
	members = append(members, entry{path: prefix, kind: kindDir})
	for _, e := range tree {
		e.path = prefix + "/" + e.path
		members = append(members, e)
	}
	list := entry{path: listPath, kind: kindFile, size: fileListSize(members)}
	return append(members, entry{path: metaDir, kind: kindDir}, list)
}

// treeMembers cuts our metadata off again.
func treeMembers(members []entry) []entry { return members[:len(members)-2] }

func describeTree(prefix string, entries []entry, list Digest) Tree {
	t := Tree{Digest: treeDigest(entries), List: list, Prefix: prefix}
	for i := range entries {
		if entries[i].kind == kindFile {
			t.Files++
			t.Bytes += entries[i].size
		}
	}
	return t
}

// checkPrefix accepts a clean relative path outside .wpbake.
func checkPrefix(prefix string) error {
	first, _, _ := strings.Cut(prefix, "/")
	if prefix == "" || prefix == "." || path.Clean("/" + prefix)[1:] != prefix || strings.EqualFold(first, metaDir) {
		return fmt.Errorf("prefix %q: want a relative path outside %s", prefix, metaDir)
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if reason := badName(part); reason != "" {
			return fmt.Errorf("prefix %q: %s", prefix, reason)
		}
	}
	return nil
}
