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
	MetaDir  = ".wpbake"
	ListPath = MetaDir + "/SHA256SUMS"
)

// Kind is what an entry is; its value is its letter in the index.
type Kind byte

const (
	KindDir  Kind = 'd'
	KindFile Kind = 'f'
	KindLink Kind = 'l'
)

func (k Kind) String() string {
	switch k {
	case KindDir:
		return "directory"
	case KindFile:
		return "file"
	default:
		return "link"
	}
}

// Member is one member of an artifact. Owner, mode and time are no part of it:
// they follow from the rest.
type Member struct {
	Path   string // from the artifact's root, no slash at either end
	Kind   Kind
	Size   int64             // of a file
	Target string            // of a link
	Sum    [sha256.Size]byte // of a file's content, once it was read
}

// Modes of everything that is unpacked.
const (
	FileMode = 0o644
	DirMode  = 0o755
	linkMode = 0o777
)

// Epoch is the time of directories and links, and the earliest of files:
// 2010-01-01T00:00:00Z.
const Epoch = 1262304000

// ModTime derives an entry's time from its content, so that it changes when
// the content does and is the same on every node. A constant would make web
// servers answer 304 for a changed file of equal size.
func (e *Member) ModTime() time.Time {
	if e.Kind != KindFile {
		return time.Unix(Epoch, 0)
	}
	return time.Unix(Epoch+int64(binary.BigEndian.Uint32(e.Sum[:])>>4), 0)
}

// ComparePaths orders paths as a walk meets them: a slash before any other
// byte, so that a directory is followed by all it holds.
func ComparePaths(a, b string) int {
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

// TreeDigest is the digest of a plain tree: of one line an entry, in order.
// FORMAT.md has the lines.
func TreeDigest(entries []Member) Digest {
	h := sha256.New()
	var line []byte
	for i := range entries {
		line = appendTreeLine(line[:0], &entries[i])
		h.Write(line)
	}
	return DigestFromSum(h.Sum(nil))
}

func appendTreeLine(b []byte, e *Member) []byte {
	b = append(b, byte(e.Kind), '\t')
	switch e.Kind {
	case KindFile:
		b = hex.AppendEncode(b, e.Sum[:])
		b = append(b, '\t')
		b = strconv.AppendInt(b, e.Size, 10)
		b = append(b, '\t')
		b = append(b, e.Path...)
	case KindLink:
		b = append(b, e.Path...)
		b = append(b, '\t')
		b = append(b, e.Target...)
	default:
		b = append(b, e.Path...)
	}
	return append(b, '\n')
}

// FileList is the content of .wpbake/SHA256SUMS, as sha256sum -c reads it.
func FileList(entries []Member) []byte {
	var b bytes.Buffer
	b.Grow(int(fileListSize(entries)))
	writeFileList(&b, entries)
	return b.Bytes()
}

// FileListDigest is the file list's digest, without the list in memory.
func FileListDigest(entries []Member) Digest {
	h := sha256.New()
	writeFileList(h, entries)
	return DigestFromSum(h.Sum(nil))
}

// writeFileList writes to what takes everything.
func writeFileList(w io.Writer, entries []Member) {
	var line []byte
	for i := range entries {
		if e := &entries[i]; e.Kind == KindFile {
			line = hex.AppendEncode(line[:0], e.Sum[:])
			line = append(append(line, "  "...), e.Path...)
			w.Write(append(line, '\n'))
		}
	}
}

// fileListSize is known before any file is read, so that frames can be planned.
func fileListSize(entries []Member) int64 {
	var n int64
	for i := range entries {
		if e := &entries[i]; e.Kind == KindFile {
			n += int64(2*sha256.Size + len("  ") + len(e.Path) + len("\n"))
		}
	}
	return n
}

// ParseFileList reads a file list; only our own form is accepted.
func ParseFileList(b []byte) (map[string]string, error) {
	sums := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		line, ended := strings.CutSuffix(line, "\n")
		sum, name, ok := strings.Cut(line, "  ")
		if !ended || !ok || len(sum) != 2*sha256.Size || name == "" || sums[name] != "" {
			return nil, Damagef(ListPath, "line %q is not one of a file list", line)
		}
		sums[name] = sum
	}
	return sums, nil
}

// MembersOf lists what an artifact of these tree entries holds: the
// directories above the prefix, the tree, our metadata.
func MembersOf(prefix string, tree []Member) []Member {
	members := make([]Member, 0, len(tree)+MaxDepth)
	for i, c := range prefix {
		if c == '/' {
			members = append(members, Member{Path: prefix[:i], Kind: KindDir})
		}
	}
	members = append(members, Member{Path: prefix, Kind: KindDir})
	for _, e := range tree {
		e.Path = prefix + "/" + e.Path
		members = append(members, e)
	}
	list := Member{Path: ListPath, Kind: KindFile, Size: fileListSize(members)}
	return append(members, Member{Path: MetaDir, Kind: KindDir}, list)
}

// TreeMembers cuts our metadata off again.
func TreeMembers(members []Member) []Member { return members[:len(members)-2] }

// DescribeTree is what a manifest says of a tree, by its members with their sums
// and the digest of its file list.
func DescribeTree(prefix string, entries []Member, list Digest) Tree {
	t := Tree{Digest: TreeDigest(entries), List: list, Prefix: prefix}
	for i := range entries {
		if entries[i].Kind == KindFile {
			t.Files++
			t.Bytes += entries[i].Size
		}
	}
	return t
}

// CheckPrefix accepts a clean relative path outside .wpbake.
func CheckPrefix(prefix string) error {
	first, _, _ := strings.Cut(prefix, "/")
	if prefix == "" || prefix == "." || path.Clean("/" + prefix)[1:] != prefix || strings.EqualFold(first, MetaDir) {
		return fmt.Errorf("prefix %q: want a relative path outside %s", prefix, MetaDir)
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if reason := BadName(part); reason != "" {
			return fmt.Errorf("prefix %q: %s", prefix, reason)
		}
	}
	return nil
}
