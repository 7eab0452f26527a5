package imagefs

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/erofs"
)

// An image holds an artifact's members, all of them and nothing else, as a
// file system. Its bytes follow from paths, sizes, targets and sums of
// contents alone, so that its digest is known without making it.

// Heading begins what an image's digest is of; it changes with the layout.
const Heading = "wpbake image 1"

// Lay lays the members of an artifact out, after an image that stands
// already if there is one. Their sums may come later.
func Lay(members []artifact.Member, after *Layout) (*erofs.Layout, error) {
	return erofs.NewAfter(len(members), func(i int) erofs.Entry {
		e := &members[i]
		in := erofs.Entry{Path: e.Path, Size: e.Size, Target: e.Target, Time: e.ModTime().Unix()}
		switch e.Kind {
		case artifact.KindDir:
			in.Kind = erofs.Directory
		case artifact.KindLink:
			in.Kind = erofs.Link
		}
		return in
	}, after.kept(members))
}

// imageLabel derives an image's names from the tree's digest.
func imageLabel(tree artifact.Digest) (erofs.Label, error) {
	sum, err := hex.DecodeString(tree.Hex())
	if err != nil || len(sum) != sha256.Size {
		return erofs.Label{}, fmt.Errorf("labelling image: digest %q", tree)
	}
	l := erofs.Label{Name: "wp-" + tree.Short(), Time: artifact.Epoch}
	copy(l.UUID[:], sum)
	l.UUID[6] = l.UUID[6]&0x0f | 0x80 // version 8 of RFC 9562: of the maker's own
	l.UUID[8] = l.UUID[8]&0x3f | 0x80
	return l, nil
}

// UUID is the UUID of the file system that holds a tree with a digest, as
// Linux names disks by it.
func UUID(tree artifact.Digest) (string, error) {
	l, err := imageLabel(tree)
	if err != nil {
		return "", err
	}
	id := l.UUID[:]
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}

// Describe returns the digest and size of the image of an artifact's
// members, whose sums are known.
func Describe(tree artifact.Digest, members []artifact.Member) (artifact.Blob, error) {
	l, err := Lay(members, nil)
	if err != nil {
		return artifact.Blob{}, err
	}
	meta, err := WriteMetadata(l, tree, io.Discard)
	if err != nil {
		return artifact.Blob{}, err
	}
	return Blob(l, meta, members), nil
}

// WriteMetadata writes what stands before the files and returns its sum.
func WriteMetadata(l *erofs.Layout, tree artifact.Digest, w io.Writer) (sum [sha256.Size]byte, err error) {
	label, err := imageLabel(tree)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	if err := l.WriteMetadata(io.MultiWriter(w, h), label); err != nil {
		return sum, fmt.Errorf("writing image: %w", err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// Blob describes an image whose layout, metadata and sums are known.
func Blob(l *erofs.Layout, meta [sha256.Size]byte, members []artifact.Member) artifact.Blob {
	d := newImageDigester(l.Metadata(), meta)
	for i := range members {
		if e := &members[i]; e.Kind == artifact.KindFile && e.Size > 0 {
			d.file(l.Offset(i), e.Size, e.Sum)
		}
	}
	return artifact.Blob{Digest: d.digest(l.Size()), Size: l.Size()}
}

// imageDigester makes an image's digest: of one line for each of its parts.
// FORMAT.md has the lines.
type imageDigester struct {
	h    hash.Hash
	out  *bufio.Writer
	line []byte
}

func newImageDigester(metadata int64, sum [sha256.Size]byte) *imageDigester {
	h := sha256.New()
	d := &imageDigester{h: h, out: bufio.NewWriter(h)}
	d.out.WriteString(Heading + "\n")
	d.part("metadata", 0, metadata, sum)
	return d
}

func (d *imageDigester) file(offset, size int64, sum [sha256.Size]byte) {
	d.part("file", offset, size, sum)
}

func (d *imageDigester) part(what string, offset, size int64, sum [sha256.Size]byte) {
	b := append(d.line[:0], what...)
	b = strconv.AppendInt(append(b, '\t'), offset, 10)
	b = strconv.AppendInt(append(b, '\t'), size, 10)
	b = hex.AppendEncode(append(b, '\t'), sum[:])
	d.line = append(b, '\n')
	d.out.Write(d.line)
}

func (d *imageDigester) digest(size int64) artifact.Digest {
	fmt.Fprintf(d.out, "size\t%d\n", size)
	d.out.Flush() // a hash takes everything
	return artifact.DigestFromSum(d.h.Sum(nil))
}
