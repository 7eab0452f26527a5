package artifact

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"

	"github.com/wpbake/wpbake/artifact/erofs"
)

// An image holds an artifact's members, all of them and nothing else, as a
// file system. Its bytes follow from paths, sizes, targets and sums of
// contents alone, so that its digest is known without making it.

const imageHeading = "wpbake image 1"

// layImage lays the members of an artifact out, after an image that stands
// already if there is one. Their sums may come later.
func layImage(members []entry, after *Placement) (*erofs.Layout, error) {
	return erofs.NewAfter(len(members), func(i int) erofs.Entry {
		e := &members[i]
		in := erofs.Entry{Path: e.path, Size: e.size, Target: e.target, Time: e.modTime().Unix()}
		switch e.kind {
		case kindDir:
			in.Kind = erofs.Directory
		case kindLink:
			in.Kind = erofs.Link
		}
		return in
	}, after.kept(members))
}

// imageLabel derives an image's names from the tree's digest.
func imageLabel(tree Digest) (erofs.Label, error) {
	sum, err := hex.DecodeString(tree.Hex())
	if err != nil || len(sum) != sha256.Size {
		return erofs.Label{}, fmt.Errorf("labelling image: digest %q", tree)
	}
	l := erofs.Label{Name: "wp-" + tree.Short(), Time: epoch}
	copy(l.UUID[:], sum)
	l.UUID[6] = l.UUID[6]&0x0f | 0x80 // version 8 of RFC 9562: of the maker's own
	l.UUID[8] = l.UUID[8]&0x3f | 0x80
	return l, nil
}

// ImageUUID is the UUID of the file system that holds a tree with a digest, as
// Linux names disks by it.
func ImageUUID(tree Digest) (string, error) {
	l, err := imageLabel(tree)
	if err != nil {
		return "", err
	}
	id := l.UUID[:]
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}

// describeImage returns the digest and size of the image of an artifact's
// members, whose sums are known.
func describeImage(tree Digest, members []entry) (Blob, error) {
	l, err := layImage(members, nil)
	if err != nil {
		return Blob{}, err
	}
	meta, err := imageMetadata(l, tree, io.Discard)
	if err != nil {
		return Blob{}, err
	}
	return imageBlob(l, meta, members), nil
}

// imageMetadata writes what stands before the files and returns its sum.
func imageMetadata(l *erofs.Layout, tree Digest, w io.Writer) (sum [sha256.Size]byte, err error) {
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

func imageBlob(l *erofs.Layout, meta [sha256.Size]byte, members []entry) Blob {
	d := newImageDigester(l.Metadata(), meta)
	for i := range members {
		if e := &members[i]; e.kind == kindFile && e.size > 0 {
			d.file(l.Offset(i), e.size, e.sum)
		}
	}
	return Blob{Digest: d.digest(l.Size()), Size: l.Size()}
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
	d.out.WriteString(imageHeading + "\n")
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

func (d *imageDigester) digest(size int64) Digest {
	fmt.Fprintf(d.out, "size\t%d\n", size)
	d.out.Flush() // a hash takes everything
	return DigestFromSum(d.h.Sum(nil))
}
