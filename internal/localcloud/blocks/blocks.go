// Package blocks keeps what snapshots hold: blocks of 512 KiB by number, equal
// ones only once. It knows content and inheritance; what a snapshot is besides,
// who owns it and whether it is complete, it refuses to know.
package blocks

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
)

// Size is the length of every block.
const Size = 512 << 10

// ErrNotFound means that there is no such snapshot, or no such block in it.
var ErrNotFound = errors.New("not found")

// Digest is the SHA-256 of a block.
type Digest [sha256.Size]byte

// Block is one that a snapshot holds.
type Block struct {
	Index  int32
	Digest Digest
	Own    bool // written into this snapshot, not inherited
}

// Store holds the blocks of all snapshots. Its methods may be called from
// several goroutines.
type Store struct {
	mu     sync.Mutex
	keep   keeper
	lists  map[string]map[int32]Block
	owners map[Digest]int // how many blocks of snapshots have this content
}

// keeper is where content and lists rest.
type keeper interface {
	writeBlock(Digest, []byte) error
	readBlock(Digest) ([]byte, error)
	removeBlock(Digest) error
	appendList(id string, added []Block) error
	removeList(id string) error
}

// InMemory makes a store that ends with the program.
func InMemory() *Store {
	return &Store{keep: memory{}, lists: map[string]map[int32]Block{}, owners: map[Digest]int{}}
}

// New makes a store in a directory and takes back what is there; "" keeps
// everything in memory.
func New(dir string) (*Store, error) {
	s := InMemory()
	if dir == "" {
		return s, nil
	}
	kept := disk{dir}
	s.keep = kept
	lists, err := kept.readLists()
	if err != nil {
		return nil, fmt.Errorf("reading snapshots in %q: %w", dir, err)
	}
	for id, list := range lists {
		s.lists[id] = map[int32]Block{}
		for _, one := range list {
			s.set(id, one)
		}
	}
	return s, s.sweep(kept)
}

// sweep removes blocks of no snapshot: a program that was killed left them.
func (s *Store) sweep(kept disk) error {
	found, err := kept.blocks()
	if err != nil {
		return fmt.Errorf("reading blocks in %q: %w", kept.dir, err)
	}
	for _, digest := range found {
		if s.owners[digest] == 0 {
			err = errors.Join(err, kept.removeBlock(digest))
		}
	}
	return err
}

// set needs the mutex. It returns content that nobody has any more.
func (s *Store) set(id string, one Block) (orphan Digest, orphaned bool) {
	before, replaced := s.lists[id][one.Index]
	s.lists[id][one.Index] = one
	s.owners[one.Digest]++
	if !replaced {
		return orphan, false
	}
	return before.Digest, s.release(before.Digest)
}

// release reports whether the content has no owner any more.
func (s *Store) release(digest Digest) bool {
	s.owners[digest]--
	if s.owners[digest] > 0 {
		return false
	}
	delete(s.owners, digest)
	return true
}

// Create makes an empty snapshot, or one that inherits another's blocks.
func (s *Store) Create(id, parent string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var inherited []Block
	if parent != "" {
		list, ok := s.lists[parent]
		if !ok {
			return fmt.Errorf("snapshot %q: %w", parent, ErrNotFound)
		}
		for _, one := range list {
			one.Own = false
			inherited = append(inherited, one)
		}
	}
	if _, exists := s.lists[id]; exists {
		return fmt.Errorf("snapshot %q exists already", id)
	}
	if err := s.keep.appendList(id, inherited); err != nil {
		return err
	}
	s.lists[id] = make(map[int32]Block, len(inherited))
	for _, one := range inherited {
		s.set(id, one)
	}
	return nil
}

// Put writes a block of Size bytes.
func (s *Store) Put(id string, index int32, content []byte) error {
	if len(content) != Size {
		return fmt.Errorf("block %d has %d bytes, not %d", index, len(content), Size)
	}
	one := Block{Index: index, Digest: sha256.Sum256(content), Own: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.lists[id]; !ok {
		return fmt.Errorf("snapshot %q: %w", id, ErrNotFound)
	}
	if s.owners[one.Digest] == 0 {
		if err := s.keep.writeBlock(one.Digest, content); err != nil {
			return err
		}
	}
	if err := s.keep.appendList(id, []Block{one}); err != nil {
		return err
	}
	if orphan, ok := s.set(id, one); ok {
		return s.keep.removeBlock(orphan)
	}
	return nil
}

// Get reads a block.
func (s *Store) Get(id string, index int32) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.lists[id][index]
	if !ok {
		return nil, fmt.Errorf("block %d of snapshot %q: %w", index, id, ErrNotFound)
	}
	return s.keep.readBlock(one.Digest)
}

// List is what a snapshot holds, by index; nil for an unknown one.
func (s *Store) List(id string) []Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Collect(maps.Values(s.lists[id]))
	slices.SortFunc(list, func(a, b Block) int { return int(a.Index) - int(b.Index) })
	return list
}

// Delete forgets a snapshot. One that inherited from it keeps its blocks.
func (s *Store) Delete(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.keep.removeList(id)
	for _, one := range s.lists[id] {
		if s.release(one.Digest) {
			err = errors.Join(err, s.keep.removeBlock(one.Digest))
		}
	}
	delete(s.lists, id)
	return err
}

// Fill puts a volume's whole content into a snapshot, all but its zeros.
func (s *Store) Fill(id string, content io.Reader) error {
	zeros, block := make([]byte, Size), make([]byte, Size)
	for index := int32(0); ; index++ {
		n, err := io.ReadFull(content, block)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		clear(block[n:])
		if bytes.Equal(block, zeros) {
			continue
		}
		if err := s.Put(id, index, block); err != nil {
			return err
		}
	}
}

// FillFile is Fill from a sparse file, of which it reads only what is there.
func (s *Store) FillFile(id string, file *os.File) error {
	zeros, block := make([]byte, Size), make([]byte, Size)
	for index := int64(0); ; index++ {
		at, err := nextData(file, index*Size)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		index = at / Size
		n, err := file.ReadAt(block, index*Size)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		clear(block[n:])
		if bytes.Equal(block, zeros) {
			continue
		}
		if err := s.Put(id, int32(index), block); err != nil {
			return err
		}
	}
}

// Restore writes a snapshot's content into a file, which is sparse where the
// snapshot holds nothing.
func (s *Store) Restore(id string, file *os.File) error {
	for _, one := range s.List(id) {
		content, err := s.Get(id, one.Index)
		if err != nil {
			return err
		}
		if _, err := file.WriteAt(content, int64(one.Index)*Size); err != nil {
			return err
		}
	}
	return nil
}

// Open reads a snapshot from its first byte to the end of its last block.
func (s *Store) Open(id string) io.Reader {
	return &reader{store: s, id: id, list: s.List(id)}
}

type reader struct {
	store *Store
	id    string
	list  []Block
	next  int32  // index of the block that comes after rest
	rest  []byte // of the current block
}

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if len(r.list) == 0 {
			return 0, io.EOF
		}
		if r.list[0].Index > r.next {
			r.rest = make([]byte, Size)
		} else {
			content, err := r.store.Get(r.id, r.list[0].Index)
			if err != nil {
				return 0, err
			}
			r.rest, r.list = content, r.list[1:]
		}
		r.next++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
