package blocks

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// disk keeps each content in a file named by its digest, and each snapshot's
// list in a file that only grows: what comes later holds.
type disk struct{ dir string }

// record is a block in a list: its index, 1 for an own block, its digest.
const record = 4 + 1 + len(Digest{})

func (d disk) blockFile(digest Digest) string {
	name := hex.EncodeToString(digest[:])
	return filepath.Join(d.dir, "blocks", name[:2], name)
}

func (d disk) listFile(id string) string { return filepath.Join(d.dir, "lists", id) }

func (d disk) writeBlock(digest Digest, content []byte) error {
	name := d.blockFile(digest)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (d disk) readBlock(digest Digest) ([]byte, error) { return os.ReadFile(d.blockFile(digest)) }

func (d disk) removeBlock(digest Digest) error { return os.Remove(d.blockFile(digest)) }

func (d disk) appendList(id string, added []Block) error {
	var data []byte
	for _, one := range added {
		data = binary.BigEndian.AppendUint32(data, uint32(one.Index))
		own := byte(0)
		if one.Own {
			own = 1
		}
		data = append(append(data, own), one.Digest[:]...)
	}
	if err := os.MkdirAll(filepath.Dir(d.listFile(id)), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(d.listFile(id), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

func (d disk) removeList(id string) error {
	if err := os.Remove(d.listFile(id)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d disk) readLists() (map[string][]Block, error) {
	entries, err := os.ReadDir(filepath.Join(d.dir, "lists"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	lists := map[string][]Block{}
	for _, entry := range entries {
		data, err := os.ReadFile(d.listFile(entry.Name()))
		if err != nil {
			return nil, err
		}
		list := []Block{}
		for ; len(data) >= record; data = data[record:] { // a torn last one was never answered
			one := Block{Index: int32(binary.BigEndian.Uint32(data)), Own: data[4] == 1}
			copy(one.Digest[:], data[5:record])
			list = append(list, one)
		}
		if len(data) > 0 { // what is appended next must not follow half a record
			if err := os.Truncate(d.listFile(entry.Name()), int64(len(list)*record)); err != nil {
				return nil, err
			}
		}
		lists[entry.Name()] = list
	}
	return lists, err
}

func (d disk) blocks() ([]Digest, error) {
	var found []Digest
	root := filepath.Join(d.dir, "blocks")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return fs.SkipAll
		}
		if err != nil || entry.IsDir() {
			return err
		}
		if strings.HasSuffix(path, ".new") {
			return os.Remove(path)
		}
		name, err := hex.DecodeString(entry.Name())
		if err != nil || len(name) != len(Digest{}) {
			return fmt.Errorf("%q is no block", path)
		}
		found = append(found, Digest(name))
		return nil
	})
	return found, err
}

// memory keeps content without files; lists are in the Store anyway.
type memory map[Digest][]byte

func (m memory) writeBlock(digest Digest, content []byte) error {
	m[digest] = append([]byte(nil), content...)
	return nil
}

func (m memory) readBlock(digest Digest) ([]byte, error) {
	return append([]byte(nil), m[digest]...), nil
}

func (m memory) removeBlock(digest Digest) error {
	delete(m, digest)
	return nil
}

func (m memory) appendList(string, []Block) error { return nil }

func (m memory) removeList(string) error { return nil }
