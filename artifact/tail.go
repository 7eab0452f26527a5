package artifact

import "bytes"

// readTail verifies and parses what follows the frames: the index, whose
// digest the manifest pins, and the seek table, which follows from the index.
func readTail(m Manifest, name string, tail []byte) (*index, error) {
	if int64(len(tail)) != m.Artifact.Size-m.Index.Offset {
		return nil, unread(name, "its end is cut short")
	}
	b := tail[:m.Index.Size]
	if DigestOf(b) != m.Index.Digest {
		return nil, unread(name, "the index has another digest than the manifest says")
	}
	x, err := unpackIndex(b, m.Tree.Prefix)
	if err != nil {
		return nil, &Damaged{Name: name, Reason: err.Error()}
	}
	if x.layout() != m.Index.Offset {
		return nil, damaged(name, "index and manifest contradict each other")
	}
	if !bytes.Equal(tail[m.Index.Size:], seekTable(x.frames, m.Index.Size)) {
		return nil, unread(name, "the seek table is not the one that follows from the index: they contradict each other")
	}
	return x, nil
}

// checkSize refuses an object that is longer or shorter than the manifest says.
func checkSize(m Manifest, name string, size int64) error {
	if size != m.Artifact.Size {
		return unread(name, "it has %d bytes, the manifest says %d", size, m.Artifact.Size)
	}
	return nil
}
