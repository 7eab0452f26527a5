package artifact

import "bytes"

// ReadTail verifies and parses what follows the frames: the index, whose
// digest the manifest pins, and the seek table, which follows from the index.
func ReadTail(m Manifest, name string, tail []byte) (*Index, error) {
	if int64(len(tail)) != m.Artifact.Size-m.Index.Offset {
		return nil, Unreadf(name, "its end is cut short")
	}
	b := tail[:m.Index.Size]
	if DigestOf(b) != m.Index.Digest {
		return nil, Unreadf(name, "the index has another digest than the manifest says")
	}
	x, err := UnpackIndex(b, m.Tree.Prefix)
	if err != nil {
		return nil, &Damaged{Name: name, Reason: err.Error()}
	}
	if x.StoredSize() != m.Index.Offset {
		return nil, Damagef(name, "index and manifest contradict each other")
	}
	if !bytes.Equal(tail[m.Index.Size:], SeekTable(x.Frames, m.Index.Size)) {
		return nil, Unreadf(name, "the seek table is not the one that follows from the index: they contradict each other")
	}
	return x, nil
}

// CheckSize refuses an object that is longer or shorter than the manifest says.
func CheckSize(m Manifest, name string, size int64) error {
	if size != m.Artifact.Size {
		return Unreadf(name, "it has %d bytes, the manifest says %d", size, m.Artifact.Size)
	}
	return nil
}
